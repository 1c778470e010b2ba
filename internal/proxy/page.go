package proxy

import (
	_ "embed" // the page
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText)) //nolint:gochecknoglobals // parsed once, never changed

// page is an answer that the proxy gives by itself.
type page struct {
	Status int
	Title  string
	Text   string
	// RetryAfter tells clients when to come again; 0 does not.
	RetryAfter time.Duration
}

func maintenancePage(retryAfter time.Duration) page {
	return page{
		Status: http.StatusServiceUnavailable, Title: "Back in a moment", RetryAfter: max(retryAfter, time.Second),
		Text: "We are upgrading this service. Nothing is lost, and this page comes back by itself.",
	}
}

// Seconds is the Retry-After, rounded up.
func (p page) Seconds() int { return int((p.RetryAfter + time.Second - 1) / time.Second) }

// write answers with HTML for browsers, JSON for programs that ask for it, and a line of text for everybody else.
func (p page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.Seconds()))
	}
	accept := strings.Join(r.Header["Accept"], ",")
	switch {
	case p.Title == "":
		w.WriteHeader(p.Status)
	case strings.Contains(accept, "text/html"):
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(p.Status)
		_ = pageTemplate.Execute(w, p)
	case strings.Contains(accept, "json"):
		h.Set("Content-Type", "application/json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": p.Status, "error": p.Title, "message": p.Text, "retry_after": p.Seconds()})
	default:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(p.Status)
		_, _ = w.Write([]byte(p.Title + ". " + p.Text + "\n"))
	}
}
