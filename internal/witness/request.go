package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const redirectLimit = 10

// userAgent lets a site's own statistics leave synthetic users out.
const userAgent = "segue-witness/1"

// request makes a step's request.
func (u *user) request(ctx context.Context, step Step, v values) (*http.Request, error) {
	target, err := u.w.target(step.Path, v)
	if err != nil {
		return nil, err
	}
	body, err := step.payload(v)
	if err != nil {
		return nil, err
	}
	method := step.Method
	if method == "" {
		method = http.MethodGet
		if body.content != nil {
			method = http.MethodPost
		}
	}
	headers, err := fillAll(step.Headers, v)
	if err != nil {
		return nil, err
	}
	return newRequest(ctx, method, target, body, headers)
}

// payload is a request's body and its type; no body when content is nil.
type payload struct {
	content []byte
	kind    string
}

func newRequest(ctx context.Context, method string, target *url.URL, body payload, headers map[string]string) (*http.Request, error) {
	var reader io.Reader
	if body.content != nil {
		reader = bytes.NewReader(body.content)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("User-Agent", userAgent)
	if body.kind != "" {
		request.Header.Set("Content-Type", body.kind)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	return request, nil
}

// payload gives a step's body.
func (s Step) payload(v values) (payload, error) {
	switch {
	case len(s.Form) > 0:
		fields, err := fillAll(s.Form, v)
		if err != nil {
			return payload{}, err
		}
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, value)
		}
		return payload{[]byte(form.Encode()), "application/x-www-form-urlencoded"}, nil
	case s.JSON != nil:
		filled, err := fillJSON(s.JSON, v)
		if err != nil {
			return payload{}, err
		}
		content, err := json.Marshal(filled)
		if err != nil {
			return payload{}, fmt.Errorf("encode JSON body: %w", err)
		}
		return payload{content, "application/json"}, nil
	case s.Body != "":
		text, err := parseTemplate(s.Body).fill(v, nil)
		return payload{content: []byte(text)}, err
	}
	return payload{}, nil
}

// target resolves a path template against the base. Another site is refused: a captured link must not send the user's cookies or load elsewhere.
func (w *Witness) target(path string, v values) (*url.URL, error) {
	filled, err := parseTemplate(path).fillPath(v)
	if err != nil {
		return nil, err
	}
	parsed, err := url.Parse(filled)
	if err != nil {
		return nil, fmt.Errorf("parse path: %w", err)
	}
	if parsed.Host != "" || parsed.Scheme != "" {
		if !w.sameSite(parsed) {
			return nil, fmt.Errorf("%s is another site", parsed.Host)
		}
		return parsed, nil
	}
	target, err := url.Parse(w.base.String() + "/" + strings.TrimPrefix(filled, "/"))
	if err != nil {
		return nil, fmt.Errorf("parse path: %w", err)
	}
	return target, nil
}

func (w *Witness) sameSite(target *url.URL) bool {
	return target.Scheme == w.base.Scheme && target.Host == w.base.Host
}

// follow sends a request and follows redirects, until an answer that is none, or whose status the step expects.
func (u *user) follow(ctx context.Context, step Step, request *http.Request) (*answer, *mishap) {
	for range redirectLimit {
		a, m := u.exchange(ctx, request)
		if m != nil {
			return a, m
		}
		if m := u.lostSession(step, a); m != nil {
			return a, m
		}
		location := a.header.Get("Location")
		if a.status < 300 || a.status > 399 || location == "" || slices.Contains(step.Expect.Status, a.status) {
			return a, nil
		}
		next, err := request.URL.Parse(location)
		if err != nil || !u.w.sameSite(next) {
			return a, &mishap{cause: CauseRedirect, what: "redirected to another site: " + clip(location, 100)}
		}
		if request, err = redirected(ctx, request, next, a.status); err != nil {
			return a, &mishap{cause: CauseRedirect, what: err.Error()}
		}
	}
	return nil, &mishap{cause: CauseRedirect, what: fmt.Sprintf("more than %d redirects", redirectLimit)}
}

// redirected makes the request that a browser sends after a redirect: with 307 and 308 the same again, else a GET.
func redirected(ctx context.Context, request *http.Request, next *url.URL, status int) (*http.Request, error) {
	var body payload
	method := http.MethodGet
	if request.Method == http.MethodHead {
		method = http.MethodHead
	}
	if status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect {
		method, body.kind = request.Method, request.Header.Get("Content-Type")
		if request.GetBody != nil {
			again, err := request.GetBody()
			if err != nil {
				return nil, fmt.Errorf("send body again: %w", err)
			}
			if body.content, err = io.ReadAll(again); err != nil {
				return nil, fmt.Errorf("send body again: %w", err)
			}
		}
	}
	return newRequest(ctx, method, next, body, nil)
}
