package migrationtest

import (
	"context"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// fakeLease is the lease of a fake; all of it but lost is guarded by the fake's lock.
type fakeLease struct {
	fake   *Fake
	holder string
	since  time.Time
	lost   chan struct{}
}

var _ migration.Lease = (*fakeLease)(nil)

// Lease implements migration.Driver.
func (f *Fake) Lease(ctx context.Context, holder string) (migration.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	if f.lease != nil {
		return nil, segue.Errorf(segue.KindConflict, "the database is being changed by %s", f.lease.holder).WithHint("wait for it to end")
	}
	for i := range f.states {
		f.states[i].Hidden, f.states[i].Since = false, time.Time{}
	}
	f.lease = &fakeLease{fake: f, holder: holder, since: time.Now(), lost: make(chan struct{})}
	return f.lease, nil
}

// enter begins a call, with the fake's lock held.
func (l *fakeLease) enter(ctx context.Context) error {
	if err := l.fake.enter(ctx); err != nil {
		return err
	}
	if l.fake.lease != l {
		return segue.Errorf(segue.KindConflict, "the lease is lost")
	}
	return nil
}

// state finds a recorded change, with the fake's lock held.
func (l *fakeLease) state(ctx context.Context, id migration.ChangeID) (*migration.ChangeState, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	i := l.fake.index(id)
	if i < 0 {
		return nil, segue.Errorf(segue.KindNotFound, "change %s is not recorded", id)
	}
	return &l.fake.states[i], nil
}

// Lost implements migration.Lease.
func (l *fakeLease) Lost() <-chan struct{} { return l.lost }

// Release implements migration.Lease.
func (l *fakeLease) Release(context.Context) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if l.fake.lease == l {
		l.fake.dropLease()
	}
	return l.fake.down
}

// Record implements migration.Lease.
func (l *fakeLease) Record(ctx context.Context, release segue.ReleaseName, plan migration.Plan) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return err
	}
	if len(plan.Faults) > 0 {
		return segue.Errorf(segue.KindInvalid, "record plan: %s", plan.Faults[0])
	}
	for _, change := range plan.Changes {
		version, _, _ := strings.Cut(string(change.Origin[0]), "#")
		if _, known := l.fake.recorded[version]; !known {
			l.fake.recorded[version] = l.fake.sums[version]
		}
		state := migration.ChangeState{Change: change, Release: release, Recorded: time.Now(), Status: migration.StatusOwed}
		switch i := l.fake.index(change.ID); {
		case i < 0:
			l.fake.states = append(l.fake.states, state)
		case l.fake.states[i].Status == migration.StatusCanceled:
			l.fake.states[i] = state
		}
	}
	return nil
}

// Cancel implements migration.Lease.
func (l *fakeLease) Cancel(ctx context.Context, id migration.ChangeID) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state, err := l.state(ctx, id)
	if err != nil {
		return err
	}
	if state.Status == migration.StatusDone {
		return segue.Errorf(segue.KindRefused, "cancel %s: it is done", id)
	}
	state.Status, state.Progress, state.Ended = migration.StatusCanceled, migration.Progress{}, time.Now()
	return nil
}

// Forgive implements migration.Lease.
func (l *fakeLease) Forgive(ctx context.Context, id migration.ChangeID, by, why string) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state, err := l.state(ctx, id)
	if err != nil || state.Status == migration.StatusDone {
		return err
	}
	state.Status, state.By, state.Why, state.Ended = migration.StatusForgiven, by, why, time.Now()
	return nil
}

// BrownOut implements migration.Lease.
func (l *fakeLease) BrownOut(ctx context.Context, id migration.ChangeID) error {
	return l.hide(ctx, id, true)
}

// Restore implements migration.Lease.
func (l *fakeLease) Restore(ctx context.Context, id migration.ChangeID) error {
	return l.hide(ctx, id, false)
}

func (l *fakeLease) hide(ctx context.Context, id migration.ChangeID, hidden bool) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if !l.fake.Hides {
		return segue.Errorf(segue.KindUnsupported, "the fake cannot hide anything")
	}
	state, err := l.state(ctx, id)
	if err != nil {
		return err
	}
	if hidden && state.Change.Phase != migration.PhaseContract {
		return segue.Errorf(segue.KindRefused, "hide %s: it removes nothing", id)
	}
	if state.Hidden = hidden; hidden {
		state.Since = time.Now()
	} else {
		state.Since = time.Time{}
	}
	return nil
}

// Run implements migration.Lease.
func (l *fakeLease) Run(ctx context.Context, id migration.ChangeID, options migration.RunOptions, watch func(migration.Progress)) (migration.Report, error) {
	behaviour, report, err := l.start(ctx, id)
	if report != nil || err != nil {
		if report == nil {
			report = &migration.Report{}
		}
		return *report, err
	}
	if !l.fails(id, behaviour) {
		behaviour.Fail = nil
	}
	if err := l.work(ctx, options, watch, id, behaviour); err != nil {
		l.note(id, err)
		return migration.Report{}, err
	}
	return l.finish(ctx, id, behaviour)
}

