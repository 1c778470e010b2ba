package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// row is an operation on the page. The lower its rank, the more it holds up: reads while there is work, writes while there is work, others.
type row struct {
	change, lock, waits, time, plan string
	rank                            int
	phase                           migration.Phase
	asWritten                       bool
}

// relations are what is there before an operation: tables, and indexes with their tables.
type relations struct {
	tables  map[string]bool
	indexes map[string]string
}

func relationsOf(m measured, o operation) relations {
	r := relations{tables: map[string]bool{"mv": true}, indexes: map[string]string{}}
	for _, table := range m.catalog(lastMeasured*10000, o.Setup).Tables {
		r.tables[table.Name] = true
		for _, index := range table.Indexes {
			r.indexes[index.Name] = table.Name
		}
	}
	return r
}

func newRow(e Entry, there relations) row {
	facts := asBefore(e)
	r := row{change: cell(e.Operation), phase: e.Phase, asWritten: asWritten(e), rank: 2}
	if e.Since > firstMeasured {
		r.change += fmt.Sprintf(" (from %d on)", e.Since)
	}
	if facts.Error != "" {
		r.lock, r.waits, r.time = "–", "–", "refused: "+cell(facts.Error)
		return r
	}
	locks := there.shown(facts.Locks)
	r.lock, r.waits = lockCell(locks), waitCell(locks, there)
	work := workOf(facts, there)
	switch worst := slices.Max(append(slices.Collect(maps.Values(locks)), migration.LockNone)); {
	case worst == migration.LockNone:
		r.lock, r.waits, r.time = "none on tables", "nobody", when(work == "", "–")+when(work != "", "while it "+work)
	case work == "":
		r.time = "a moment"
	case worst.Blocks() == "":
		r.time = "while it " + work
	default:
		r.time, r.rank = "**while it "+work+"**", 1
		if worst == migration.LockAccessExclusive {
			r.rank = 0
		}
	}
	return r
}

// asBefore gives an operation's facts in the names that things had before it.
func asBefore(e Entry) migration.Facts {
	facts := e.Facts
	if alone, known := aloneFacts[e.ID]; known {
		facts = alone
	}
	to, corrected := before[e.ID]
	if !corrected {
		return facts
	}
	rename := func(names []string) (kept []string) {
		for _, name := range names {
			if other, renamed := to.named[name]; renamed {
				name = other
			}
			kept = append(kept, name)
		}
		return slices.DeleteFunc(kept, func(name string) bool { return name == "" })
	}
	locks := map[string]migration.Lock{}
	for name, lock := range facts.Locks {
		for _, name := range rename([]string{name}) {
			locks[name] = lock
		}
	}
	if to.dropped != "" {
		locks[to.dropped] = migration.LockAccessExclusive
	}
	facts.Locks = locks
	facts.Rewritten, facts.Scanned = rename(facts.Rewritten), rename(facts.Scanned)
	if to.emptied {
		facts.Rewritten, facts.Scanned, facts.Built = nil, nil, nil
	}
	return facts
}

// shown leaves out what was not there before, and indexes that are locked no more than their tables are.
func (r relations) shown(locks map[string]migration.Lock) map[string]migration.Lock {
	others := slices.ContainsFunc(slices.Collect(maps.Keys(locks)), func(name string) bool { return r.tables[name] || r.indexes[name] != "" })
	shown := map[string]migration.Lock{}
	for name, lock := range locks {
		table := r.indexes[name]
		if r.tables[name] || !others || table != "" && lock > locks[table] {
			shown[name] = lock
		}
	}
	return shown
}

// lockCell names locks as PostgreSQL does, strongest first.
func lockCell(locks map[string]migration.Lock) string {
	var clauses []string
	for lock := migration.LockAccessExclusive; lock > migration.LockNone; lock-- {
		if names := having(locks, func(_ string, l migration.Lock) bool { return l == lock }); names != "" {
			clauses = append(clauses, strings.ToUpper(lock.String())+" on "+names)
		}
	}
	return strings.Join(clauses, "<br>")
}

