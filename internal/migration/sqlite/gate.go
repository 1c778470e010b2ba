package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// What a gate looks at, as its grounds name it.
const (
	checkReleases     = "releases"
	checkStatements   = "statements"
	checkDependencies = "dependencies"
	checkViews        = "views"
)

// misfitsTold bounds how many statements of one release are named.
const misfitsTold = 5

// Gate implements migration.Driver. SQLite keeps no statistics: what a release needs is known from what was recorded of it, and nothing recorded of
// one that runs is no answer.
func (d *Driver) Gate(ctx context.Context, request migration.GateRequest) (gate migration.Gate, err error) {
	start := time.Now()
	g := gating{request: request, gate: migration.Gate{Change: request.Change.ID, At: request.Now}}
	objects, err := readObjects(ctx, d.read)
	if err != nil {
		return gate, d.explain("read schema", err)
	}
	// Segue's own triggers are in nobody's way: they go before it, or with it.
	objects = slices.DeleteFunc(objects, func(o object) bool { return o.kind == "trigger" && strings.HasPrefix(o.name, ownPrefix) })
	if g.before, err = newScratch(ctx, objects); err != nil {
		return gate, d.explain("copy schema", err)
	}
	defer func() { err = errors.Join(err, g.before.close()) }()
	if g.after, err = newScratch(ctx, objects); err != nil {
		return gate, d.explain("copy schema", err)
	}
	defer func() { err = errors.Join(err, g.after.close()) }()
	if err := g.look(ctx); err != nil {
		return gate, d.explain("ask the gate of "+string(request.Change.ID), err)
	}
	g.gate.Settle()
	g.gate.Took = time.Since(start)
	return g.gate, nil
}

// gating is one asking of a gate.
type gating struct {
	request       migration.GateRequest
	before, after *scratch
	gate          migration.Gate
}

func (g *gating) ground(check string, answer migration.Answer, format string, args ...any) *migration.Ground {
	g.gate.Grounds = append(g.gate.Grounds, migration.Ground{Check: check, Answer: answer, Text: fmt.Sprintf(format, args...)})
	return &g.gate.Grounds[len(g.gate.Grounds)-1]
}

func (g *gating) look(ctx context.Context) error {
	for _, note := range g.before.notes {
		g.ground(checkDependencies, migration.AnswerUnknown, "%s", note)
	}
	if err := release(ctx, g.after, &g.request.Change); err != nil {
		return err
	}
	if err := g.after.apply(ctx, g.request.Change); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.ground(checkDependencies, migration.AnswerUnsafe, "SQLite refuses it: %s", plain(err))
		return nil
	}
	broken, err := brokenDependents(ctx, g.before, g.after)
	if err != nil {
		return err
	}
	for _, text := range broken {
		g.ground(checkViews, migration.AnswerUnsafe, "%s", text)
	}
	if len(broken) == 0 {
		g.ground(checkViews, migration.AnswerSafe, "no view and no trigger needs it")
	}
	if len(g.request.Releases) == 0 {
		g.ground(checkReleases, migration.AnswerUnknown, "no release is known")
	}
	for _, p := range g.request.Releases {
		if err := g.release(ctx, p); err != nil {
			return err
		}
	}
	return g.unattributed(ctx)
}

// release looks at one release of the ledger.
func (g *gating) release(ctx context.Context, p migration.Presence) error {
	older, now := g.older(p), g.request.Now
	returns := p.Until.After(now)
	if len(p.Running) == 0 && !returns {
		if free := p.Ended.Add(g.request.Change.Wait); older && !p.Ended.IsZero() && free.After(now) {
			ground := g.ground(checkReleases, migration.AnswerUnsafe, "%s ended %s ago, and %s are to pass", p.Release, now.Sub(p.Ended).Round(time.Second), g.request.Change.Wait)
			ground.Release, ground.Until = p.Release, free
			return nil
		}
		g.ground(checkReleases, migration.AnswerSafe, "%s does not run and cannot come back", p.Release).Release = p.Release
		return nil
	}
	why := "can be rolled back to"
	if len(p.Running) > 0 {
		why = fmt.Sprintf("runs on %d servers", len(p.Running))
	}
	until := p.Until
	if len(p.Running) > 0 {
		until = time.Time{}
	}
	if answer, what := unseen(g.request.Change.Removes); older && what != "" {
		ground := g.ground(checkReleases, answer, "%s %s, and may count on %s, which no statement names", p.Release, why, what)
		ground.Release, ground.Until = p.Release, until
		return nil
	}
	if !older && ownOnly(g.request.Change.Removes) {
		g.ground(checkReleases, migration.AnswerSafe, "%s does without Segue's triggers", p.Release).Release = p.Release
		return nil
	}
	tried, misfits, err := g.statements(ctx, p.Release, older)
	if err != nil {
		return err
	}
	switch {
	case tried == 0:
		ground := g.ground(checkStatements, migration.AnswerUnknown, "%s %s, and no statements of it are recorded that could be tried", p.Release, why)
		ground.Release, ground.Until = p.Release, until
	case misfits == 0:
		g.ground(checkStatements, migration.AnswerSafe, "%s %s, and its %d statements work without it", p.Release, why, tried).Release = p.Release
	}
	return nil
}

