package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/version"
)

// bodyLimit bounds a request's body: a segue.yaml of 1 MiB and its variables.
const bodyLimit = 4 << 20

// Server serves a Controller.
type Server struct {
	controller Controller
	mux        *http.ServeMux
	api        huma.API
	// calls counts what is under way, so that an idle controller knows when nobody watches it.
	calls atomic.Int64
	last  atomic.Int64
	// token is needed of every request unless empty.
	token string
}

// NewServer makes a server; token is "" on a unix socket and must not be on TCP.
func NewServer(controller Controller, token string) *Server {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Segue", version.Version)
	config.Info.Description = "Replace the version that a fleet of servers runs, while its users keep working."
	config.CreateHooks = nil
	config.DocsPath = ""
	s := &Server{controller: controller, mux: mux, api: humago.New(mux, config), token: token}
	s.register()
	return s
}

// OpenAPI gives the description of the API, version 3.1, as YAML.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().YAML() }

// Handle adds a handler beside the API: pages and the like.
func (s *Server) Handle(pattern string, handler http.Handler) { s.mux.Handle(pattern, handler) }

// Busy reports how many calls are under way and when the last one ended.
func (s *Server) Busy() (calls int64, last time.Time) {
	return s.calls.Load(), time.Unix(0, s.last.Load())
}

// ServeHTTP checks the token and serves.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	defer func() {
		s.last.Store(time.Now().UnixNano())
		s.calls.Add(-1)
	}()
	if s.token != "" {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(s.token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="segue"`)
			writeProblem(w, &problem{
				Title: "Unauthorized", Status: http.StatusUnauthorized, Kind: segue.KindRefused,
				Detail: "this controller needs a token", Hint: "set SEGUE_TOKEN to the token that `segue serve` was started with",
			})
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

type bodyOf[T any] struct{ Body T }

type idPath struct {
	ID int64 `path:"id" minimum:"0" doc:"number of the rollout; 0 is the latest"`
}

func post[In, Out any](s *Server, path, id, summary string, do func(context.Context, In) (Out, error)) {
	op := huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, MaxBodyBytes: bodyLimit}
	huma.Register(s.api, op, func(ctx context.Context, in *bodyOf[In]) (*bodyOf[Out], error) {
		return reply(do(ctx, in.Body))
	})
}

func get[In, Out any](s *Server, path, id, summary string, do func(context.Context, *In) (Out, error)) {
	op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*bodyOf[Out], error) {
		return reply(do(ctx, in))
	})
}

func reply[Out any](out Out, err error) (*bodyOf[Out], error) {
	if err != nil {
		return nil, problemOf(err)
	}
	return &bodyOf[Out]{Body: out}, nil
}

type none struct{}

func (s *Server) register() {
	c := s.controller
	post(s, "/v1/plan", "plan", "Say what a deploy would do", c.Plan)
	post(s, "/v1/deploy", "deploy", "Open rollouts", c.Deploy)
	post(s, "/v1/order", "order", "Give an order to a rollout", c.Order)
	post(s, "/v1/rotation", "rotate", "Drain or admit a server by hand", func(ctx context.Context, req RotationRequest) (none, error) {
		return none{}, c.Rotate(ctx, req)
	})
	post(s, "/v1/shutdown", "shutdown", "End the controller; instances and proxy go on", func(ctx context.Context, req struct {
		Force bool `json:"force,omitempty"`
	},
	) (none, error) {
		return none{}, c.Shutdown(ctx, req.Force)
	})
	get(s, "/v1/status", "status", "Everything at this moment", func(ctx context.Context, _ *none) (Status, error) { return c.Status(ctx) })
	get(s, "/v1/rollouts/{id}", "rollout", "One rollout", func(ctx context.Context, in *idPath) (Rollout, error) {
		return c.Rollout(ctx, segue.RolloutID(in.ID))
	})
	get(s, "/v1/rollouts/{id}/receipt", "receipt", "The receipt of a rollout; a partial one while it is open", func(ctx context.Context, in *idPath) (ReceiptReply, error) {
		receipt, err := c.Receipt(ctx, segue.RolloutID(in.ID))
		return ReceiptReply{Receipt: receipt}, err
	})
	get(s, "/v1/history", "history", "The latest rollouts, newest first", func(ctx context.Context, in *struct {
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"20"`
	},
	) ([]HistoryEntry, error) {
		return c.History(ctx, in.Limit)
	})
	s.registerJudges()
	s.registerDatabases()
	s.registerLogs()
	s.registerEvents()
}

func (s *Server) registerDatabases() {
	c := s.controller
	get(s, "/v1/databases", "databases", "How every database stands", func(ctx context.Context, _ *none) (operator.DatabasesReply, error) {
		return c.Databases(ctx)
	})
	post(s, "/v1/databases/check", "checkDatabases", "Say what a release does to its databases, and what works with what", c.CheckDatabases)
	post(s, "/v1/databases/prepare", "prepareDatabases", "Begin the long work that a release will need", c.Prepare)
	post(s, "/v1/databases/order", "orderDatabase", "Give an order to the work on a database", c.OrderDatabase)
}

func (s *Server) registerJudges() {
	c := s.controller
	get(s, "/v1/compare", "compare", "What the judges of every service say by now", func(ctx context.Context, _ *none) ([]operator.Comparison, error) {
		return c.Compare(ctx)
	})
	get(s, "/v1/rollouts/{id}/replay", "replay", "A rollout judged again from what was stored of it", func(ctx context.Context, in *idPath) (operator.Replay, error) {
		return c.Replay(ctx, segue.RolloutID(in.ID))
	})
	get(s, "/v1/rollouts/{id}/logs", "logDiff", "What the releases of a rollout logged, side by side", func(ctx context.Context, in *idPath) ([]operator.LogDifference, error) {
		return c.LogDiff(ctx, segue.RolloutID(in.ID))
	})
}

func (s *Server) registerLogs() {
	op := huma.Operation{OperationID: "logs", Method: http.MethodGet, Path: "/v1/servers/{server}/logs", Summary: "The output of the instance on a server"}
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		Server string `path:"server"`
		Tail   int    `query:"tail" minimum:"0" maximum:"100000" default:"100"`
		Follow bool   `query:"follow"`
	},
	) (*huma.StreamResponse, error) {
		logs, err := s.controller.Logs(ctx, segue.ServerName(in.Server), in.Tail, in.Follow)
		if err != nil {
			return nil, problemOf(err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) { stream(ctx, logs) }}, nil
	})
}

func stream(ctx huma.Context, logs io.ReadCloser) {
	defer logs.Close()
	ctx.SetHeader("Content-Type", "text/plain; charset=utf-8")
	out := ctx.BodyWriter()
	flusher, _ := out.(http.Flusher)
	buffer := make([]byte, 32<<10)
	for {
		n, err := logs.Read(buffer)
		if n > 0 {
			if _, werr := out.Write(buffer[:n]); werr != nil {
				return
			}
			if flusher != nil {
				flusher.Flush()
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *Server) registerEvents() {
	op := huma.Operation{OperationID: "events", Method: http.MethodGet, Path: "/v1/events", Summary: "The journal's entries from an index on, live"}
	sse.Register(s.api, op, map[string]any{"entry": segue.Entry{}}, func(ctx context.Context, in *struct {
		From int64 `query:"from" minimum:"0"`
	}, send sse.Sender,
	) {
		for entry, err := range s.controller.Watch(ctx, in.From) {
			if err != nil || send(sse.Message{ID: int(entry.Index), Data: entry}) != nil {
				return
			}
		}
	})
}