// waitCell says who waits for whom. Whoever reads a table locks its indexes when the server plans: an index that is shut shuts it for statements that are
// not planned yet.
func waitCell(locks map[string]migration.Lock, there relations) string {
	var clauses []string
	for _, who := range []string{"reads and writes", "writes"} {
		if names := having(locks, func(name string, l migration.Lock) bool { return l.Blocks() == who && there.indexes[name] == "" }); names != "" {
			clauses = append(clauses, who+" of "+names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(locks)) {
		if table := there.indexes[name]; table != "" && locks[name] == migration.LockAccessExclusive {
			clauses = append(clauses, "reads of `"+table+"` without a cached plan")
		}
	}
	weaker := func(lock migration.Lock) bool {
		return slices.Contains(slices.Collect(maps.Values(locks)), lock)
	}
	switch {
	case len(clauses) > 0:
		return strings.Join(slices.Compact(clauses), "<br>")
	case weaker(migration.LockShareUpdateExclusive):
		return "other schema changes"
	case weaker(migration.LockRowExclusive):
		return "writers of the same rows"
	default:
		return "nobody"
	}
}

func having(locks map[string]migration.Lock, fits func(name string, lock migration.Lock) bool) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(locks)) {
		if fits(name, locks[name]) {
			names = append(names, "`"+name+"`")
		}
	}
	return strings.Join(names, ", ")
}

// workOf says what is rewritten, read and built, as what is done while others wait; "" for nothing.
func workOf(facts migration.Facts, there relations) string {
	var rewritten, read []string
	for _, name := range slices.Sorted(slices.Values(facts.Rewritten)) {
		if there.tables[name] {
			rewritten = append(rewritten, "`"+name+"`")
		}
	}
	for _, name := range slices.Sorted(slices.Values(facts.Scanned)) {
		if there.tables[name] && !slices.Contains(facts.Rewritten, name) {
			read = append(read, "`"+name+"`")
		}
	}
	var clauses []string
	if len(rewritten) > 0 {
		clauses = append(clauses, "rewrites "+strings.Join(rewritten, ", ")+when(len(facts.Built) > 0, " and its indexes"))
	}
	if len(read) > 0 {
		clauses = append(clauses, "reads "+strings.Join(read, ", "))
	}
	if n := len(facts.Built); n > 0 && len(rewritten) == 0 && len(read) > 0 {
		clauses = append(clauses, "builds "+when(n == 1, "an index")+when(n > 1, strconv.Itoa(n)+" indexes"))
	}
	return strings.Join(clauses, ", ")
}

// own are the changes and faults of an operation's last statement: those before it are its setting.
func own(e Entry) (changes []migration.Change, faults []migration.Fault) {
	last := strings.Count(e.Statement, "; ") + 1
	for _, c := range e.Changes {
		if c.At.Line == last {
			changes = append(changes, c)
		}
	}
	for _, f := range e.Faults {
		if f.At.Line == last {
			faults = append(faults, f)
		}
	}
	return changes, faults
}

// asWritten says whether the statement is run as it stands, names written in full aside.
func asWritten(e Entry) bool {
	changes, faults := own(e)
	if len(changes) != 1 || len(faults) > 0 || len(changes[0].Actions) != 1 || changes[0].Backfill != nil {
		return false
	}
	bare := func(sql string) string {
		return strings.ToLower(strings.NewReplacer(`"z".`, "", `"`, "", " ", "", "IF EXISTS", "").Replace(sql))
	}
	return bare(changes[0].Actions[0].SQL) == bare(e.Statement[strings.LastIndex(e.Statement, ";")+1:])
}

// plans tells what becomes of the operation, and of older versions what differs.
func plans(byVersion map[int][]Entry, i int) string {
	latest := planLines(byVersion[lastMeasured][i])
	lines := slices.Clone(latest)
	for major := lastMeasured - 1; major >= byVersion[lastMeasured][i].Since; major-- {
		var other []string
		for _, line := range planLines(byVersion[major][i]) {
			if !slices.Contains(latest, line) {
				other = append(other, line)
			}
		}
		if len(other) > 0 {
			lines = append(lines, fmt.Sprintf("*up to %d:* %s", major, strings.Join(other, "; ")))
			break // it holds for those before, too: what a version lacks, they lack
		}
	}
	return strings.Join(lines, "<br>")
}

func planLines(e Entry) (lines []string) {
	changes, faults := own(e)
	for _, c := range changes {
		line := "**" + string(c.Phase) + "** " + cell(c.Title)
		if hows := how(c); len(hows) > 0 {
			line += " (" + strings.Join(hows, ", ") + ")"
		}
		if asWritten(e) {
			line = "**" + string(c.Phase) + "**, as written"
		}
		lines = append(lines, line)
		if c.Split != "" {
			lines = append(lines, "over releases: "+cell(c.Split))
		}
	}
	for _, f := range faults {
		lines = append(lines, "**refused** "+cell(f.Message)+when(f.Hint != "", "; "+cell(f.Hint)))
	}
	return lines
}

