package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/telemetry"
	"github.com/segue-deploy/segue/internal/version"
)

func now() time.Time { return time.Now() }

// Status reports everything at this moment.
func (c *Controller) Status(ctx context.Context) (operator.Status, error) {
	status := operator.Status{
		Version: version.Version, PID: os.Getpid(), StartedAt: c.started, Background: c.options.Background, Services: []operator.ServiceStatus{},
	}
	var services []*service
	err := c.look(ctx, func(ledger *rollout.Ledger, last int64) {
		status.Index = last
		for name, known := range ledger.Services {
			status.Services = append(status.Services, c.serviceStatus(name, known, last))
			s, err := c.service(name, known.Config)
			if err != nil {
				s = nil
			}
			services = append(services, s)
		}
	})
	if err != nil {
		return status, err
	}
	for i, s := range services {
		c.addTraffic(ctx, s, &status.Services[i])
	}
	slices.SortFunc(status.Services, func(a, b operator.ServiceStatus) int { return cmp.Compare(a.Name, b.Name) })
	return status, nil
}

func (c *Controller) serviceStatus(name segue.ServiceName, known *rollout.ServiceLedger, last int64) operator.ServiceStatus {
	status := operator.ServiceStatus{
		Name: name, Stable: known.Stable.Name, Previous: known.Previous.Name, Until: known.PreviousUntil,
		Fleet: cloneFleet(known.Fleet),
	}
	if known.Open != nil {
		r := c.rolloutView(known.Open, last)
		status.Rollout = &r
	}
	for _, queued := range known.Queue {
		status.Queued = append(status.Queued, queued.ID)
	}
	return status
}

// addTraffic adds what the balancer sees, and what is not as it should be.
func (c *Controller) addTraffic(ctx context.Context, s *service, status *operator.ServiceStatus) {
	if s == nil {
		status.Problems = append(status.Problems, "its stored configuration cannot be read")
		return
	}
	status.Listen = s.listen
	for _, slot := range status.Fleet.Slots {
		switch {
		case slot.Instance.ID != "" && !slot.Ready && status.Rollout == nil:
			status.Problems = append(status.Problems, fmt.Sprintf("%s is not ready", slot.Server.Name))
		case s.balancer != nil && slot.Instance.ID != "" && slot.Rotation != segue.RotationIn && status.Rollout == nil:
			status.Problems = append(status.Problems, fmt.Sprintf("%s is out of rotation", slot.Server.Name))
		}
	}
	if s.balancer == nil {
		return
	}
	snapshot, err := s.balancer.Snapshot(ctx)
	if err != nil {
		status.Problems = append(status.Problems, "the balancer does not answer: "+err.Error())
		return
	}
	status.Traffic = byRelease(snapshot)
	if snapshot.Maintenance {
		status.Problems = append(status.Problems, "the maintenance page is on")
	}
}

func byRelease(snapshot telemetry.Snapshot) []operator.ReleaseTraffic {
	sums := map[segue.ReleaseName]*operator.ReleaseTraffic{}
	latency := map[segue.ReleaseName]telemetry.Distribution{}
	for _, backend := range snapshot.Backends {
		sum, ok := sums[backend.Release]
		if !ok {
			sum = &operator.ReleaseTraffic{Release: backend.Release}
			sums[backend.Release] = sum
		}
		if backend.Rotation == segue.RotationIn {
			sum.Backends++
		}
		sum.Requests += backend.Counters.Requests
		sum.Errors += backend.Counters.Errors()
		sum.InFlight += backend.InFlight.Requests + backend.InFlight.Long
		latency[backend.Release] = latency[backend.Release].Add(backend.Counters.Latency)
	}
	traffic := make([]operator.ReleaseTraffic, 0, len(sums))
	for release, sum := range sums {
		sum.P50, sum.P99 = latency[release].Quantile(0.5), latency[release].Quantile(0.99)
		traffic = append(traffic, *sum)
	}
	slices.SortFunc(traffic, func(a, b operator.ReleaseTraffic) int { return cmp.Compare(a.Release, b.Release) })
	return traffic
}

// Rollout reports one rollout, the latest one for 0.
func (c *Controller) Rollout(ctx context.Context, id segue.RolloutID) (operator.Rollout, error) {
	var found operator.Rollout
	err := c.look(ctx, func(ledger *rollout.Ledger, last int64) {
		if id == 0 {
			id = ledger.Next() - 1
		}
		if state, ok := ledger.Rollout(id); ok {
			found = c.rolloutView(state, last)
			// The journal has a verdict when it changes; whoever looks wants today's figures.
			if m := c.monitors[id]; m != nil && state.Phase == segue.PhaseObserving {
				found.Verdict = cmp.Or(m.present(), found.Verdict)
			}
			return
		}
		found = c.ended(ledger, id, last)
	})
	if err != nil {
		return found, err
	}
	if found.ID == 0 {
		if id == 0 {
			return found, segue.Errorf(segue.KindNotFound, "there was no rollout yet").WithHint("segue deploy RELEASE opens one")
		}
		return found, segue.Errorf(segue.KindNotFound, "no rollout %s", id).WithHint("`segue history` lists them")
	}
	return found, nil
}

