package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// problem is an error that a visitor may read, with the status it is answered with.
type problem struct {
	status  int
	message string
}

// Error implements error.
func (p problem) Error() string { return p.message }

// errNotLoggedIn sends a visitor to the login, or is answered with 401 in the API.
var errNotLoggedIn = errors.New("not logged in")

// visit is one request with what every handler needs.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	shop    *Shop
	counter *counter
	visitor session
}

// begin looks the visitor up. It fails while the shop is not open.
func (s *Shop) begin(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{w: w, r: r, shop: s, counter: s.open.Load()}
	if v.counter == nil {
		w.Header().Set("Retry-After", "1")
		return v, problem{http.StatusServiceUnavailable, "The shop opens in a moment."}
	}
	w.Header().Set("Cache-Control", "no-store")
	var err error
	v.visitor, err = v.counter.sessionOf(r.Context(), r)
	return v, err
}

// page makes a handler of a page; errors are answered as one.
func (s *Shop) page(do func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.begin(w, r)
		if err == nil {
			err = do(v)
		}
		if err == nil {
			return
		}
		if errors.Is(err, errNotLoggedIn) {
			next := "/cart"
			if r.Method == http.MethodGet {
				next = r.URL.Path
			}
			http.Redirect(w, r, "/login?next="+next, http.StatusSeeOther)
			return
		}
		status, message := s.explain(r, err)
		if renderErr := v.render(status, "error", view{Title: "Sorry", Message: message}); renderErr != nil {
			writeText(w, status, message+"\n")
		}
	}
}

// api makes a handler of the JSON API; errors are answered as {"error": "..."}.
func (s *Shop) api(do func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.begin(w, r)
		if err == nil {
			err = do(v)
		}
		if err == nil {
			return
		}
		if errors.Is(err, errNotLoggedIn) {
			err = problem{http.StatusUnauthorized, "Please log in first."}
		}
		status, message := s.explain(r, err)
		writeJSON(w, status, map[string]string{"error": message})
	}
}

// explain returns what a visitor is told about an error; what is nobody's business is logged instead.
func (s *Shop) explain(r *http.Request, err error) (status int, message string) {
	if told, ok := errors.AsType[problem](err); ok {
		return told.status, told.message
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, "That is too much."
	}
	if r.Context().Err() != nil {
		return 499, "The client has gone."
	}
	s.log.ErrorContext(r.Context(), "request failed", slog.String("route", r.Pattern), slog.Any("error", err))
	return http.StatusInternalServerError, "Something went wrong here. Please try again."
}

// loggedIn wraps a handler that needs a user.
func loggedIn(do func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if v.visitor.UserID == 0 {
			return errNotLoggedIn
		}
		return do(v)
	}
}

// render answers with a page.
func (v *visit) render(status int, name string, about view) error {
	about.Release, about.Server = v.shop.config.Release, v.shop.config.Server
	about.Features, about.Visitor = v.shop.features, v.visitor
	about.Style, about.Script = v.shop.assets.style.url, v.shop.assets.script.url
	var body bytes.Buffer
	if err := v.shop.pages[name].ExecuteTemplate(&body, "base", about); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body.Bytes())
	return nil
}

// redirect answers a form.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// product returns the product with a slug.
func (v *visit) product(slug string) (Product, error) {
	p, found := v.counter.watcher.catalogue().find(slug)
	if !found {
		return p, problem{http.StatusNotFound, "There is no such record."}
	}
	return p, nil
}

// form returns a field of the form that was sent.
func (v *visit) form(name string) (string, error) {
	if err := v.r.ParseForm(); err != nil {
		return "", unreadable(err)
	}
	return v.r.PostForm.Get(name), nil
}

// decode reads a JSON body. Unknown fields are passed over: they may be a later release's.
func (v *visit) decode(into any) error {
	if err := json.NewDecoder(v.r.Body).Decode(into); err != nil {
		return unreadable(err)
	}
	return nil
}

// unreadable is the error for a request that cannot be understood.
func unreadable(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return problem{http.StatusBadRequest, "The request cannot be read."}
}

// localPath returns a path on this site to go on with, "/" for anything else.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

// writeText answers with plain text.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// writeJSON answers with JSON.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		writeText(w, http.StatusInternalServerError, "Something went wrong.\n")
		return
	}
	writeRawJSON(w, status, body)
}

// writeRawJSON answers with JSON that is there already.
func writeRawJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
