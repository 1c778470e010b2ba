package recipe

import (
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// What a modest server does in a second, on the careful side: estimates are for deciding, and a table is called small by them.
const (
	rewriteRate  = 20 << 20  // bytes, heap and indexes together
	scanRate     = 100 << 20 // bytes of heap
	buildRate    = 20 << 20  // bytes of heap, per index
	backfillRate = 10_000    // rows, at half of the budget
	brief        = 50 * time.Millisecond
	// patience is how long others may wait behind a statement that is run as written.
	patience = time.Second
)

func lasts(amount, rate int64) time.Duration {
	return time.Duration(float64(amount) / float64(rate) * float64(time.Second))
}

// small says whether a table is rewritten before anybody minds.
func (t *table) small() bool { return lasts(t.Bytes, rewriteRate) < patience }

// held are the tables of others that a statement rewrites or reads as a whole while somebody waits for them.
func (p *planner) held(facts migration.Facts) []*table {
	var found []*table
	for _, name := range append(slices.Clone(facts.Rewritten), facts.Scanned...) {
		t := p.world.named(name)
		if t == nil || t.fresh || slices.Contains(found, t) || p.lockOn(facts, t) < migration.LockShare {
			continue
		}
		found = append(found, t)
	}
	return found
}

// lockOn gives the lock on a table by the facts, under either of its names.
func (p *planner) lockOn(facts migration.Facts, t *table) migration.Lock {
	lock := facts.Locks[t.full()]
	if p.world.named(t.Table.Name) == t {
		lock = max(lock, facts.Locks[t.Table.Name])
	}
	return lock
}

// rewrites says whether the facts name a table among those rewritten.
func (p *planner) rewrites(facts migration.Facts, t *table) bool {
	return slices.ContainsFunc(facts.Rewritten, func(name string) bool { return p.world.named(name) == t })
}

// spared says whether all of the tables are small.
func spared(tables []*table) bool {
	return !slices.ContainsFunc(tables, func(t *table) bool { return !t.small() })
}

// burden says in words what a statement would do to others as it was written: "rewrite customers under an access exclusive lock".
func (p *planner) burden(facts migration.Facts) string {
	held := p.held(facts)
	clauses := make([]string, 0, len(held))
	for _, t := range held {
		verb := "read all of"
		if p.rewrites(facts, t) {
			verb = "rewrite"
		}
		lock := p.lockOn(facts, t).String()
		article := "a"
		if strings.ContainsRune("aeiou", rune(lock[0])) {
			article = "an"
		}
		clauses = append(clauses, verb+" "+p.world.short(t)+" under "+article+" "+lock+" lock")
	}
	return strings.Join(clauses, " and ")
}

// estimate says what a change costs on the real tables.
func (p *planner) estimate(change migration.Change) migration.Estimate {
	var e migration.Estimate
	if change.Backfill != nil {
		if t := p.world.named(change.Backfill.Table); t != nil && t.Rows > 0 {
			e.Rows, e.Bytes, e.Time = t.Rows, t.Heap, lasts(t.Rows, backfillRate)
		}
		return e
	}
	var waits []string
	for _, name := range distinct(append(append([]string{}, change.Facts.Rewritten...), change.Facts.Scanned...)) {
		t := p.world.named(name)
		if t == nil || t.fresh {
			continue
		}
		work := lasts(t.Heap, scanRate)
		switch {
		case p.rewrites(change.Facts, t):
			work = lasts(t.Bytes, rewriteRate)
		case len(change.Facts.Built) > 0:
			work = lasts(t.Heap, buildRate)
		}
		e.Rows, e.Bytes, e.Time = e.Rows+max(t.Rows, 0), e.Bytes+t.Bytes, e.Time+work
		if blocks := p.lockOn(change.Facts, t).Blocks(); blocks != "" {
			e.Locked += work
			waits = append(waits, blocks+" of "+p.world.short(t))
		}
	}
	for name, lock := range change.Facts.Locks {
		if t := p.world.named(name); t != nil && !t.fresh && lock.Blocks() != "" && e.Locked == 0 {
			e.Time, e.Locked = max(e.Time, brief), brief
		}
	}
	e.Waits = strings.Join(waits, ", ")
	return e
}

// lock makes the facts of a statement of our own, as measured.
func locks(lock migration.Lock, tables ...*table) migration.Facts {
	facts := migration.Facts{Locks: map[string]migration.Lock{}}
	for _, t := range tables {
		facts.Locks[t.full()] = lock
	}
	return facts
}

// scans adds tables that are read in whole.
func scans(facts migration.Facts, tables ...*table) migration.Facts {
	for _, t := range tables {
		facts.Scanned = append(facts.Scanned, t.full())
	}
	return facts
}

// builds adds an index that is built without keeping anybody waiting.
func builds(t *table, index server.Index) migration.Facts {
	facts := scans(locks(migration.LockShareUpdateExclusive, t), t)
	facts.Built, facts.Alone = []string{index.Name}, true
	return facts
}