// ended finds a rollout that is over; its ID is 0 when there is none.
func (c *Controller) ended(ledger *rollout.Ledger, id segue.RolloutID, last int64) (found operator.Rollout) {
	for _, known := range ledger.Services {
		for _, past := range known.History {
			if past.ID == id {
				found = pastView(past, known, last)
				_, making := c.monitors[id]
				found.Receipt = !making
			}
		}
	}
	return found
}

func (c *Controller) rolloutView(state *rollout.State, last int64) operator.Rollout {
	view := operator.Rollout{
		ID: state.ID, Service: state.Service, Stable: state.Stable.Name, Candidate: state.Candidate.Name, Phase: state.Phase,
		Reason: state.Reason, Sentence: rollout.EndSentence(*state), By: state.By, OpenedAt: state.OpenedAt, EndedAt: state.EndedAt,
		Goal: state.Goal, Batches: state.Plan.Batches, Fleet: cloneFleet(state.Fleet), Verdict: state.Verdict,
		Failure: state.GateFailed, Index: last, Steps: make([]operator.StepStatus, 0, len(state.Steps)),
	}
	for i, step := range state.Steps {
		if i >= len(state.Plan.Steps) {
			break
		}
		status := operator.StepStatus{
			Step: state.Plan.Steps[i], Status: string(step.Status), Attempt: step.Attempt, Since: step.Since, Until: step.Until,
			Waiting: step.Waiting, Outcome: step.Outcome, Failure: step.Failure,
		}
		if step.Status == rollout.StepRunning && status.Database != "" {
			status.Progress = c.progressOf(status.Database, migration.ChangeID(status.Change))
		}
		view.Steps = append(view.Steps, status)
	}
	return view
}

func pastView(past rollout.Past, known *rollout.ServiceLedger, last int64) operator.Rollout {
	return operator.Rollout{
		ID: past.ID, Service: past.Service, Stable: past.Stable, Candidate: past.Candidate, Phase: past.Phase, Sentence: past.Sentence,
		By: past.By, OpenedAt: past.OpenedAt, EndedAt: past.EndedAt, Fleet: cloneFleet(known.Fleet), Index: last,
	}
}

func cloneFleet(fleet segue.Fleet) segue.Fleet {
	fleet.Slots = slices.Clone(fleet.Slots)
	if fleet.Slots == nil {
		fleet.Slots = []segue.Slot{}
	}
	return fleet
}

// History lists the latest rollouts, newest first.
func (c *Controller) History(ctx context.Context, limit int) ([]operator.HistoryEntry, error) {
	history := []operator.HistoryEntry{}
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for _, known := range ledger.Services {
			for _, past := range known.History {
				history = append(history, operator.HistoryEntry{
					ID: past.ID, Service: past.Service, Stable: past.Stable, Candidate: past.Candidate, Phase: past.Phase, By: past.By,
					OpenedAt: past.OpenedAt, EndedAt: past.EndedAt, Sentence: past.Sentence,
				})
			}
			if open := known.Open; open != nil {
				history = append(history, operator.HistoryEntry{
					ID: open.ID, Service: open.Service, Stable: open.Stable.Name, Candidate: open.Candidate.Name, Phase: open.Phase,
					By: open.By, OpenedAt: open.OpenedAt, Sentence: rollout.EndSentence(*open),
				})
			}
		}
	})
	slices.SortFunc(history, func(a, b operator.HistoryEntry) int { return cmp.Compare(b.ID, a.ID) })
	history = history[:min(limit, len(history))]
	for i := range history {
		c.addFigures(ctx, &history[i])
	}
	return history, err
}

// addFigures adds the receipt's headline figures where there is one.
func (c *Controller) addFigures(ctx context.Context, entry *operator.HistoryEntry) {
	text, err := c.storedReceipt(ctx, entry.ID)
	if err != nil || text == nil {
		return
	}
	var stored receipt.Receipt
	if json.Unmarshal(text, &stored) == nil && stored.Traffic != nil {
		entry.Requests, entry.Failed = &stored.Traffic.Requests, &stored.Traffic.Failed
	}
}

// Logs streams the output of what runs on a server.
func (c *Controller) Logs(ctx context.Context, server segue.ServerName, tail int, follow bool) (io.ReadCloser, error) {
	var s *service
	var id segue.InstanceID
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for name, known := range ledger.Services {
			if slot, ok := known.Fleet.Slot(server); ok {
				s, _ = c.service(name, known.Config)
				id = slot.Instance.ID
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, segue.Errorf(segue.KindNotFound, "no server %q", server).WithHint("`segue status` lists them")
	case id == "":
		return nil, segue.Errorf(segue.KindNotFound, "nothing runs on %s", server)
	}
	return s.workload.Logs(ctx, id, tail, follow)
}

// Watch gives the journal's entries from an index on, live.
func (c *Controller) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		// Watchers end with the controller, too.
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() {
			select {
			case <-c.stopped:
				cancel(errStopped)
			case <-ctx.Done():
			}
		}()
		for entry, err := range c.options.Journal.Watch(ctx, max(1, from)) {
			if err != nil && errors.Is(err, context.Canceled) {
				return
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}
