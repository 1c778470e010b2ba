package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
)

// desk is where the work on one database is done: it holds the lease while there is any, and lets everyone who wants the same change wait for
// the same run of it.
type desk struct {
	name   segue.DatabaseName
	driver migration.Driver

	mu sync.Mutex
	// lease is held while users is above zero.
	lease migration.Lease
	users int
	runs  map[migration.ChangeID]*run
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
		d = &desk{name: config.Name, driver: driver, runs: map[migration.ChangeID]*run{}, progress: map[migration.ChangeID]migration.Progress{}}
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
	d.mu.Lock()
	defer d.mu.Unlock()
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users > 0 || d.lease != lease {
		return
	}
	d.lease = nil
	// It dies with its connection at the latest.
	_ = lease.Release(ctx)
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
	if r.err != nil && ctx.Err() != nil {
		r.err = errRested
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