// how names the means that a change takes to keep nobody waiting.
func how(c migration.Change) (hows []string) {
	if c.Backfill != nil {
		hows = append(hows, "in batches")
		if c.Backfill.Sync != nil {
			hows = append(hows, "a trigger keeps both in step")
		}
	}
	for _, means := range []struct{ in, word string }{
		{" ON ONLY ", "`ON ONLY` the whole"},
		{"CONCURRENTLY", "`CONCURRENTLY`"},
		{"ATTACH PARTITION", "`ATTACH`"},
		{"NOT NULL \"", "`NOT NULL`"},
		{"CHECK", "`CHECK`"},
		{"NOT VALID", "`NOT VALID`"},
		{"VALIDATE CONSTRAINT", "`VALIDATE`"},
		{"SET NOT NULL", "`SET NOT NULL`"},
		{"USING INDEX", "`USING INDEX`"},
		{"CREATE VIEW", "a view keeps the old name"},
		{"CREATE OR REPLACE VIEW", "a view keeps the old name"},
	} {
		if slices.ContainsFunc(c.Actions, func(a migration.Action) bool { return strings.Contains(a.SQL, means.in) }) {
			hows = append(hows, means.word)
		}
	}
	if c.Carried {
		hows = append(hows, "when no older release can come back")
	}
	return slices.Compact(hows)
}

// cell makes text fit a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "\n", " ", "_", `\_`).Replace(text)
}

func intro(rows []row) string {
	var slow, written, other int
	count := map[migration.Phase]int{}
	for _, r := range rows {
		count[r.phase]++
		if r.rank < 2 {
			slow++
		}
		if r.phase == migration.PhaseExpand && r.asWritten {
			written++
		} else if r.phase == migration.PhaseExpand {
			other++
		}
	}
	return fmt.Sprintf(`# Changes to a PostgreSQL schema

<!-- Generated from internal/migration/postgres/recipe by `+"`"+`make gen`+"`"+`. -->

What %[1]d statements lock and do as they are written, and what Segue makes of each. Locks and work were measured on
PostgreSQL %[2]d to %[3]d, on tables with rows, and tests repeat it on each of these versions. The plans are the planner's own,
for tables of 4 GB.

%[4]d of the statements keep writes, or reads and writes, waiting for as long as a table is large. They stand first in each
section, **in bold**. All other locks are held for a moment. That can still hurt: ACCESS EXCLUSIVE waits for the longest
transaction on the table, and everybody who comes later waits behind it. Segue asks with a timeout, and asks again.

| phase | when it runs | statements |
|---|---|---|
| expand | before the new release starts; older releases live with it | %[5]d as written, %[6]d in another form |
| backfill | before the new release starts, in batches | %[7]d |
| contract | when no release that needs what it takes away runs or can come back | %[8]d |
| breaking | in an all-at-once release only; "over releases" says how to do without | %[9]d |
| refused | never | %[10]d |

A statement counts by its own phase. What prepares it or comes after it can have another: the last column lists it all.

## Words

- `+"`t` is the table, `p` one that it refers to, `t2` one that refers to it."+`
- `+"`pt` is partitioned: `pt1`, and `ptd` for what fits no other. `newp` and `newpc` are to become partitions."+`
- `+"`emp` is empty. `p2`, `ul`, `ch1` and `mv` are there for their statement."+`
- A *twin* is a second column with the new type or name. A trigger keeps the two in step.
- SHARE UPDATE EXCLUSIVE keeps vacuum and other schema changes waiting, and no reads or writes.
- Where a table is so small that nobody waits for a second, Segue runs the statement as written.

## Versions

The versions differ in what they know, and in nothing else: a statement takes the same locks and does the same work on all of
them. "From 17 on" says with which version it came. One plan differs: up to 17, Segue makes NOT NULL by way of a CHECK that it
drops again; from 18 on, NOT NULL itself can be NOT VALID.
`, len(rows), firstMeasured, lastMeasured, slow, written, other, count[migration.PhaseBackfill], count[migration.PhaseContract], count[migration.PhaseBreaking], count[""])
}
