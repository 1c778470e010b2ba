package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
)

// OrderDatabase gives an operator's order to the work on a database.
func (c *Controller) OrderDatabase(ctx context.Context, order operator.DatabaseOrder) (operator.DatabasesReply, error) {
	config, service, err := c.databaseMeant(ctx, order.Database)
	if err != nil {
		return operator.DatabasesReply{}, err
	}
	var notes []string
	switch order.Verb {
	case segue.DatabasePause, segue.DatabaseResume:
		err = c.orderPreparation(ctx, config.Name, order)
	case segue.DatabaseCancel:
		notes, err = c.cancelPreparation(ctx, config, service, order)
	case segue.DatabaseContract:
		notes, err = c.contractNow(ctx, config, order)
	case segue.DatabaseForgive:
		err = c.forgive(ctx, config, order)
	default:
		err = segue.Errorf(segue.KindInvalid, "order %q is not known for a database", order.Verb)
	}
	if err != nil {
		return operator.DatabasesReply{}, err
	}
	reply, err := c.Databases(ctx)
	reply.Notes = notes
	return reply, err
}

// databaseMeant finds the database that an order means, as configured last; without a name there must be exactly one.
func (c *Controller) databaseMeant(ctx context.Context, name segue.DatabaseName) (Database, segue.ServiceName, error) {
	all, err := c.configured(ctx)
	if err != nil {
		return Database{}, "", err
	}
	var names []string
	var found []usedDatabase
	for _, d := range all {
		names = append(names, string(d.Name))
		if name == "" || d.Name == name {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].Database, found[0].services[0], nil
	case len(all) == 0:
		return Database{}, "", segue.Errorf(segue.KindNotFound, "no service that was deployed or prepared here uses a database")
	case len(found) > 1:
		return Database{}, "", segue.Errorf(segue.KindInvalid, "there are %d databases", len(found)).WithHint("name one with --database: %s", strings.Join(names, ", "))
	default:
		return Database{}, "", segue.Errorf(segue.KindNotFound, "no database %q", name).WithHint("there are: %s", strings.Join(names, ", "))
	}
}

// usedDatabase is a database with the services that use it.
type usedDatabase struct {
	Database

	services []segue.ServiceName
}

// configured lists the databases of every service, as configured last, or as prepared.
func (c *Controller) configured(ctx context.Context) ([]usedDatabase, error) {
	var all []usedDatabase
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for name, known := range ledger.Services {
			all = c.gather(all, name, known.Config)
		}
		for _, known := range ledger.Databases {
			if p := known.Preparing; p != nil {
				all = c.gather(all, p.Service, p.Config)
			}
		}
	})
	slices.SortFunc(all, func(a, b usedDatabase) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, err
}

func (c *Controller) gather(all []usedDatabase, service segue.ServiceName, digest segue.Digest) []usedDatabase {
	config, err := c.options.Configs.Get(digest)
	if err != nil {
		return all
	}
	for _, d := range config.Databases {
		i := slices.IndexFunc(all, func(known usedDatabase) bool { return known.Name == d.Name })
		if i < 0 {
			all = append(all, usedDatabase{Database: d, services: []segue.ServiceName{service}})
			continue
		}
		if !slices.Contains(all[i].services, service) {
			all[i].services = append(all[i].services, service)
			slices.Sort(all[i].services)
		}
	}
	return all
}

// orderPreparation pauses or resumes the work ahead of a release.
func (c *Controller) orderPreparation(ctx context.Context, name segue.DatabaseName, order operator.DatabaseOrder) error {
	return c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		p := ledger.Databases[name].Preparing
		pause := order.Verb == segue.DatabasePause
		switch {
		case p == nil:
			return nil, segue.Errorf(segue.KindConflict, "nothing is being prepared on database %s", name).WithHint("`segue prepare RELEASE` begins")
		case p.Done:
			return nil, segue.Errorf(segue.KindConflict, "database %s is prepared for %s already", name, p.Release)
		case pause && p.Paused:
			return nil, segue.Errorf(segue.KindConflict, "the preparation of database %s for %s is paused already", name, p.Release)
		case !pause && p.Going():
			return nil, segue.Errorf(segue.KindConflict, "the preparation of database %s for %s is not paused", name, p.Release)
		}
		return []segue.Event{databaseEvent(name, p.Service, order, p.Release)}, nil
	})
}

func databaseEvent(name segue.DatabaseName, service segue.ServiceName, order operator.DatabaseOrder, release segue.ReleaseName) segue.Event {
	return segue.Event{Kind: segue.EventDatabase, Database: name, Service: service, Work: &segue.DatabaseEvent{
		Verb: order.Verb, Release: release, Change: order.Change, By: order.By, Why: order.Why,
	}}
}

