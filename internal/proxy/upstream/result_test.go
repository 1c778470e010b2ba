package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMayRetry(t *testing.T) {
	broken := errors.New("broken")
	dial := Result{Stage: StageDial, Err: broken}
	unwritten := Result{Stage: StageWrite, Err: broken}
	reused := Result{Stage: StageAwait, Wrote: true, Reused: true, Err: broken}
	fresh := Result{Stage: StageAwait, Wrote: true, Err: broken}
	with := func(r Result, change func(*Result)) Result { change(&r); return r }
	get, post := request("GET", ""), request("POST", "body")
	replayable := request("POST", "body")
	replayable.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("body")), nil }
	keyed := request("POST", "")
	keyed.Header.Set("Idempotency-Key", "7")

	for _, test := range []struct {
		name   string
		result Result
		req    *http.Request
		want   bool
	}{
		{"nothing tried", Result{}, get, false},
		{"ineligible", Result{Err: ErrIneligible}, get, false},
		{"done", Result{Stage: StageDone, Committed: true}, get, false},
		{"dial, GET", dial, get, true},
		{"dial, POST", dial, post, true},
		{"dial, client gone", with(dial, func(r *Result) { r.ClientGone = true }), get, false},
		{"dial, body touched", with(dial, func(r *Result) { r.BodyTouched = true }), post, false},
		{"dial, body touched but replayable", with(dial, func(r *Result) { r.BodyTouched = true }), replayable, true},
		{"nothing written, POST", unwritten, post, true},
		{"nothing written, body touched", with(unwritten, func(r *Result) { r.BodyTouched = true }), post, false},
		{"nothing written, replayable", with(unwritten, func(r *Result) { r.BodyTouched = true }), replayable, true},
		{"reused, GET", reused, get, true},
		{"reused, GET with a body", reused, request("GET", "body"), false},
		{"reused, PUT", reused, request("PUT", "body"), false},
		{"reused, DELETE", reused, request("DELETE", ""), false},
		{"reused, OPTIONS", reused, request("OPTIONS", ""), true},
		{"reused, a POST is never applied twice", reused, post, false},
		{"reused, not even a replayable one", with(reused, func(r *Result) { r.BodyTouched = true }), replayable, false},
		{"reused, POST with a key", reused, keyed, true},
		{"reused, while writing", with(reused, func(r *Result) { r.Stage = StageWrite }), get, true},
		{"fresh, GET", fresh, get, false},
		{"fresh, POST with a key", fresh, keyed, false},
		{"a byte came", with(reused, func(r *Result) { r.GotByte = true }), get, false},
		{"header begun", with(reused, func(r *Result) { r.Stage, r.GotByte = StageHeader, true }), get, false},
		{"body begun", with(reused, func(r *Result) { r.Stage, r.Committed = StageBody, true }), get, false},
	} {
		if got := test.result.MayRetry(test.req); got != test.want {
			t.Errorf("%s: MayRetry is %v, want %v", test.name, got, test.want)
		}
	}
}

func request(method, body string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), method, "http://shop.example/", strings.NewReader(body))
}

func TestMustAbort(t *testing.T) {
	for _, test := range []struct {
		result Result
		want   bool
	}{
		{Result{}, false},
		{Result{Stage: StageDone, Committed: true}, false},
		{Result{Stage: StageDial, Err: io.EOF}, false},
		{Result{Stage: StageBody, Committed: true, Err: io.EOF}, true},
		{Result{Stage: StageBody, Committed: true, Upgraded: true, Err: io.EOF}, false},
	} {
		if got := test.result.MustAbort(); got != test.want {
			t.Errorf("MustAbort of %+v is %v, want %v", test.result, got, test.want)
		}
	}
}

func TestEligible(t *testing.T) {
	change := func(req *http.Request, with func(*http.Request)) *http.Request { with(req); return req }
	unknown := func(req *http.Request) { req.ContentLength = -1 }
	header := func(pairs ...string) func(*http.Request) {
		return func(req *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				req.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	large := strings.Repeat("x", maxFastBody+1)
	for _, test := range []struct {
		name string
		req  *http.Request
		want bool
	}{
		{"GET", request("GET", ""), true},
		{"POST", request("POST", "body"), true},
		{"POST of 1 MiB", request("POST", large[1:]), true},
		{"POST of more", request("POST", large), false},
		{"POST of more, replayable", change(request("POST", large), func(req *http.Request) {
			req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		}), true},
		{"unknown length", change(request("POST", "body"), unknown), false},
		{"expect", change(request("POST", "body"), header("Expect", "100-continue")), false},
		{"upgrade", change(request("GET", ""), header("Connection", "Upgrade", "Upgrade", "websocket")), false},
		{"upgrade not meant", change(request("GET", ""), header("Upgrade", "h2c")), true},
		{"trailers", change(request("POST", "body"), func(req *http.Request) { req.Trailer = http.Header{"X-Sum": nil} }), false},
		{"CONNECT", request("GET", ""), true},
	} {
		if test.name == "CONNECT" {
			test.req.Method, test.want = http.MethodConnect, false
		}
		if got := Eligible(test.req); got != test.want {
			t.Errorf("%s: eligible is %v, want %v", test.name, got, test.want)
		}
	}
}

func TestStageNames(t *testing.T) {
	want := []string{"unset", "dial", "write", "await", "header", "body", "done"}
	for i, name := range want {
		if got := Stage(i).String(); got != name {
			t.Errorf("stage %d is %q, want %q", i, got, name)
		}
	}
}
