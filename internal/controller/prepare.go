package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
)

// preparing is the work ahead of one release that this process carries out.
type preparing struct {
	release segue.ReleaseName
	cancel  context.CancelCauseFunc
}

// syncPreparations starts what was ordered and stops what is paused or given up. It runs in the loop.
func (c *Controller) syncPreparations(ctx context.Context) {
	for name, running := range c.preparing {
		if p := c.ledger.Databases[name].Preparing; !p.Going() || p.Release != running.release {
			running.cancel(errRested)
			delete(c.preparing, name)
		}
	}
	for name, known := range c.ledger.Databases {
		if _, running := c.preparing[name]; running || !known.Preparing.Going() {
			continue
		}
		wish := *known.Preparing
		working, cancel := context.WithCancelCause(ctx)
		c.preparing[name] = preparing{release: wish.Release, cancel: cancel}
		c.running.Go(func() {
			defer cancel(nil)
			c.prepareDatabase(working, name, wish)
		})
	}
}

// prepareDatabase does everything that can be done ahead of a release's deploy, and says how it went.
func (c *Controller) prepareDatabase(ctx context.Context, name segue.DatabaseName, wish rollout.Preparation) {
	err := c.workAhead(ctx, name, wish)
	if ctx.Err() != nil {
		return
	}
	event := segue.DatabaseEvent{Verb: segue.DatabasePrepared, Release: wish.Release}
	if err != nil {
		c.log.WarnContext(ctx, "preparation stopped", "database", name, "release", wish.Release, "error", err)
		event.Verb, event.Failure = segue.DatabaseFailed, segue.FailureOf(err)
	}
	c.post(ctx, segue.Event{Kind: segue.EventDatabase, Database: name, Service: wish.Service, Work: &event})
}

func (c *Controller) workAhead(ctx context.Context, name segue.DatabaseName, wish rollout.Preparation) error {
	for try := 1; ; try++ {
		err := c.workAheadOnce(ctx, name, wish)
		const most = 8
		if err == nil || ctx.Err() != nil || !segue.KindOf(err).Transient() || try >= most {
			return err
		}
		c.log.WarnContext(ctx, "preparation is tried again", "database", name, "try", try, "error", err)
		if wait(ctx, min(time.Second<<try, time.Minute)) != nil {
			return context.Cause(ctx)
		}
	}
}

func (c *Controller) workAheadOnce(ctx context.Context, name segue.DatabaseName, wish rollout.Preparation) error {
	stored, err := c.options.Configs.Get(wish.Config)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(stored.Databases, func(d Database) bool { return d.Name == name })
	if i < 0 {
		return segue.Errorf(segue.KindFault, "database %s is not in the configuration of %s", name, wish.Release)
	}
	config := stored.Databases[i]
	o, err := c.outlook(ctx, config, question{service: wish.Service, candidate: wish.Release, carry: true})
	if err != nil {
		return err
	}
	if err := o.record(ctx, wish.Release); err != nil {
		return err
	}
	for _, work := range ahead(o.work) {
		if err := c.workOn(ctx, o, work); err != nil {
			return err
		}
	}
	return nil
}

// ahead gives the work that can be done before a release runs.
func ahead(all []segue.Work) []segue.Work {
	return slices.DeleteFunc(slices.Clone(all), func(w segue.Work) bool { return w.Kind == segue.StepContract || w.Breaking })
}

func (c *Controller) workOn(ctx context.Context, o outlook, one segue.Work) error {
	hold := func() string { return "" }
	if o.config.Pause {
		hold = func() string { return c.rolling(o.config.Name) }
	}
	if _, err := o.desk.carryOut(ctx, migration.ChangeID(one.Change), work{budget: o.config.Budget, hold: hold}); err != nil {
		if errors.Is(err, errRested) && ctx.Err() == nil {
			return segue.Errorf(segue.KindUnavailable, "database %s: %s was interrupted", o.config.Name, one.Title)
		}
		return fmt.Errorf("database %s: %s: %w", o.config.Name, one.Title, err)
	}
	return nil
}

// rolling says why a backfill should rest: "" while no rollout that uses the database is under way.
func (c *Controller) rolling(name segue.DatabaseName) string {
	busy, _ := c.busy.Load().(map[segue.DatabaseName]string)
	return busy[name]
}

// noteBusy remembers which databases a rollout uses now. It runs in the loop.
func (c *Controller) noteBusy() {
	busy := map[segue.DatabaseName]string{}
	for name, known := range c.ledger.Services {
		if known.Open == nil || known.Open.Phase.Over() {
			continue
		}
		s, err := c.service(name, known.Config)
		if err != nil {
			continue
		}
		for _, d := range s.databases {
			busy[d.Name] = fmt.Sprintf("rollout %s of %s is under way", known.Open.ID, name)
		}
	}
	c.busy.Store(busy)
}

// Prepare orders the long work that a release will need, days ahead of its deploy.
func (c *Controller) Prepare(ctx context.Context, req operator.PrepareRequest) (operator.DatabasesReply, error) {
	c.deploys.Lock()
	defer c.deploys.Unlock()
	wants, err := c.wanted(ctx, operator.DeployRequest{Project: req.Project, Targets: req.Targets})
	if err != nil {
		return operator.DatabasesReply{}, err
	}
	var reply operator.DatabasesReply
	var events []segue.Event
	for _, want := range wants {
		found, notes, err := c.prepareFor(ctx, req, want)
		if err != nil {
			return reply, err
		}
		events, reply.Notes = append(events, found...), append(reply.Notes, notes...)
	}
	if len(events) > 0 {
		if err := c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) { return events, nil }); err != nil {
			return reply, err
		}
	}
	listed, err := c.Databases(ctx)
	reply.Databases = listed.Databases
	return reply, err
}

func (c *Controller) prepareFor(ctx context.Context, req operator.PrepareRequest, want wanted) ([]segue.Event, []string, error) {
	name, release := want.settings.Name, want.release.Name
	digest, err := c.options.Configs.Put(want.config)
	if err != nil {
		return nil, nil, err
	}
	v, err := c.viewOf(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if len(want.config.Databases) == 0 {
		return nil, []string{fmt.Sprintf("%s uses no database: nothing to prepare for %s", name, release)}, nil
	}
	outlooks, err := c.outlooks(ctx, want.config.Databases, question{service: name, candidate: release, stable: v.Stable.Name, carry: true})
	if err != nil {
		return nil, nil, err
	}
	var events []segue.Event
	var notes []string
	for _, o := range outlooks {
		work := ahead(o.work)
		if len(work) == 0 {
			notes = append(notes, fmt.Sprintf("%s: nothing has to be done ahead of %s", o.config.Name, release))
			continue
		}
		titles := make([]string, 0, len(work))
		for _, one := range work {
			titles = append(titles, one.Title)
		}
		notes = append(notes, fmt.Sprintf("%s: %s", o.config.Name, strings.Join(titles, ", ")))
		events = append(events, segue.Event{Kind: segue.EventDatabase, Database: o.config.Name, Service: name, Work: &segue.DatabaseEvent{
			Verb: segue.DatabasePrepare, Release: release, Config: digest, By: req.By, Why: req.Why,
		}})
	}
	return events, notes, nil
}
