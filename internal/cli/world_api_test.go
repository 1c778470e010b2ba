package cli_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/strategy"
)

var _ api.Controller = (*world)(nil)

// call takes the lock, or fails as a controller that is away.
func (w *world) call() (func(), error) {
	w.mu.Lock()
	if w.down {
		w.mu.Unlock()
		return nil, segue.Errorf(segue.KindUnavailable, "call controller: connection refused")
	}
	return w.mu.Unlock, nil
}

// wish is what a deploy means for one service.
type wish struct {
	settings  segue.Service
	candidate segue.Release
	stable    segue.Release
	plan      segue.Plan
	open      *rollout.State
}

func (w *world) wishes(req api.DeployRequest) ([]wish, error) {
	lookup := func(name string) (string, bool) { value, ok := req.Project.Variables[name]; return value, ok }
	project, err := spec.Parse([]byte(req.Project.Text), spec.Options{File: req.Project.File, Dir: req.Project.Dir, Lookup: lookup})
	if err != nil {
		return nil, err
	}
	var all []wish
	for _, service := range project.Services {
		for _, target := range req.Targets {
			if target.Service != "" && target.Service != service.Name {
				continue
			}
			one, err := w.wish(req, service.Service, target.Release)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

func (w *world) wish(req api.DeployRequest, settings segue.Service, release segue.ReleaseName) (wish, error) {
	one := wish{settings: settings, candidate: segue.Release{Service: settings.Name, Name: release, Digest: segue.Digest("sha256:" + release)}}
	fleet := segue.Fleet{Service: settings.Name}
	if known, ok := w.ledger.Services[settings.Name]; ok {
		fleet, one.stable, one.open = known.Fleet, known.Stable, known.Open
		if req.Plan > 0 && known.Index > req.Plan {
			return one, segue.Errorf(segue.KindConflict, "the fleet of %s has changed since plan %d (now %d)", settings.Name, req.Plan, known.Index).
				WithHint("look at a fresh plan with `segue plan`")
		}
	}
	if one.open != nil && one.open.Candidate.Name != release && !req.Replace && !req.Queue {
		return one, segue.Errorf(segue.KindRefused, "%s is being rolled to %s: %s would be a third release", settings.Name, one.open.Candidate.Name, release).
			WithHint("use --replace to make %s the candidate instead, or --queue to wait", release)
	}
	var err error
	one.plan, err = strategy.Plan(strategy.Request{
		Rollout: w.ledger.Next(), Service: settings, Fleet: fleet, Stable: one.stable, Candidate: one.candidate, Goal: segue.GoalForward, Hurry: req.Hurry,
	})
	return one, err
}

func (w *world) Plan(_ context.Context, req api.DeployRequest) (api.PlanReply, error) {
	done, err := w.call()
	if err != nil {
		return api.PlanReply{}, err
	}
	defer done()
	all, err := w.wishes(req)
	reply := api.PlanReply{Index: int64(len(w.entries)), Plans: []api.ServicePlan{}}
	for _, one := range all {
		reply.Plans = append(reply.Plans, api.ServicePlan{
			Plan: one.plan, Lines: strategy.Describe(one.plan),
			Forecast: api.Forecast{AtLeast: 10 * time.Second, AtMost: 130 * time.Second, PeakLoad: 4.0 / 3, Finds: []api.Prospect{
				{What: "answers that take twice as long", Within: 8 * time.Second},
				{What: "three times as many failed answers", Within: 4 * time.Minute},
				{What: "a new error line, once a minute"},
			}, Past: &api.Past{Answers: 4 * time.Minute, Logs: 34 * time.Minute, Enough: 20 * time.Minute}},
		})
	}
	return reply, err
}

func (w *world) Deploy(_ context.Context, req api.DeployRequest) (api.DeployReply, error) {
	done, err := w.call()
	if err != nil {
		return api.DeployReply{}, err
	}
	defer done()
	all, err := w.wishes(req)
	if err != nil {
		return api.DeployReply{}, err
	}
	reply := api.DeployReply{Rollouts: []api.Rollout{}}
	var opened []segue.RolloutID
	for _, one := range all {
		if one.open != nil && one.open.Candidate.Name == one.candidate.Name {
			reply.Notes = append(reply.Notes, fmt.Sprintf("%s: rollout %s to %s is under way already", one.settings.Name, one.open.ID, one.candidate.Name))
			continue
		}
		if one.plan.Empty() && one.open == nil {
			reply.Notes = append(reply.Notes, one.plan.Notes...)
			continue
		}
		opened = append(opened, w.opening(req, one))
	}
	w.rest()
	for _, id := range opened {
		r, err := w.view(id)
		if err != nil {
			return reply, err
		}
		reply.Rollouts = append(reply.Rollouts, r)
	}
	return reply, nil
}

func (w *world) opening(req api.DeployRequest, one wish) segue.RolloutID {
	id, name := w.ledger.Next(), one.settings.Name
	settings, candidate := one.settings, one.candidate
	if one.open == nil {
		w.write(segue.Event{Kind: segue.EventServiceConfigured, Service: name, Settings: &settings, Config: "sha256:11"})
	}
	w.write(segue.Event{Kind: segue.EventReleaseRegistered, Service: name, Release: &candidate})
	if one.open != nil && req.Replace {
		order := segue.Order{Verb: segue.VerbAbort, By: req.By, Why: "replaced by " + string(candidate.Name)}
		w.write(segue.Event{Kind: segue.EventOrder, Service: name, Rollout: one.open.ID, Order: &order})
	}
	w.write(segue.Event{Kind: segue.EventOpened, Service: name, Rollout: id, Opening: &segue.Opening{
		Settings: settings, Stable: one.stable, Candidate: candidate, Fleet: w.ledger.Services[name].Fleet, Plan: one.plan, Queued: one.open != nil,
		By: req.By, Why: req.Why,
	}})
	return id
}

func (w *world) Order(_ context.Context, req api.OrderRequest) (api.Rollout, error) {
	done, err := w.call()
	if err != nil {
		return api.Rollout{}, err
	}
	defer done()
	for name, service := range w.ledger.Services {
		state := service.Open
		if state == nil || req.Service != "" && req.Service != name || req.Rollout != 0 && req.Rollout != state.ID {
			continue
		}
		if err := rollout.Accepts(*state, req.Order); err != nil {
			return api.Rollout{}, err
		}
		id := state.ID
		w.write(segue.Event{Kind: segue.EventOrder, Service: name, Rollout: id, Order: &req.Order})
		r, err := w.view(id)
		w.rest()
		return r, err
	}
	return api.Rollout{}, segue.Errorf(segue.KindConflict, "no rollout is open")
}

func (w *world) Rotate(_ context.Context, req api.RotationRequest) error {
	done, err := w.call()
	if err != nil {
		return err
	}
	defer done()
	for name, service := range w.ledger.Services {
		slot, ok := service.Fleet.Slot(req.Server)
		if !ok {
			continue
		}
		rotation := segue.RotationDraining
		if req.In {
			rotation = segue.RotationIn
		}
		w.write(segue.Event{Kind: segue.EventRotation, Service: name, Server: req.Server, Instance: slot.Instance.ID, Rotation: rotation})
		return nil
	}
	return segue.Errorf(segue.KindNotFound, "no server %q", req.Server).WithHint("`segue status` lists them")
}

func (w *world) Status(context.Context) (api.Status, error) {
	done, err := w.call()
	if err != nil {
		return api.Status{}, err
	}
	defer done()
	status := api.Status{Version: "dev", PID: 42, StartedAt: dawn(), Index: int64(len(w.entries)), Services: []api.ServiceStatus{}}
	for name, known := range w.ledger.Services {
		service := api.ServiceStatus{
			Name: name, Stable: known.Stable.Name, Previous: known.Previous.Name, Until: known.PreviousUntil, Fleet: known.Fleet, Listen: "127.0.0.1:8080",
		}
		service.Fleet.Slots = slices.Clone(known.Fleet.Slots)
		if known.Open != nil {
			r, _ := w.view(known.Open.ID)
			service.Rollout = &r
		}
		for _, release := range known.Fleet.Releases() {
			servers := len(known.Fleet.On(release))
			service.Traffic = append(service.Traffic, api.ReleaseTraffic{
				Release: release, Backends: servers, Requests: int64(1200 * servers), InFlight: servers, P50: 3 * time.Millisecond, P99: 41 * time.Millisecond,
			})
		}
		for _, slot := range known.Fleet.Slots {
			if slot.Rotation != segue.RotationIn && known.Open == nil {
				service.Problems = append(service.Problems, fmt.Sprintf("%s is out of rotation", slot.Server.Name))
			}
		}
		status.Services = append(status.Services, service)
	}
	slices.SortFunc(status.Services, func(a, b api.ServiceStatus) int { return cmp.Compare(a.Name, b.Name) })
	return status, nil
}

func (w *world) Rollout(_ context.Context, id segue.RolloutID) (api.Rollout, error) {
	done, err := w.call()
	if err != nil {
		return api.Rollout{}, err
	}
	defer done()
	return w.view(cmp.Or(id, w.ledger.Next()-1))
}

// view is a rollout as the controller shows it; one that has ended has no steps any more.
func (w *world) view(id segue.RolloutID) (api.Rollout, error) {
	last := int64(len(w.entries))
	if state, ok := w.ledger.Rollout(id); ok {
		r := api.Rollout{
			ID: state.ID, Service: state.Service, Stable: state.Stable.Name, Candidate: state.Candidate.Name, Phase: state.Phase, Reason: state.Reason,
			Sentence: rollout.EndSentence(*state), By: state.By, OpenedAt: state.OpenedAt, Goal: state.Goal, Batches: state.Plan.Batches,
			Fleet: state.Fleet, Verdict: state.Verdict, Failure: state.GateFailed, Index: last,
		}
		r.Fleet.Slots = slices.Clone(state.Fleet.Slots)
		for i, step := range state.Steps {
			r.Steps = append(r.Steps, api.StepStatus{
				Step: state.Plan.Steps[i], Status: string(step.Status), Attempt: step.Attempt, Since: step.Since, Until: step.Until, Failure: step.Failure,
			})
		}
		return r, nil
	}
	for _, known := range w.ledger.Services {
		for _, past := range known.History {
			if past.ID == id {
				r := api.Rollout{
					ID: id, Service: past.Service, Stable: past.Stable, Candidate: past.Candidate, Phase: past.Phase, Sentence: past.Sentence, By: past.By,
					OpenedAt: past.OpenedAt, EndedAt: past.EndedAt, Fleet: known.Fleet, Index: last, Receipt: w.stored(id) != nil,
				}
				r.Fleet.Slots = slices.Clone(known.Fleet.Slots)
				return r, nil
			}
		}
	}
	return api.Rollout{}, segue.Errorf(segue.KindNotFound, "no rollout %s", id).WithHint("`segue history` lists them")
}

func (w *world) stored(id segue.RolloutID) json.RawMessage {
	for _, entry := range w.entries {
		if entry.Event.Kind == segue.EventReceipt && entry.Event.Rollout == id {
			return entry.Event.Data
		}
	}
	return nil
}

func (w *world) History(_ context.Context, limit int) ([]api.HistoryEntry, error) {
	done, err := w.call()
	if err != nil {
		return nil, err
	}
	defer done()
	var history []api.HistoryEntry
	for id := w.ledger.Next() - 1; id > 0 && len(history) < limit; id-- {
		r, err := w.view(id)
		if err != nil {
			return nil, err
		}
		requests, failed := int64(9614), int64(0)
		history = append(history, api.HistoryEntry{
			ID: id, Service: r.Service, Stable: r.Stable, Candidate: r.Candidate, Phase: r.Phase, By: r.By, OpenedAt: r.OpenedAt, EndedAt: r.EndedAt,
			Sentence: r.Sentence, Requests: &requests, Failed: &failed,
		})
	}
	return history, nil
}

func (w *world) Receipt(_ context.Context, id segue.RolloutID) (json.RawMessage, error) {
	done, err := w.call()
	if err != nil {
		return nil, err
	}
	defer done()
	id = cmp.Or(id, w.ledger.Next()-1)
	if _, err := w.view(id); err != nil {
		return nil, err
	}
	if stored := w.stored(id); stored != nil {
		return stored, nil
	}
	return json.Marshal(w.receipt(id))
}

func (w *world) Compare(context.Context) ([]operator.Comparison, error) {
	done, err := w.call()
	if err != nil {
		return nil, err
	}
	defer done()
	verdict := segue.Combine(w.clock, []segue.Finding{
		{
			Judge: "logs", Ruling: segue.RulingHold, Server: "web-1", Release: "v2", Value: 12, Baseline: 0, Unit: "count", Samples: 12, Fingerprint: "8f14e45fceea167a", Severity: "error",
			Sample: "ERROR payment of order 4711 declined: no route to host", Evidence: 41, Threshold: 330, Left: 90 * time.Second,
			Counts: map[segue.ServerName]int64{"web-1": 12, "web-2": 0, "web-3": 0, "web-4": 0}, Template: "payment of order <*> declined: <*>", Text: "a line that no other server writes: payment of order <*> declined: <*>",
		},
		{Judge: "errors", Ruling: segue.RulingPass, Release: "v2", Value: 0.001, Baseline: 0.001, Limit: 0.01, Unit: "share", Samples: 4210, BaselineSamples: 12600, Evidence: 0.2, Threshold: 3000},
	})
	return []operator.Comparison{{
		Service: "web", Rollout: 2, Stable: "v1", Candidate: "v2", Verdict: &verdict, Budget: 0.05, Windows: 61, Since: w.clock.Add(-time.Minute),
		Placebo: operator.Placebo{Trials: 37, Since: w.clock.Add(-7 * time.Hour)},
	}}, nil
}

func (w *world) Replay(_ context.Context, id segue.RolloutID) (operator.Replay, error) {
	done, err := w.call()
	if err != nil {
		return operator.Replay{}, err
	}
	defer done()
	verdict := segue.Combine(w.clock, []segue.Finding{{Judge: "logs", Ruling: segue.RulingFail, Server: "web-1", Text: "a line that no other server writes"}})
	return operator.Replay{Rollout: cmp.Or(id, 1), Windows: 61, Since: w.clock.Add(-time.Minute), Until: w.clock, Verdict: &verdict, Stored: &verdict, Same: true}, nil
}

func (w *world) LogDiff(context.Context, segue.RolloutID) ([]operator.LogDifference, error) {
	done, err := w.call()
	if err != nil {
		return nil, err
	}
	defer done()
	return []operator.LogDifference{
		{Template: "8f14e45fceea167a", Severity: "error", Text: "payment of order <*> declined: <*>", Sample: "ERROR payment of order 4711 declined: no route to host", Kind: "new", Candidate: 12, CandidateRate: 6},
		{Template: "c9f0f895fb98ab91", Severity: "info", Text: "GET <*> <*> <*>", Sample: "GET / 200 12ms", Kind: "same", Candidate: 60, Stable: 180, CandidateRate: 60, StableRate: 60},
	}, nil
}

func (w *world) Logs(_ context.Context, server segue.ServerName, _ int, _ bool) (io.ReadCloser, error) {
	if server != "web-1" {
		return nil, segue.Errorf(segue.KindNotFound, "no server %q", server).WithHint("`segue status` lists them")
	}
	return io.NopCloser(strings.NewReader("listening on 127.0.0.1:20001\nGET / 200\n")), nil
}

func (w *world) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		for next := max(from, 1); ; {
			w.mu.Lock()
			fresh, grown, down := slices.Clone(w.entries[min(int(next)-1, len(w.entries)):]), w.grown, w.down
			w.mu.Unlock()
			if down {
				yield(segue.Entry{}, segue.Errorf(segue.KindUnavailable, "follow events: EOF"))
				return
			}
			for _, entry := range fresh {
				if !yield(entry, nil) {
					return
				}
				next = entry.Index + 1
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (w *world) Shutdown(_ context.Context, force bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open()) > 0 && !force {
		return segue.Errorf(segue.KindConflict, "%d rollouts are open", len(w.open())).WithHint("use --force if that is meant")
	}
	return nil
}

// kill makes the controller go away in the middle of everything; revive brings one back that goes on.
func (w *world) kill() { w.set(true) }

func (w *world) revive() { w.set(false) }

func (w *world) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	close(w.grown)
	w.grown = make(chan struct{})
}

// Databases, and what is asked of them, are not part of this double's world.
func (w *world) Databases(context.Context) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, nil
}

func (w *world) CheckDatabases(context.Context, operator.PrepareRequest) ([]operator.DatabaseCheck, error) {
	return nil, nil
}

func (w *world) Prepare(context.Context, operator.PrepareRequest) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, nil
}

func (w *world) OrderDatabase(context.Context, operator.DatabaseOrder) (operator.DatabasesReply, error) {
	return operator.DatabasesReply{}, nil
}
