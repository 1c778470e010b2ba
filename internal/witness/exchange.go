package witness

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"github.com/segue-deploy/segue"
)

const (
	// bodyLimit bounds what is kept of an answer for looking into; the rest, up to drainLimit, is read and forgotten.
	bodyLimit  = 1 << 20
	drainLimit = 64 << 20
	// headerLimit bounds a release's or server's name as an answer gives it.
	headerLimit = 63
)

// answer is a complete HTTP answer.
type answer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
	url     *url.URL
	release segue.ReleaseName
	server  segue.ServerName
	// retried counts how often the request was sent again before this answer.
	retried int

	decoded any
	// patterns are those that were compiled beforehand.
	patterns map[string]*regexp.Regexp
}

// cookie gives the value that the answer sets a cookie to, "" when it sets none.
func (a *answer) cookie(name string) string {
	for _, c := range a.cookies {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// mishap is why a step failed.
type mishap struct {
	cause string
	// what says it in one clause.
	what string
	// lost is true when the user was logged out.
	lost bool
}

// newTransport makes one user's connections: kept alive as a browser keeps them, and the user's alone.
func (w *Witness) newTransport() *http.Transport {
	var config *tls.Config
	if w.opts.TLS != nil {
		config = w.opts.TLS.Clone()
	}
	return &http.Transport{
		DialContext: w.opts.Dial, TLSClientConfig: config, ForceAttemptHTTP2: true,
		MaxIdleConns: 4, MaxIdleConnsPerHost: 4, IdleConnTimeout: 0, MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	}
}

// exchange sends one request and reads its answer whole. net/http sends a request again by itself only when the reused connection turns out to be
// closed and either not a byte was written or a GET had no byte of an answer: what browsers do. It is kept from doing so with a POST that has an
// Idempotency-Key, by a spelling of that header which it does not look for.
func (u *user) exchange(ctx context.Context, request *http.Request) (*answer, *mishap) {
	ctx, cancel := context.WithTimeout(ctx, u.w.journey.Timeout)
	defer cancel()
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if value, ok := request.Header[name]; ok {
			delete(request.Header, name)
			request.Header[strings.ToLower(name)] = value
		}
	}
	tries := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries++ }}
	response, err := u.client.Do(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		u.w.tally.unanswered(max(0, tries-1))
		return nil, &mishap{cause: causeOf(err), what: describe(err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err == nil && len(body) == bodyLimit {
		_, err = io.CopyN(io.Discard, response.Body, drainLimit)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	a := &answer{
		status: response.StatusCode, header: response.Header, cookies: response.Cookies(), body: body, url: request.URL, patterns: u.w.patterns,
		release: segue.ReleaseName(u.named(response.Header, u.w.journey.ReleaseHeader)),
		server:  segue.ServerName(u.named(response.Header, u.w.journey.ServerHeader)),
		retried: max(0, tries-1),
	}
	u.w.tally.answered(u.index, a, u.moved(a.server))
	if err != nil {
		cause := CauseTruncated
		if isTimeout(err) {
			cause = CauseTimeout
		}
		return a, &mishap{cause: cause, what: "the answer broke off: " + describe(err)}
	}
	return a, nil
}

// named reads a name out of a header, as text that is safe to print.
func (u *user) named(header http.Header, name string) string {
	if name == "" {
		return ""
	}
	value := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, header.Get(name))
	return strings.ToValidUTF8(value[:min(len(value), headerLimit)], "")
}

// moved notes which server answered and says whether it is another one than before.
func (u *user) moved(server segue.ServerName) bool {
	before := u.server
	if server == "" {
		return false
	}
	u.server = server
	return before != "" && before != server
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// causeOf sorts the error of a request that got no answer.
func causeOf(err error) string {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return CauseDial
	case isTimeout(err):
		return CauseTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), strings.Contains(err.Error(), "server closed idle connection"):
		return CauseReset
	}
	return CauseProtocol
}

// describe gives an error's text without the URL, whose query may hold secrets.
func describe(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	return clip(err.Error(), 200)
}

// clip shortens text for a message.
func clip(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
