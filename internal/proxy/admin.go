package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/segue-deploy/segue"
)

// maxAdminBody bounds what is read of an admin request, in bytes.
const maxAdminBody = 1 << 20

// adminTimeout bounds an admin request's header and body.
const adminTimeout = 10 * time.Second

// problem is an error on the wire.
type problem struct {
	Kind    segue.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

// Bodies of admin requests and answers.
type (
	admitRequest struct {
		SlowStart time.Duration `json:"slow_start"`
	}
	closeLongRequest struct {
		Spread time.Duration `json:"spread"`
	}
	closeLongAnswer struct {
		Closed int `json:"closed"`
	}
	weighRequest struct {
		Shares map[segue.ReleaseName]float64 `json:"shares"`
	}
	holdRequest struct {
		Most time.Duration `json:"most"`
	}
	maintenanceRequest struct {
		RetryAfter time.Duration `json:"retry_after"`
	}
	healthAnswer struct {
		Epoch    string   `json:"epoch"`
		Services []string `json:"services"`
		Stopping bool     `json:"stopping,omitempty"`
	}
)

// admin builds the handler of the admin socket.
func (p *Proxy) admin() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.reply(w, r, f) })
	}
	handle("GET /healthz", p.getHealth)
	handle("GET /v1/services", p.getServices)
	handle("GET /v1/services/{service}", p.getService)
	handle("PUT /v1/services/{service}", p.putService)
	handle("DELETE /v1/services/{service}", p.deleteService)
	handle("POST /v1/services/{service}/backends", p.postBackend)
	handle("GET /v1/services/{service}/backends/{id}", p.getBackend)
	handle("GET /v1/services/{service}/backends/{id}/in-flight", p.getInFlight)
	handle("POST /v1/services/{service}/backends/{id}/admit", p.postAdmit)
	handle("POST /v1/services/{service}/backends/{id}/drain", p.postDrain)
	handle("POST /v1/services/{service}/backends/{id}/settle", p.postSettle)
	handle("POST /v1/services/{service}/backends/{id}/close-long", p.postCloseLong)
	handle("DELETE /v1/services/{service}/backends/{id}", p.deleteBackend)
	handle("PUT /v1/services/{service}/weights", p.putWeights)
	handle("PUT /v1/services/{service}/hold", p.putHold)
	handle("DELETE /v1/services/{service}/hold", p.deleteHold)
	handle("PUT /v1/services/{service}/maintenance", p.putMaintenance)
	handle("DELETE /v1/services/{service}/maintenance", p.deleteMaintenance)
	mux.HandleFunc("POST /v1/services/{service}/mirror", p.postMirror)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry(), promhttp.HandlerOpts{}))
	return mux
}

// reply carries out an admin request and writes its answer: 200 with JSON, 204 when there is nothing to say, or a problem.
func (p *Proxy) reply(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
	answer, err := f(r)
	switch {
	case err != nil:
		writeJSON(w, statusOf(segue.KindOf(err)), problem{segue.KindOf(err), err.Error(), segue.HintOf(err)})
		p.log.DebugContext(r.Context(), "admin request refused", "method", r.Method, "path", r.URL.Path, "error", err)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// statusOf gives the HTTP status of a kind of error.
func statusOf(kind segue.Kind) int {
	switch kind {
	case segue.KindInvalid:
		return http.StatusBadRequest
	case segue.KindNotFound:
		return http.StatusNotFound
	case segue.KindConflict, segue.KindRefused:
		return http.StatusConflict
	case segue.KindUnavailable:
		return http.StatusServiceUnavailable
	case segue.KindTimeout:
		return http.StatusGatewayTimeout
	case segue.KindCanceled:
		return statusClientGone
	case segue.KindUnsupported:
		return http.StatusNotImplemented
	case segue.KindFault, segue.KindCorrupt, segue.KindUnhealthy:
	}
	return http.StatusInternalServerError
}

// decode reads a JSON body strictly; no body leaves v as it is.
func decode(r *http.Request, v any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil && decoder.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return segue.Errorf(segue.KindInvalid, "read body of %s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

// newAdminServer builds the server of the admin socket.
func newAdminServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout, IdleTimeout: clientIdleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
