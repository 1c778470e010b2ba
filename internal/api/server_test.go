package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canned answers every call with what a test put in, or with its error.
type canned struct {
	err     error
	deploy  api.DeployRequest
	order   api.OrderRequest
	entries []segue.Entry
	status  api.Status
}

func (c *canned) Plan(_ context.Context, req api.DeployRequest) (api.PlanReply, error) {
	c.deploy = req
	return api.PlanReply{Index: 7, Plans: []api.ServicePlan{}}, c.err
}

func (c *canned) Deploy(_ context.Context, req api.DeployRequest) (api.DeployReply, error) {
	c.deploy = req
	return api.DeployReply{Rollouts: []api.Rollout{{ID: 3, Service: "web", Candidate: "v2", Phase: segue.PhaseProgressing}}}, c.err
}

func (c *canned) Order(_ context.Context, req api.OrderRequest) (api.Rollout, error) {
	c.order = req
	return api.Rollout{ID: 3}, c.err
}
func (c *canned) Rotate(context.Context, api.RotationRequest) error { return c.err }
func (c *canned) Status(context.Context) (api.Status, error)        { return c.status, c.err }
func (c *canned) Rollout(_ context.Context, id segue.RolloutID) (api.Rollout, error) {
	return api.Rollout{ID: id}, c.err
}

func (c *canned) History(_ context.Context, limit int) ([]api.HistoryEntry, error) {
	return make([]api.HistoryEntry, limit), c.err
}

func (c *canned) Receipt(context.Context, segue.RolloutID) (json.RawMessage, error) {
	return json.RawMessage(`{"a":1}`), c.err
}

func (c *canned) Compare(context.Context) ([]operator.Comparison, error) {
	return []operator.Comparison{{Service: "web", Rollout: 7, Windows: 12}}, c.err
}

func (c *canned) Replay(_ context.Context, id segue.RolloutID) (operator.Replay, error) {
	return operator.Replay{Rollout: id, Windows: 12, Same: true}, c.err
}

func (c *canned) LogDiff(context.Context, segue.RolloutID) ([]operator.LogDifference, error) {
	return []operator.LogDifference{{Template: "0123456789abcdef", Text: "cart <*> lost", Kind: "new", Candidate: 3}}, c.err
}

func (c *canned) Logs(context.Context, segue.ServerName, int, bool) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("line one\nline two\n")), c.err
}

func (c *canned) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		for _, entry := range c.entries {
			if entry.Index >= from && !yield(entry, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}
func (c *canned) Shutdown(context.Context, bool) error { return c.err }

func start(t *testing.T, controller api.Controller) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "segue.sock")
	listener, err := api.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listener.Run(ctx, api.NewServer(controller, ""), slog.New(slog.DiscardHandler)) }()
	client := api.NewUnixClient(socket)
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client
}

func TestDeployReachesControllerAsSent(t *testing.T) {
	controller := &canned{}
	client := start(t, controller)
	want := api.DeployRequest{
		Project: api.Project{File: "segue.yaml", Dir: "/srv/shop", Text: "project: shop", Variables: map[string]string{"DATABASE_URL": "x"}},
		Targets: []api.Target{{Service: "web", Release: "v2"}},
		Plan:    7, By: "ana", Why: "new search",
	}
	reply, err := client.Deploy(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, controller.deploy); diff != "" {
		t.Errorf("request (-sent +got):\n%s", diff)
	}
	if len(reply.Rollouts) != 1 || reply.Rollouts[0].Candidate != "v2" {
		t.Errorf("reply = %+v", reply)
	}
}

func TestErrorsKeepKindMessageAndHint(t *testing.T) {
	for _, kind := range []segue.Kind{segue.KindInvalid, segue.KindNotFound, segue.KindConflict, segue.KindRefused, segue.KindTimeout, segue.KindFault} {
		t.Run(kind.String(), func(t *testing.T) {
			client := start(t, &canned{err: segue.Errorf(kind, "web: no").WithHint("do this")})
			_, err := client.Status(t.Context())
			if segue.KindOf(err) != kind || err.Error() != "web: no" || segue.HintOf(err) != "do this" {
				t.Errorf("Status = %v (kind %v, hint %q)", err, segue.KindOf(err), segue.HintOf(err))
			}
		})
	}
}

func TestOutOfBoundsIsInvalid(t *testing.T) {
	client := start(t, &canned{})
	_, err := client.Deploy(t.Context(), api.DeployRequest{Targets: []api.Target{}})
	if segue.KindOf(err) != segue.KindInvalid || !strings.Contains(err.Error(), "targets") {
		t.Errorf("Deploy without targets = %v, want invalid, naming targets", err)
	}
}

func TestWatchGivesEntriesInOrder(t *testing.T) {
	want := []segue.Entry{
		{Index: 1, Event: segue.Event{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbPause, By: "ana"}}},
		{Index: 2, Event: segue.Event{Kind: segue.EventStepDone, Step: 4, Outcome: &segue.Outcome{Address: "127.0.0.1:1"}}},
	}
	client := start(t, &canned{entries: want})
	var got []segue.Entry
	for entry, err := range client.Watch(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, entry); len(got) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestLogsAreStreamed(t *testing.T) {
	client := start(t, &canned{})
	logs, err := client.Logs(t.Context(), "web-1", 10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil || string(text) != "line one\nline two\n" {
		t.Errorf("logs = %q, %v", text, err)
	}
}

func TestTokenIsNeededOnTCP(t *testing.T) {
	listener, err := api.ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listener.Run(ctx, api.NewServer(&canned{}, "right"), slog.New(slog.DiscardHandler)) }()
	defer func() { cancel(); <-done }()
	for token, want := range map[string]segue.Kind{"": segue.KindRefused, "wrong": segue.KindRefused} {
		client := api.NewTCPClient("http://"+listener.Address(), token)
		if _, err := client.Status(t.Context()); segue.KindOf(err) != want {
			t.Errorf("token %q: %v, want kind %v", token, err, want)
		}
		client.Close()
	}
	client := api.NewTCPClient("http://"+listener.Address(), "right")
	defer client.Close()
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("right token: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestOpenAPIIsFresh(t *testing.T) {
	got, err := api.NewServer(&canned{}, "").OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "openapi.yaml")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/openapi.yaml is stale: run `make gen`")
	}
}

// Databases, and what is asked of them, are not part of this double's world.
func (c *canned) Databases(context.Context) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, c.err
}

func (c *canned) CheckDatabases(context.Context, operator.PrepareRequest) ([]operator.DatabaseCheck, error) {
	return nil, c.err
}

func (c *canned) Prepare(context.Context, operator.PrepareRequest) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, c.err
}

func (c *canned) OrderDatabase(context.Context, operator.DatabaseOrder) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, c.err
}
