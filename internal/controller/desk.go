package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
)

// desk is where the work on one database is done: it holds the lease while there is any, and lets everyone who wants the same change wait for
// the same run of it.
type desk struct {
	name   segue.DatabaseName
	driver migration.Driver

	// leasing guards lease, which is held while users is above zero: whoever has put something in has the turn. It is no mutex because taking a lease takes as
	// long as the database's answer, and the loop, which looks at progress, must not wait for that.
	leasing chan struct{}
	lease   migration.Lease
	users   int

	mu   sync.Mutex
	runs map[migration.ChangeID]*run
	// progress is the latest of each change that runs or ran.
	progress map[migration.ChangeID]migration.Progress
}

// desks holds them by driver and block.
type desks struct {
	mu   sync.Mutex
	open map[string]*desk
}

// run is one change that is being carried out.
type run struct {
	done   chan struct{}
	report migration.Report
	err    error
	// urgent runs are not held for a rollout: one waits for them.
	urgent atomic.Bool
}

// desk opens a database once: the drivers give the same one for the same block.
func (c *Controller) desk(ctx context.Context, config Database) (*desk, error) {
	key := config.Driver + "\x00" + string(config.Block)
	if d := c.desks.find(key); d != nil {
		return d, nil
	}
	driver, err := c.options.Drivers.Database(ctx, config.Driver, config.Block)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", config.Name, err)
	}
	c.desks.mu.Lock()
	defer c.desks.mu.Unlock()
	d := c.desks.open[key]
	if d == nil {
		d = &desk{name: config.Name, driver: driver, leasing: make(chan struct{}, 1), runs: map[migration.ChangeID]*run{}, progress: map[migration.ChangeID]migration.Progress{}}
		c.desks.open[key] = d
	}
	return d, nil
}

// find gives a desk that is open, or nil.
func (d *desks) find(key string) *desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[key]
}

// take gives the lease, and what gives it back.
func (d *desk) take(ctx context.Context) (migration.Lease, func(), error) {
	select {
	case d.leasing <- struct{}{}:
		defer func() { <-d.leasing }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if d.lease != nil && lost(d.lease) {
		d.lease = nil
	}
	if d.lease == nil {
		lease, err := d.driver.Lease(ctx, holder())
		if err != nil {
			return nil, nil, fmt.Errorf("take lease of database %s: %w", d.name, err)
		}
		d.lease = lease
	}
	d.users++
	lease := d.lease
	return lease, func() { d.giveBack(context.WithoutCancel(ctx), lease) }, nil
}

func (d *desk) giveBack(ctx context.Context, lease migration.Lease) {
	d.leasing <- struct{}{}
	defer func() { <-d.leasing }()
	if d.users--; d.users > 0 || d.lease != lease {
		return
	}
	d.lease = nil
	// It dies with its connection at the latest.
	_ = lease.Release(ctx)
}

// reveal shows what a brown-out left hidden whose holder is gone: whoever takes the lease does. It gives the state as it is then.
func (d *desk) reveal(ctx context.Context) (migration.State, error) {
	state, err := d.driver.State(ctx)
	if err != nil || state.Holder != "" || !hiding(state) {
		return state, err
	}
	_, giveBack, err := d.take(ctx)
	if err != nil {
		return state, err
	}
	defer giveBack()
	return d.driver.State(ctx)
}

// revealAll shows, when a controller starts, what the one before it left hidden. A database that does not answer is asked again.
func (c *Controller) revealAll(ctx context.Context) {
	all, err := c.configured(ctx)
	if err != nil {
		return
	}
	for try := 0; len(all) > 0; try++ {
		all = slices.DeleteFunc(all, func(config usedDatabase) bool { return c.revealed(ctx, config.Database) })
		if len(all) > 0 && wait(ctx, min(time.Second<<min(try, 6), time.Minute)) != nil {
			return
		}
	}
}

// revealed says whether nothing is hidden in a database any more, or nothing can be found out.
func (c *Controller) revealed(ctx context.Context, config Database) bool {
	d, err := c.desk(ctx, config)
	var state migration.State
	if err == nil {
		state, err = d.reveal(ctx)
	}
	if err != nil {
		c.log.DebugContext(ctx, "look whether something is hidden", "database", config.Name, "error", err)
		kind := segue.KindOf(err)
		return kind == segue.KindInvalid || kind == segue.KindUnsupported // asking again gives the same
	}
	return !hiding(state)
}

// hiding says whether a brown-out hides something, or left it hidden.
func hiding(state migration.State) bool {
	return slices.ContainsFunc(state.Changes, func(known migration.ChangeState) bool { return known.Hidden })
}

func lost(lease migration.Lease) bool {
	select {
	case <-lease.Lost():
		return true
	default:
		return false
	}
}

// holder names this process in the lease.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("segue on %s, pid %d", host, os.Getpid())
}

