package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// A proxy asks one backend after another, as long as that cannot do anything twice.
func ExampleUpstream() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	defer backend.Close()
	dead := upstream.New(upstream.Options{Address: "127.0.0.1:1"})
	defer dead.Close()
	alive := upstream.New(upstream.Options{Address: backend.Listener.Addr().String()})
	defer alive.Close()

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, u := range []upstream.Upstream{dead, alive} {
			res := u.Serve(w, req)
			fmt.Println(res.Stage)
			switch {
			case res.MustAbort():
				panic(http.ErrAbortHandler)
			case res.MayRetry(req):
				continue
			case !res.Committed:
				w.WriteHeader(http.StatusBadGateway)
			}
			return
		}
	}))
	defer proxy.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, proxy.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, string(body))
	// Output:
	// dial
	// done
	// 200 hello
}
