package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func TestRuleSafeRequestIsRepeatedOnceWhereANewConnectionBroke(t *testing.T) {
	broke := upstream.Result{Stage: upstream.StageAwait, Wrote: true, Err: io.EOF}
	for name, test := range map[string]struct {
		method string
		length int64
		result upstream.Result
		tries  int
		want   bool
	}{
		"a GET":                      {http.MethodGet, 0, broke, 0, true},
		"a HEAD":                     {http.MethodHead, 0, broke, 0, true},
		"a POST never":               {http.MethodPost, 0, broke, 0, false},
		"a DELETE never":             {http.MethodDelete, 0, broke, 0, false},
		"a GET with a body never":    {http.MethodGet, 5, broke, 0, false},
		"the second time never":      {http.MethodGet, 0, broke, 1, false},
		"an answer that began never": {http.MethodGet, 0, upstream.Result{Stage: upstream.StageHeader, Wrote: true, GotByte: true, Err: io.EOF}, 0, false},
		"a client that left never":   {http.MethodGet, 0, upstream.Result{Stage: upstream.StageAwait, Wrote: true, ClientGone: true, Err: io.EOF}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), test.method, "/", nil)
			request.ContentLength = test.length
			cause, _ := causeOf(test.result)
			x := &exchange{r: request, tries: test.tries}
			if got := x.mayRepeat(test.result, cause); got != test.want {
				t.Errorf("mayRepeat = %v, want %v", got, test.want)
			}
		})
	}
}