// start marks a change as begun; a report means that it is done.
func (l *fakeLease) start(ctx context.Context, id migration.ChangeID) (behaviour Behaviour, report *migration.Report, err error) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state, err := l.state(ctx, id)
	if err != nil {
		return behaviour, nil, err
	}
	switch state.Status {
	case migration.StatusDone:
		return behaviour, state.Report, nil
	case migration.StatusForgiven, migration.StatusCanceled:
		return behaviour, nil, segue.Errorf(segue.KindConflict, "run %s: it is %s", id, state.Status)
	case migration.StatusOwed, migration.StatusRunning:
	}
	for _, first := range state.Change.After {
		if i := l.fake.index(first); i < 0 || l.fake.states[i].Status != migration.StatusDone && l.fake.states[i].Status != migration.StatusForgiven {
			return behaviour, nil, segue.Errorf(segue.KindConflict, "run %s: %s must be done first", id, first)
		}
	}
	if state.Status == migration.StatusOwed {
		state.Status, state.Began = migration.StatusRunning, time.Now()
	}
	state.Error = ""
	behaviour = l.fake.behaviours[id]
	if behaviour.Rows == 0 {
		behaviour.Rows = 1000
	}
	return behaviour, nil, nil
}

// fails says whether this run is one that fails.
func (l *fakeLease) fails(id migration.ChangeID, behaviour Behaviour) bool {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if behaviour.Fail == nil || behaviour.FailTimes > 0 && l.fake.failed[id] >= behaviour.FailTimes {
		return false
	}
	l.fake.failed[id]++
	return true
}

// fakeSteps is into how many parts a run is cut; a backfill takes up again at the last of them.
const fakeSteps = 10

// work passes the time of a change.
func (l *fakeLease) work(ctx context.Context, options migration.RunOptions, watch func(migration.Progress), id migration.ChangeID, behaviour Behaviour) error {
	budget := options.Budget
	if budget == 0 {
		budget = defaultBudget
	}
	step, from := behaviour.Takes/fakeSteps, 0
	progress, backfill := l.progress(id, behaviour)
	if backfill {
		step = time.Duration(float64(step) * defaultBudget / budget)
		from = int(progress.Done * fakeSteps / max(behaviour.Rows, 1))
	}
	watch(progress)
	for n := from; n < fakeSteps; n++ {
		if behaviour.Fail != nil && n >= fakeSteps/2 {
			return behaviour.Fail
		}
		if backfill {
			if err := l.held(ctx, options.Hold, progress, watch); err != nil {
				return err
			}
		}
		if err := l.pass(ctx, step); err != nil {
			return err
		}
		if backfill {
			progress.Done = behaviour.Rows * int64(n+1) / fakeSteps
			progress.Changed = progress.Done
			if err := l.save(ctx, id, progress); err != nil {
				return err
			}
			watch(progress)
		}
	}
	return nil
}

// progress is where a change stands.
func (l *fakeLease) progress(id migration.ChangeID, behaviour Behaviour) (progress migration.Progress, backfill bool) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state := l.fake.states[l.fake.index(id)]
	if state.Change.Backfill == nil {
		return migration.Progress{ID: id, Action: 1, Actions: max(1, len(state.Change.Actions))}, false
	}
	return migration.Progress{ID: id, Done: state.Progress.Done, Changed: state.Progress.Changed, Total: behaviour.Rows}, true
}

// save writes the progress of a backfill down, unless the lease is lost.
func (l *fakeLease) save(ctx context.Context, id migration.ChangeID, progress migration.Progress) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state, err := l.state(context.WithoutCancel(ctx), id)
	if err != nil {
		return err
	}
	state.Progress = progress
	return nil
}

// held stands still as long as the rollout wants it to.
func (l *fakeLease) held(ctx context.Context, hold func() string, progress migration.Progress, watch func(migration.Progress)) error {
	for hold != nil {
		if progress.Waiting = hold(); progress.Waiting == "" {
			return nil
		}
		watch(progress)
		if err := l.pass(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// pass lets time pass, unless the caller or the lease ends it.
func (l *fakeLease) pass(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		d = 0
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.lost:
	}
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	return l.enter(ctx)
}

// note writes down why a run ended early.
func (l *fakeLease) note(id migration.ChangeID, failure error) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if i := l.fake.index(id); i >= 0 && l.fake.lease == l && segue.KindOf(failure) != segue.KindCanceled {
		l.fake.states[i].Error = failure.Error()
	}
}

// finish marks a change as done.
func (l *fakeLease) finish(ctx context.Context, id migration.ChangeID, behaviour Behaviour) (migration.Report, error) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	state, err := l.state(ctx, id)
	if err != nil {
		return migration.Report{}, err
	}
	if behaviour.Violators > 0 {
		err := segue.Errorf(segue.KindRefused, "run %s: %d rows stand in the way", id, behaviour.Violators)
		state.Error = err.Error()
		return migration.Report{}, err
	}
	now := time.Now()
	report := migration.Report{ID: id, Took: now.Sub(state.Began), Tries: 1, Rows: state.Progress.Done, Changed: state.Progress.Changed}
	state.Status, state.Ended, state.Report = migration.StatusDone, now, &report
	return report, nil
}
