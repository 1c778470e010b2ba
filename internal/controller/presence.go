package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/rollout"
)

// presences are the releases that share a database: who runs, who may come back, who is gone since when; and what they say to it.
type presences struct {
	all     []migration.Presence
	queries []migration.Query
	// of says which service each one is of; registered are all releases that one could deploy.
	of         map[segue.ReleaseName]segue.ServiceName
	registered []registered
}

type registered struct {
	service segue.ServiceName
	release segue.ReleaseName
	order   int
}

// names lists the releases that run or may come back.
func (p presences) names() []segue.ReleaseName {
	var names []segue.ReleaseName
	for _, one := range p.all {
		if len(one.Running) > 0 || !one.Until.IsZero() {
			names = append(names, one.Release)
		}
	}
	return names
}

func (p presences) order(release segue.ReleaseName) int {
	for _, one := range p.registered {
		if one.release == release {
			return one.order
		}
	}
	return 1 << 30
}

// explain says of a ground against a removal who the release is that it is about: it runs, or may come back until a time.
func (p presences) explain(ground *migration.Ground, now time.Time) {
	i := slices.IndexFunc(p.all, func(one migration.Presence) bool { return one.Release == ground.Release })
	if i < 0 || ground.Release == "" || ground.Answer == migration.AnswerSafe {
		return
	}
	one, text := p.all[i], ground.Text
	switch {
	case strings.HasPrefix(text, string(one.Release)+" "): // it says so itself
	case len(one.Running) > 0:
		ground.Text = fmt.Sprintf("%s runs and needs it (%s)", one.Release, text)
	case !one.Until.IsZero():
		ground.Text = fmt.Sprintf("%s may come back until %s and needs it (%s)", one.Release, clock(one.Until, now), text)
	}
	if len(one.Running) == 0 && ground.Until.IsZero() {
		ground.Until = one.Until
	}
}

// clock says when something will be, with the day where that is not today.
func clock(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format(time.TimeOnly)
	}
	return at.Format(time.DateTime)
}

// waiting is the ground of a contract that waits for some time after the last older release has gone.
func (p presences) waiting(brought segue.ReleaseName, wait time.Duration, now time.Time) (migration.Ground, bool) {
	if wait <= 0 {
		return migration.Ground{}, false
	}
	newest, order := migration.Presence{}, p.order(brought)
	for _, one := range p.all {
		if one.Order < order && one.Ended.After(newest.Ended) {
			newest = one
		}
	}
	until := newest.Ended.Add(wait)
	if newest.Release == "" || !now.Before(until) {
		return migration.Ground{}, false
	}
	return migration.Ground{
		Check: "wait", Answer: migration.AnswerUnsafe, Release: newest.Release, Until: until,
		Text: fmt.Sprintf("%s ended %s ago, and it waits %s", newest.Release, now.Sub(newest.Ended).Round(time.Second), wait),
	}, true
}

// presences asks the ledger who shares a database: the services that are configured to, and those that are about to.
func (c *Controller) presences(ctx context.Context, database segue.DatabaseName, using ...segue.ServiceName) (presences, error) {
	p := presences{of: map[segue.ReleaseName]segue.ServiceName{}}
	var releases []segue.Release
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		now := time.Now()
		for name, known := range ledger.Services {
			s, err := c.service(name, known.Config)
			if err != nil || !uses(s.databases, database) && !slices.Contains(using, name) {
				continue
			}
			p.add(known, name, now)
			for _, release := range known.Releases {
				releases = append(releases, release)
			}
		}
	})
	if err != nil {
		return p, err
	}
	slices.SortFunc(p.all, func(a, b migration.Presence) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Release, b.Release))
	})
	for _, release := range releases {
		p.queries = append(p.queries, c.recorded(release, database)...)
	}
	return p, nil
}

func uses(databases []Database, name segue.DatabaseName) bool {
	return slices.ContainsFunc(databases, func(d Database) bool { return d.Name == name })
}

// recorded gives the statements that were recorded for a release.
func (c *Controller) recorded(release segue.Release, database segue.DatabaseName) []migration.Query {
	config, err := c.options.Configs.Get(release.Config)
	if err != nil {
		return nil
	}
	var queries []migration.Query
	for _, d := range config.Databases {
		if d.Name != database {
			continue
		}
		for _, query := range d.Queries {
			query.Release = release.Name
			queries = append(queries, query)
		}
	}
	return queries
}

// ended notes when releases that were replaced ran last.
func ended(history []rollout.Past, of func(segue.ReleaseName) *migration.Presence) {
	for _, past := range history {
		if past.Phase != segue.PhaseSucceeded || past.Stable == past.Candidate || past.Stable == "" {
			continue
		}
		if one := of(past.Stable); len(one.Running) == 0 {
			one.Ended = past.EndedAt
		}
	}
}

// add takes one service's releases.
func (p *presences) add(known *rollout.ServiceLedger, service segue.ServiceName, now time.Time) {
	orders := ordersOf(known)
	seen := map[segue.ReleaseName]*migration.Presence{}
	of := func(name segue.ReleaseName) *migration.Presence {
		if name == "" {
			return &migration.Presence{}
		}
		one, ok := seen[name]
		if !ok {
			one = &migration.Presence{Release: name, Order: orders[name]}
			seen[name] = one
		}
		return one
	}
	for _, slot := range known.Fleet.Slots {
		if slot.Instance.ID != "" {
			one := of(slot.Instance.Release)
			one.Running = append(one.Running, slot.Server.Name)
		}
		if slot.Beside != nil {
			one := of(slot.Beside.Instance.Release)
			one.Running = append(one.Running, slot.Server.Name)
		}
	}
	if known.Stable.Name != "" {
		of(known.Stable.Name)
	}
	if open := known.Open; open != nil {
		of(open.Stable.Name).Until = now.Add(open.Settings.RollbackWindow)
		of(open.Candidate.Name)
	}
	if now.Before(known.PreviousUntil) {
		of(known.Previous.Name).Until = known.PreviousUntil
	}
	ended(known.History, of)
	for name, one := range seen {
		p.all = append(p.all, *one)
		p.of[name] = service
	}
	for name := range known.Releases {
		p.registered = append(p.registered, registered{service: service, release: name, order: orders[name]})
	}
}

// ordersOf numbers a service's releases by their first deploy, from 1; those that were never deployed come last.
func ordersOf(known *rollout.ServiceLedger) map[segue.ReleaseName]int {
	orders := map[segue.ReleaseName]int{}
	add := func(name segue.ReleaseName) {
		if _, ok := orders[name]; !ok && name != "" {
			orders[name] = len(orders) + 1
		}
	}
	for _, past := range known.History {
		add(past.Stable)
		add(past.Candidate)
	}
	add(known.Stable.Name)
	if known.Open != nil {
		add(known.Open.Candidate.Name)
	}
	last := len(orders) + 1
	for name := range known.Releases {
		if _, ok := orders[name]; !ok {
			orders[name] = last
		}
	}
	return orders
}