// older says whether a release is from before the one that brought the change.
func (g *gating) older(p migration.Presence) bool {
	for _, other := range g.request.Releases {
		if other.Release == g.request.Brought {
			return p.Order < other.Order
		}
	}
	return p.Release != g.request.Brought
}

// unseen says what goes that no statement of an application would name, and what to make of that; "" when statements tell all.
func unseen(removes []migration.Object) (answer migration.Answer, what string) {
	for _, o := range removes {
		switch {
		case o.Kind == migration.ObjectTrigger || o.Kind == migration.ObjectDefault:
			return migration.AnswerUnsafe, o.String()
		case o.Kind == migration.ObjectOther && what == "":
			answer, what = migration.AnswerUnknown, o.String()
		}
	}
	return answer, what
}

// ownOnly says whether only triggers of Segue's own go, which are there for older releases.
func ownOnly(removes []migration.Object) bool {
	return len(removes) > 0 && !slices.ContainsFunc(removes, func(o migration.Object) bool {
		return o.Kind != migration.ObjectTrigger || !strings.HasPrefix(o.Name, ownPrefix)
	})
}

// statements tries what is recorded of a release.
func (g *gating) statements(ctx context.Context, release segue.ReleaseName, older bool) (tried, misfits int, err error) {
	for _, query := range g.request.Recorded {
		if query.Release != release {
			continue
		}
		works, misfit, err := g.try(ctx, query)
		if err != nil {
			return tried, misfits, err
		}
		if works {
			tried++
		}
		if misfit == nil && older && g.tightens(query) {
			g.tell(query, migration.AnswerUnknown, "it may write what would be refused")
			misfits++
		}
		if misfit == nil {
			continue
		}
		if misfits++; misfits <= misfitsTold {
			g.tell(query, migration.AnswerUnsafe, told(*misfit))
		}
	}
	if misfits > misfitsTold {
		g.ground(checkStatements, migration.AnswerUnsafe, "%d more statements of %s do not work without it", misfits-misfitsTold, release).Release = release
	}
	return tried, misfits, nil
}

// try tries a statement before and after. One that does not work as things are says nothing.
func (g *gating) try(ctx context.Context, query migration.Query) (tried bool, misfit *migration.Misfit, err error) {
	before, err := find(ctx, g.before, query.SQL)
	if err != nil {
		return false, nil, err
	}
	g.gate.Statements++
	if before.broken != "" {
		g.tell(query, migration.AnswerUnknown, "it cannot be tried: "+before.broken)
		return false, nil, nil
	}
	after, err := find(ctx, g.after, query.SQL)
	if err != nil {
		return false, nil, err
	}
	return true, after.against(before, query), nil
}

// tightens says whether a statement writes a table that will refuse more than now.
func (g *gating) tightens(query migration.Query) bool {
	shape := parse(query.SQL)
	if shape.Kind != sqltext.KindInsert && shape.Kind != sqltext.KindUpdate {
		return false
	}
	for _, o := range g.request.Change.Removes {
		if o.Kind == migration.ObjectWrite && strings.EqualFold(o.Table, shape.Table.Name) {
			return true
		}
	}
	return false
}

// told says what becomes of a statement.
func told(misfit migration.Misfit) string {
	if misfit.Shape {
		return sqltext.Brief(sqltext.SQLite, misfit.Query.SQL) + ": " + misfit.Message
	}
	return sqltext.Brief(sqltext.SQLite, misfit.Query.SQL) + " would fail: " + misfit.Message
}

func (g *gating) tell(query migration.Query, answer migration.Answer, text string) {
	ground := g.ground(checkStatements, answer, "%s", text)
	ground.Release, ground.Statement, ground.Seen = query.Release, query.SQL, query.Seen
}

// unattributed tries statements of which nobody knows whose they are.
func (g *gating) unattributed(ctx context.Context) error {
	for _, query := range g.request.Recorded {
		if query.Release != "" {
			continue
		}
		_, misfit, err := g.try(ctx, query)
		if err != nil {
			return err
		}
		if misfit != nil {
			g.tell(query, migration.AnswerUnsafe, told(*misfit))
		}
	}
	return nil
}