// work says what a run is bounded by.
type work struct {
	budget float64
	// hold gives a reason to rest.
	hold func() string
	// urgent work is waited for by a rollout.
	urgent bool
}

var errRested = errors.New("the work was told to rest")

// carryOut brings a recorded change to its end. Several may ask for the same one: it runs once, as long as one of them waits.
func (d *desk) carryOut(ctx context.Context, id migration.ChangeID, how work) (migration.Report, error) {
	for {
		r, mine := d.join(id, how)
		if mine {
			d.run(ctx, id, r, how)
			return r.report, r.err
		}
		select {
		case <-ctx.Done():
			return migration.Report{}, context.Cause(ctx)
		case <-r.done:
		}
		if r.err == nil || !errors.Is(r.err, errRested) {
			return r.report, r.err
		}
		// Whoever ran it was told to rest, and not we.
	}
}

func (d *desk) join(id migration.ChangeID, how work) (r *run, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.runs[id]; ok {
		if how.urgent {
			r.urgent.Store(true)
		}
		return r, false
	}
	r = &run{done: make(chan struct{})}
	r.urgent.Store(how.urgent)
	d.runs[id] = r
	return r, true
}

func (d *desk) run(ctx context.Context, id migration.ChangeID, r *run, how work) {
	defer func() {
		d.mu.Lock()
		delete(d.runs, id)
		d.mu.Unlock()
		close(r.done)
	}()
	lease, giveBack, err := d.take(ctx)
	if err != nil {
		r.err = err
		return
	}
	defer giveBack()
	options := migration.RunOptions{Budget: how.budget, Hold: func() string {
		if how.hold == nil || r.urgent.Load() {
			return ""
		}
		return how.hold()
	}}
	r.report, r.err = lease.Run(ctx, id, options, d.watch)
	switch {
	case r.err == nil:
	case ctx.Err() != nil:
		r.err = errRested
	case segue.KindOf(r.err) == segue.KindConflict && lost(lease):
		// Its connection broke, as when the server starts again. A new lease goes on; where somebody else has it by then, taking it says so.
		r.err = segue.Errorf(segue.KindUnavailable, "%w", r.err).WithHint("%s", segue.HintOf(r.err))
	}
}

func (d *desk) watch(progress migration.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress[progress.ID] = progress
}

// latest gives the progress of a change that runs here.
func (d *desk) latest(id migration.ChangeID) (migration.Progress, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, running := d.runs[id]
	return d.progress[id], running
}

// progressOf gives the progress of a change that runs here; nil where none does.
func (c *Controller) progressOf(name segue.DatabaseName, id migration.ChangeID) *operator.ChangeProgress {
	c.desks.mu.Lock()
	defer c.desks.mu.Unlock()
	for _, d := range c.desks.open {
		if progress, running := d.latest(id); d.name == name && running && progress.ID != "" {
			return progressView(progress)
		}
	}
	return nil
}
