package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tap follows one request on its way: one that is to be copied, whose answer it keeps, or one that may change something. Most requests
// have none; every method may be called on nil.
type tap struct {
	mirror *mirroring
	begun  time.Time
	// writing is set for one that may change something; the rest is of one that is to be copied.
	writing writing
	copies  bool

	primary *backend // set once it has answered
	status  int
	body    []byte
	size    int64
}

// tap looks at a request before it is sent. What it costs a request that is not picked is a look at its method and a random number.
func (m *mirroring) tap(r *http.Request) *tap {
	switch {
	case m.config.allows(r.Method, r.URL.Path):
		if !m.copyable(r) || (m.config.Share < 1 && rand.Float64() >= m.config.Share) { //nolint:gosec // a sample, not a secret
			return nil
		}
		m.counts.picked.Add(1)
		select {
		case m.slots <- struct{}{}:
			return &tap{mirror: m, begun: time.Now(), copies: true}
		default:
			m.counts.dropped.Add(1)
			return nil
		}
	case changes(r.Method):
		return &tap{mirror: m, writing: m.writes.begin(r.URL.Path)}
	default:
		return nil
	}
}

// copyable says whether a request is a plain one, which ends by itself.
func (m *mirroring) copyable(r *http.Request) bool {
	h := r.Header
	if len(h["Upgrade"]) > 0 || len(h["Expect"]) > 0 || len(r.Trailer) > 0 {
		return false
	}
	accept := h["Accept"]
	return len(accept) == 0 || !strings.Contains(accept[0], "text/event-stream")
}

// keep takes a piece of the answer on its way to the user.
func (t *tap) keep(p []byte) {
	if t == nil || !t.copies {
		return
	}
	t.size += int64(len(p))
	if room := t.mirror.config.MaxBody - len(t.body); room > 0 {
		t.body = append(t.body, p[:min(room, len(p))]...)
	}
}

// expect makes room for an answer of a length that is known.
func (t *tap) expect(h http.Header) {
	if t == nil || !t.copies || t.body != nil || len(h["Content-Length"]) == 0 {
		return
	}
	if n, err := strconv.Atoi(h["Content-Length"][0]); err == nil && n > 0 {
		t.body = make([]byte, 0, min(n, t.mirror.config.MaxBody))
	}
}

// again forgets a try whose answer nobody got.
func (t *tap) again() {
	if t != nil {
		t.body, t.size = t.body[:0], 0
	}
}

// answered notes who answered. Without it nothing is copied.
func (t *tap) answered(b *backend, status int) {
	if t != nil {
		t.primary, t.status = b, status
	}
}

// skip gives a request up: its place is free for another one.
func (t *tap) skip() {
	if t == nil || !t.copies {
		return
	}
	t.copies, t.body = false, nil
	t.mirror.skip()
}

// end hands the request over to be copied, which never waits. The exchange's request body must still be there.
func (t *tap) end(x *exchange) {
	switch {
	case t == nil:
		return
	case !t.copies:
		if t.writing[0] != nil {
			t.writing.end(time.Now())
		}
		return
	}
	sent, ok := x.body.copy()
	if !ok || t.primary == nil || x.stream != nil || t.size > longestMirrored || !t.mirror.stable[t.primary.ID] {
		t.skip()
		return
	}
	header := x.w.Header().Clone()
	ownCookie(header, x.table.config.Sticky.Cookie)
	r := x.r
	t.mirror.jobs <- &echo{ // there is room for every slot
		method: r.Method, url: r.URL, host: r.Host, header: r.Header, remote: r.RemoteAddr, body: sent, primary: t.primary,
		answer: MirrorAnswer{
			Status: t.status, Header: header, Body: t.body, Truncated: t.size > int64(len(t.body)), Took: time.Since(t.begun), At: t.begun,
		},
	}
}

// echo is a request to be copied, with the answer that the user got.
type echo struct {
	method, host, remote string
	url                  *url.URL
	header               http.Header
	body                 []byte
	primary              *backend
	answer               MirrorAnswer
}

// ownCookie takes the proxy's cookie off an answer: backends do not set it.
func ownCookie(h http.Header, name string) {
	if cookies := h["Set-Cookie"]; len(cookies) > 0 && name != "" {
		h["Set-Cookie"] = slices.DeleteFunc(cookies, func(c string) bool { return strings.HasPrefix(c, name+"=") })
		if len(h["Set-Cookie"]) == 0 {
			delete(h, "Set-Cookie")
		}
	}
}

// copy gives the whole body, unless it was not kept.
func (b *body) copy() (whole []byte, ok bool) {
	if b == nil {
		return nil, true
	}
	if b.keep == 0 || b.more || (!errors.Is(b.err, io.EOF) && int64(len(b.kept)) != b.x.r.ContentLength) {
		return nil, false
	}
	return bytes.Clone(b.kept), true
}
