package controller

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/rollout"
)

// watching is a service's lookout at work.
type watching struct {
	lookout *lookout.Lookout
	placebo *placebo
	// judging is what it was made for.
	judging string
	config  segue.Digest
	stop    context.CancelFunc
}

// lookouts are those of all services. The loop makes and ends them; others read.
type lookouts struct {
	mu sync.Mutex
	of map[segue.ServiceName]*watching
}

func (l *lookouts) get(name segue.ServiceName) *watching {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[name]
}

func (l *lookouts) put(name segue.ServiceName, w *watching) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[name] = w
}

// syncLookout makes a service's lookout, or makes it anew where what it looks at has changed. Not while a rollout goes on: its windows come from there.
func (c *Controller) syncLookout(ctx context.Context, name segue.ServiceName) {
	known, ok := c.ledger.Services[name]
	if !ok || c.options.Lookout == nil {
		return
	}
	text, err := json.Marshal(known.Settings.Judging)
	if err != nil {
		return
	}
	old := c.lookouts.get(name)
	if old != nil && (known.Open != nil || old.judging == string(text) && old.config == known.Config) {
		return
	}
	s, err := c.service(name, known.Config)
	if err != nil {
		c.log.ErrorContext(ctx, "open drivers", "service", name, "error", err)
		return
	}
	if old != nil {
		if old.judging == string(text) && old.lookout != nil {
			old.config = known.Config
			return
		}
		old.stop()
	}
	w := &watching{judging: string(text), config: known.Config}
	w.lookout = c.options.Lookout(known.Settings, s.workload)
	w.lookout.Recall(ctx, mixedUntil(known))
	w.placebo = newPlacebo(known.Settings, c.options.Judges)
	following, stop := context.WithCancel(ctx)
	w.stop = stop
	c.lookouts.put(name, w)
	c.running.Go(func() { w.lookout.Run(following) })
	c.running.Go(func() { c.lookAfter(following, name, w, &counting{balancer: s.balancer}) })
}

// mixedUntil is when the last rollout ended: what was before is nobody's past.
func mixedUntil(known *rollout.ServiceLedger) (last time.Time) {
	for _, past := range known.History {
		if past.EndedAt.After(last) {
			last = past.EndedAt
		}
	}
	return last
}

// lookAfter keeps the past of a service while nothing is rolled out, and tells its lookout which instances there are.
func (c *Controller) lookAfter(ctx context.Context, name segue.ServiceName, w *watching, counts *counting) {
	ticker := time.NewTicker(c.options.Idle)
	defer ticker.Stop()
	for {
		var fleet segue.Fleet
		var idle, balanced bool
		err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
			if known, ok := ledger.Services[name]; ok {
				fleet, idle, balanced = cloneFleet(known.Fleet), known.Open == nil, known.Settings.Balanced
			}
		})
		if err != nil {
			return
		}
		w.lookout.See(watchedOf(fleet))
		switch {
		case !idle:
			counts.previous, counts.since = nil, time.Time{}
			w.placebo.rest()
		default:
			window, ok, err := counts.window(ctx, fleet, balanced)
			if err != nil {
				c.log.DebugContext(ctx, "look at balancer", "error", err)
			}
			if ok {
				window.Service = name
				w.lookout.Remember(window)
				w.placebo.weigh(window, w.lookout)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchedOf lists the instances of a fleet.
func watchedOf(fleet segue.Fleet) []lookout.Watched {
	all := make([]lookout.Watched, 0, len(fleet.Slots))
	add := func(server segue.ServerName, instance segue.Instance) {
		if instance.ID != "" && instance.State != segue.InstanceExited {
			all = append(all, lookout.Watched{
				Server: server, Release: instance.Release, Instance: instance.ID, Address: instance.Address, Started: instance.StartedAt,
			})
		}
	}
	for _, slot := range fleet.Slots {
		add(slot.Server.Name, slot.Instance)
		if slot.Beside != nil {
			add(besideName(slot.Server.Name), slot.Beside.Instance)
		}
	}
	return all
}
