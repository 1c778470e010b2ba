package shop

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// maxBody bounds the body of any request.
const maxBody = 64 << 10

// Handler returns all of the shop's pages.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"release": s.config.Release, "server": s.config.Server})
	})
	mux.HandleFunc("GET /art/{file}", s.art)
	mux.HandleFunc("GET /static/{file}", s.assets.serve)
	mux.HandleFunc("GET /stock", s.stockSocket)
	mux.HandleFunc("GET /events", s.events)
	s.pageRoutes(mux)
	s.apiRoutes(mux)
	return s.outer(http.NewCrossOriginProtection().Handler(mux))
}

// pageRoutes adds the pages for people.
func (s *Shop) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.page(home))
	mux.HandleFunc("GET /products/{slug}", s.page(product))
	mux.HandleFunc("GET /login", s.page(accountForm("login")))
	mux.HandleFunc("POST /login", s.page(login))
	mux.HandleFunc("GET /register", s.page(accountForm("register")))
	mux.HandleFunc("POST /register", s.page(register))
	mux.HandleFunc("POST /logout", s.page(logout))
	mux.HandleFunc("GET /cart", s.page(cart))
	mux.HandleFunc("POST /cart", s.page(addToCart))
	mux.HandleFunc("POST /cart/update", s.page(updateCart))
	mux.HandleFunc("GET /orders", s.page(loggedIn(orders)))
	mux.HandleFunc("POST /orders", s.page(loggedIn(placeOrder)))
	mux.HandleFunc("GET /orders/{id}", s.page(loggedIn(order)))
	if s.features.wishlist {
		mux.HandleFunc("GET /wishlist", s.page(loggedIn(wishlist)))
		mux.HandleFunc("POST /wishlist", s.page(loggedIn(changeWishlist)))
	}
	if s.features.ratings {
		mux.HandleFunc("POST /products/{slug}/rating", s.page(loggedIn(rate)))
	}
	mux.HandleFunc("GET /", s.page(func(*visit) error { return problem{http.StatusNotFound, "There is no such page."} }))
}

// apiRoutes adds the JSON API.
func (s *Shop) apiRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/products", s.api(apiProducts))
	mux.HandleFunc("GET /api/products/{slug}", s.api(apiProduct))
	mux.HandleFunc("GET /api/me", s.api(apiMe))
	mux.HandleFunc("GET /api/customer", s.api(loggedIn(apiCustomer)))
	mux.HandleFunc("PUT /api/customer", s.api(loggedIn(apiCustomer)))
	mux.HandleFunc("POST /api/register", s.api(apiRegister))
	mux.HandleFunc("POST /api/login", s.api(apiLogin))
	mux.HandleFunc("POST /api/logout", s.api(apiLogout))
	mux.HandleFunc("GET /api/cart", s.api(apiCart))
	mux.HandleFunc("POST /api/cart", s.api(apiAddToCart))
	mux.HandleFunc("PUT /api/cart", s.api(apiAddToCart))
	mux.HandleFunc("DELETE /api/cart", s.api(apiEmptyCart))
	mux.HandleFunc("GET /api/orders", s.api(loggedIn(apiOrders)))
	mux.HandleFunc("POST /api/orders", s.api(loggedIn(apiPlaceOrder)))
	if s.features.wishlist {
		mux.HandleFunc("GET /api/wishlist", s.api(loggedIn(apiWishlist)))
		mux.HandleFunc("POST /api/wishlist", s.api(loggedIn(apiChangeWishlist)))
		mux.HandleFunc("DELETE /api/wishlist", s.api(loggedIn(apiChangeWishlist)))
	}
	if s.features.ratings {
		mux.HandleFunc("POST /api/products/{slug}/rating", s.api(loggedIn(apiRate)))
	}
	mux.HandleFunc("GET /api/", s.api(func(*visit) error { return problem{http.StatusNotFound, "There is no such resource."} }))
}

// readyz answers whether the shop wants traffic.
func (s *Shop) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready() {
		writeText(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

// isProbe reports whether a request asks after the shop's state; probes are never faulty and not logged.
func isProbe(r *http.Request) bool {
	return r.URL.Path == "/readyz" || r.URL.Path == "/livez" || r.URL.Path == "/version"
}

// outer is around every request: who answers, limits, faults of a bad release, the log.
func (s *Shop) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		header := w.Header()
		header.Set("X-Shop-Release", s.config.Release)
		header.Set("X-Shop-Server", s.config.Server)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		if s.stopping.Load() {
			header.Set("Connection", "close")
		}
		if isProbe(r) {
			next.ServeHTTP(w, r)
			return
		}
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		if !s.fail(recorder, r) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(recorder, r)
		}
		s.logRequest(r, recorder.status, time.Since(start))
	})
}

// fail does what a bad release does to a request and reports whether it has been answered by that.
func (s *Shop) fail(w http.ResponseWriter, r *http.Request) bool {
	switch s.fault {
	case FaultSlow:
		timer := time.NewTimer(s.config.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	case FaultErrors:
		n := float64(s.requests.Add(1))
		if share := s.config.ErrorShare; int64(n*share) != int64((n-1)*share) {
			s.log.ErrorContext(r.Context(), "price not found",
				slog.String("path", r.URL.Path), slog.String("error", "sql: no rows in result set"))
			writeText(w, http.StatusInternalServerError, "Something went wrong.\n")
			return true
		}
	case FaultNone, FaultUnready, FaultCrash:
	}
	return false
}

// logRequest logs what changes something or goes wrong; plain reading is logged at debug level.
func (s *Shop) logRequest(r *http.Request, status int, took time.Duration) {
	level := slog.LevelDebug
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case status >= http.StatusBadRequest:
		level = slog.LevelWarn
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		level = slog.LevelInfo
	}
	ctx := context.WithoutCancel(r.Context())
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "request",
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000))
}

// statusRecorder keeps the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker, for WebSockets.
func (r *statusRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap gives http.ResponseController the writer behind.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
