package controller

import (
	"cmp"
	"context"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
)

// doneShown is how many changes that are done a view lists.
const doneShown = 20

// Databases says how every database stands.
func (c *Controller) Databases(ctx context.Context) (operator.DatabasesReply, error) {
	reply := operator.DatabasesReply{Databases: []operator.Database{}}
	all, err := c.configured(ctx)
	if err != nil {
		return reply, err
	}
	for _, d := range all {
		reply.Databases = append(reply.Databases, c.databaseView(ctx, d))
	}
	return reply, nil
}

// databaseView asks one database; that it does not answer is part of the view.
func (c *Controller) databaseView(ctx context.Context, d usedDatabase) operator.Database {
	view := operator.Database{Name: d.Name, Driver: d.Driver, Services: d.services, Changes: []operator.Change{}}
	_ = c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		if p := ledger.Databases[d.Name].Preparing; p != nil {
			view.Preparing = &operator.Preparation{
				Release: p.Release, By: p.By, Since: p.Since, Paused: p.Paused, Failure: p.Failure, Done: p.Done,
			}
		}
		for _, service := range d.services {
			view.Horizon = append(view.Horizon, horizon(ledger.Services[service], service)...)
		}
	})
	desk, err := c.desk(ctx, d.Database)
	if err != nil {
		view.Error = err.Error()
		return view
	}
	state, err := desk.reveal(ctx)
	if err != nil && !hiding(state) {
		view.Error = err.Error()
		return view
	}
	view.Server, view.Size, view.Holder = state.Server.Product+" "+state.Server.Version, state.Server.Size, state.Holder
	for _, fault := range state.Server.Faults {
		view.Faults = append(view.Faults, withHint(fault))
	}
	view.Changes = c.changeViews(ctx, d.Database, desk, state)
	return view
}

// changeViews lists what is open, with the gates of what is owed, and then the latest that is done.
func (c *Controller) changeViews(ctx context.Context, config Database, desk *desk, state migration.State) []operator.Change {
	var open, done []operator.Change
	o := outlook{config: config, desk: desk, state: state, gates: map[migration.ChangeID]migration.Gate{}}
	fleet, fleetErr := c.presences(ctx, config.Name)
	for _, known := range state.Changes {
		view := changeView(known)
		if progress, running := desk.latest(known.Change.ID); running {
			view.Progress = progressView(progress)
		}
		if known.Status != migration.StatusOwed && known.Status != migration.StatusRunning {
			done = append(done, view)
			continue
		}
		if known.Change.Phase == migration.PhaseContract && fleetErr == nil {
			if gate, err := o.ask(ctx, known.Change, o.brought(known.Change.ID, ""), fleet); err == nil {
				view.Gate = gateView(gate)
			} else {
				view.Error = cmp.Or(view.Error, err.Error())
			}
		}
		open = append(open, view)
	}
	slices.SortStableFunc(done, func(a, b operator.Change) int { return b.Ended.Compare(a.Ended) })
	return append(open, done[:min(len(done), doneShown)]...)
}

// horizon says which of a service's releases can work with its databases.
func horizon(known *rollout.ServiceLedger, service segue.ServiceName) []operator.Fit {
	if known == nil {
		return nil
	}
	var fits []operator.Fit
	orders := ordersOf(known)
	for release := range known.Releases {
		why := known.Barred[release]
		fits = append(fits, operator.Fit{Service: service, Release: release, Fits: why == "", Why: why})
	}
	for release, why := range known.Barred {
		if _, listed := known.Releases[release]; !listed {
			fits = append(fits, operator.Fit{Service: service, Release: release, Why: why})
		}
	}
	slices.SortFunc(fits, func(a, b operator.Fit) int {
		return cmp.Or(cmp.Compare(orders[a.Release], orders[b.Release]), cmp.Compare(a.Release, b.Release))
	})
	return fits
}

func changeView(known migration.ChangeState) operator.Change {
	view := plannedView(known.Change)
	view.Status, view.Release, view.Error, view.Hidden = string(known.Status), known.Release, known.Error, known.Hidden
	view.Recorded, view.Began, view.Ended = known.Recorded, known.Began, known.Ended
	if known.Progress.ID != "" && known.Status == migration.StatusRunning {
		view.Progress = progressView(known.Progress)
	}
	if r := known.Report; r != nil {
		view.Report = &operator.ChangeReport{
			Took: r.Took, Tries: r.Tries, LockWait: r.LockWait, Held: r.Held, Caused: r.Caused, Waiters: r.Waiters,
			Rows: r.Rows, Changed: r.Changed, Batches: r.Batches, Note: r.Note,
		}
		if r.Lock != migration.LockNone {
			view.Report.Lock = r.Lock.String()
		}
	}
	return view
}

func plannedView(change migration.Change) operator.Change {
	view := operator.Change{
		ID: string(change.ID), Phase: string(change.Phase), Status: "planned", Title: change.Title, Why: change.Why, At: change.At.String(),
		Carried: change.Carried, Waits: change.Estimate.Waits, Rows: change.Estimate.Rows, Takes: change.Estimate.Time,
		Locked: change.Estimate.Locked, Caveats: change.Caveats, Split: change.Split,
	}
	for _, action := range change.Actions {
		view.SQL = append(view.SQL, action.SQL)
	}
	for _, object := range change.Removes {
		view.Removes = append(view.Removes, object.String())
	}
	strongest := migration.LockNone
	for _, lock := range change.Facts.Locks {
		strongest = max(strongest, lock)
	}
	if strongest != migration.LockNone {
		view.Lock = strongest.String()
	}
	return view
}

func progressView(p migration.Progress) *operator.ChangeProgress {
	return &operator.ChangeProgress{
		Done: p.Done, Total: p.Total, Changed: p.Changed, Rate: p.Rate, Left: p.Left, Batch: p.Batch, Waiting: p.Waiting, Utilization: p.Utilization,
	}
}

func gateView(gate migration.Gate) *operator.Gate {
	view := &operator.Gate{Answer: string(gate.Answer), Grounds: []operator.Ground{}, Statements: gate.Statements, Took: gate.Took}
	for _, g := range gate.Grounds {
		view.Grounds = append(view.Grounds, operator.Ground{
			Check: g.Check, Answer: string(g.Answer), Text: g.Text, Release: g.Release, Statement: g.Statement, Seen: g.Seen, Until: g.Until,
		})
	}
	return view
}