// cancelPreparation gives the work ahead of a release up, and takes back what can be.
func (c *Controller) cancelPreparation(ctx context.Context, config Database, service segue.ServiceName, order operator.DatabaseOrder) ([]string, error) {
	var release segue.ReleaseName
	err := c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		p := ledger.Databases[config.Name].Preparing
		if p == nil {
			return nil, segue.Errorf(segue.KindConflict, "nothing is being prepared on database %s", config.Name)
		}
		if known := ledger.Services[p.Service]; known != nil && (known.Stable.Name == p.Release || known.Open != nil && known.Open.Candidate.Name == p.Release) {
			return nil, segue.Errorf(segue.KindRefused, "%s runs already: what was prepared for it is in use", p.Release)
		}
		release = p.Release
		return []segue.Event{databaseEvent(config.Name, service, order, p.Release)}, nil
	})
	if err != nil {
		return nil, err
	}
	d, err := c.desk(ctx, config)
	if err != nil {
		return nil, err
	}
	return d.takeBack(ctx, release)
}

// takeBack cancels what was recorded for a release, as far as it can be. Contracts come last: one whose backfill stays done takes away what that needs, such
// as the triggers that keep its columns in step, and so it stays owed.
func (d *desk) takeBack(ctx context.Context, release segue.ReleaseName) ([]string, error) {
	lease, giveBack, err := d.take(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	var notes []string
	for _, contracts := range []bool{false, true} {
		state, err := d.driver.State(ctx)
		if err != nil {
			return notes, err
		}
		for _, known := range slices.Backward(state.Changes) {
			if known.Release != release || known.Status == migration.StatusForgiven || known.Status == migration.StatusCanceled ||
				(known.Change.Phase == migration.PhaseContract) != contracts {
				continue
			}
			note := "taken back: " + known.Change.Title
			if fill := standing(state, known.Change); fill != "" {
				note = fmt.Sprintf("stays owed: %s: it ends what came with %s, which was not taken back", known.Change.Title, fill)
			} else if err := lease.Cancel(ctx, known.Change.ID); err != nil {
				note = fmt.Sprintf("left as it is: %s: %v", known.Change.Title, err)
			}
			notes = append(notes, note)
		}
	}
	return notes, nil
}

// standing gives the title of a backfill that a contract ends, and that was not taken back; "" for none.
func standing(state migration.State, contract migration.Change) string {
	if contract.Phase != migration.PhaseContract {
		return ""
	}
	for _, known := range state.Changes {
		of := func(origin migration.StatementID) bool { return slices.Contains(contract.Origin, origin) }
		if known.Change.Phase == migration.PhaseBackfill && known.Status != migration.StatusCanceled && slices.ContainsFunc(known.Change.Origin, of) {
			return known.Change.Title
		}
	}
	return ""
}

// contractNow does what is owed outside of a rollout, as far as its gates let it.
func (c *Controller) contractNow(ctx context.Context, config Database, order operator.DatabaseOrder) ([]string, error) {
	d, err := c.desk(ctx, config)
	if err != nil {
		return nil, err
	}
	state, err := d.driver.State(ctx)
	if err != nil {
		return nil, err
	}
	if busy := c.rolling(config.Name); busy != "" {
		return nil, segue.Errorf(segue.KindConflict, "database %s: %s", config.Name, busy).WithHint("wait for its end: it does what is due by itself")
	}
	var notes []string
	owed := 0
	for _, known := range state.Changes {
		id := known.Change.ID
		due := known.Change.Phase == migration.PhaseContract && (known.Status == migration.StatusOwed || known.Status == migration.StatusRunning)
		if !due || order.Change != "" && order.Change != string(id) {
			continue
		}
		o := outlook{config: config, desk: d, plan: migration.Plan{Changes: []migration.Change{known.Change}}, gates: map[migration.ChangeID]migration.Gate{}}
		if o.state, err = d.driver.State(ctx); err != nil { // those before it are done by now, or not
			return notes, err
		}
		outcome, err := c.contract(ctx, o, id, contractWish{by: order.By})
		if err != nil {
			return notes, err
		}
		note := "done: " + known.Change.Title
		if outcome.Owed != "" {
			owed++
			note = "stays owed: " + outcome.Owed
		}
		notes = append(notes, note)
	}
	switch {
	case len(notes) == 0 && order.Change != "":
		return nil, segue.Errorf(segue.KindNotFound, "database %s owes no change %q", config.Name, order.Change).WithHint("`segue db status` lists what is owed")
	case len(notes) == 0:
		return []string{fmt.Sprintf("database %s owes nothing", config.Name)}, nil
	case owed == len(notes):
		return notes, segue.Errorf(segue.KindRefused, "database %s: %s", config.Name, strings.Join(notes, "; "))
	}
	return notes, nil
}

// forgive strikes a change off what is owed.
func (c *Controller) forgive(ctx context.Context, config Database, order operator.DatabaseOrder) error {
	if order.Change == "" || order.Why == "" {
		return segue.Errorf(segue.KindInvalid, "forgive needs a change and a reason").WithHint("segue db forgive CHANGE --why \"...\"")
	}
	d, err := c.desk(ctx, config)
	if err != nil {
		return err
	}
	lease, giveBack, err := d.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	if err := lease.Forgive(ctx, migration.ChangeID(order.Change), order.By, order.Why); err != nil {
		return fmt.Errorf("forgive %s in database %s: %w", order.Change, config.Name, err)
	}
	return c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) {
		return []segue.Event{databaseEvent(config.Name, "", order, "")}, nil
	})
}
