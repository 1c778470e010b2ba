package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// wholeLimit is up to how many rows a statement that cannot be cut into batches is run as it is.
const wholeLimit = 50_000

// rewrite plans UPDATE and DELETE: in batches along the table's key.
func (t *part) rewrite(ctx context.Context) error {
	name := t.shape.Table.Name
	from, there, err := t.last.table(ctx, name)
	if err != nil || !there {
		return err
	}
	title := "delete rows of " + name
	if t.shape.Kind == sqltext.KindUpdate {
		title = fmt.Sprintf("fill %s of %s", strings.Join(columnsOf(t.shape.Set), ", "), name)
	}
	if t.isFresh(name, "") {
		t.plain(migration.PhaseExpand, title)
		return nil
	}
	b := migration.Backfill{Table: from.name, Key: from.key(), Where: t.shape.Where, Delete: t.shape.Kind == sqltext.KindDelete}
	for _, a := range t.shape.Set {
		b.Set = append(b.Set, migration.Assignment{Column: a.Column, Expr: a.Expr})
	}
	if t.shape.Kind == sqltext.KindUpdate && len(b.Set) == 0 {
		return t.whole(ctx, title, "what it sets was not understood")
	}
	if t.shape.From != "" || len(b.Key) == 0 || !plainly(t.statement.SQL) {
		return t.whole(ctx, title, "it cannot be cut into batches: write it without WITH, OR and FROM, with subqueries")
	}
	for _, key := range b.Key {
		if slices.ContainsFunc(b.Set, func(a migration.Assignment) bool { return strings.EqualFold(a.Column, key) }) {
			return t.whole(ctx, title, "it changes the key that batches would go along")
		}
	}
	if _, err := t.last.prepare(statement(b, "TRUE")); err != nil {
		// Such as an alias of the table, or UPDATE OR IGNORE.
		return t.whole(ctx, title, "it cannot be cut into batches: "+plain(err))
	}
	caveats, err := t.triggers(ctx, from, b)
	if err != nil {
		return err
	}
	t.sync(from, &b)
	change := t.add("", migration.Change{Phase: migration.PhaseBackfill, Title: title, Table: from.name, Caveats: caveats})
	if err := t.paced(ctx, change, &b); err != nil {
		return err
	}
	change.Backfill = &b
	t.unsync(change)
	return nil
}

// plainly says whether an UPDATE or DELETE begins as one, and is not UPDATE OR something.
func plainly(statement string) bool {
	words := identifiers(statement)
	return len(words) > 1 && (words[0].Is("update") || words[0].Is("delete")) && !words[1].Is("or")
}

// paced estimates a backfill: half of the time is rest, and nobody waits longer than a batch.
func (t *part) paced(ctx context.Context, change *migration.Change, b *migration.Backfill) error {
	n, err := t.rowsOf(ctx, b.Table)
	if err != nil {
		return err
	}
	b.Rows = n
	took := time.Duration(n) * time.Second / backfillRate
	change.Estimate = migration.Estimate{Rows: n, Time: time.Duration(float64(took) / defaultBudget), Locked: min(took, batchTarget)}
	return nil
}

// whole runs the statement as it is: for tables that are small.
func (t *part) whole(ctx context.Context, title, why string) error {
	change := t.plain(migration.PhaseExpand, title)
	change.Why = why
	name := t.shape.Table.Name
	if err := t.estimate(ctx, change, name, backfillRate); err != nil {
		return err
	}
	if n := change.Estimate.Rows; n > wholeLimit {
		t.fault(t.statement.At, "write it so that it can run row by row: UPDATE t SET a = (SELECT ...) WHERE ..., by the table's own name",
			"%s; %s has %d rows, and writers would wait for all of them", why, name, n)
	}
	return nil
}

// triggers warns of those of the team's that a backfill sets off.
func (t *part) triggers(ctx context.Context, from table, b migration.Backfill) (caveats []string, err error) {
	objects, err := t.last.objects(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.kind == "trigger" && strings.EqualFold(o.table, from.name) && !strings.HasPrefix(o.name, ownPrefix) {
			caveats = append(caveats, fmt.Sprintf("trigger %s runs for every row of it", o.name))
		}
	}
	if b.Delete {
		caveats = append(caveats, "foreign keys are enforced meanwhile: rows that refer to deleted ones go too, or are in the way")
	}
	return caveats, nil
}

// sync sees to rows that are written meanwhile: by older releases, which do not know the new columns, and, with a `keep`, by the new one.
func (t *part) sync(from table, b *migration.Backfill) {
	keep := t.statement.Hints.Keep
	if b.Delete {
		return
	}
	isNew := !slices.ContainsFunc(b.Set, func(a migration.Assignment) bool { return !t.isFresh(from.name, a.Column) })
	if !isNew && len(keep) == 0 {
		return
	}
	forward, condition, ok := unconditional(b.Set, b.Where, from)
	if !ok {
		return
	}
	changing := slices.ContainsFunc(b.Set, func(a migration.Assignment) bool { return volatile(a.Expr) })
	sync := migration.Sync{
		Name: ownPrefix + "sync_" + cleanName(string(t.statement.ID)), Table: from.name, Forward: forward, Until: migration.PhaseContract,
	}
	for _, a := range forward {
		if !changing {
			sync.Old = append(sync.Old, mentions(a.Expr, from)...)
		}
	}
	sync.Old = without(distinct(sync.Old), targets(forward))
	if !changing {
		sync.Reverse = keep
		for _, a := range keep {
			sync.New = append(sync.New, mentions(a.Expr, from)...)
		}
		sync.New = without(distinct(sync.New), targets(keep))
	}
	b.Sync = &sync
	if !changing {
		b.Violators = condition + "NOT (" + agree(sync) + ")"
	}
}

// unconditional writes assignments so that they hold for every row: those that WHERE leaves out stay as they are. A condition that only picks rows not yet
// filled says nothing about what they should be. ok is false when the condition reads what the assignments write.
func unconditional(set []migration.Assignment, where string, from table) (forward []migration.Assignment, condition string, ok bool) {
	bare := lower(strings.NewReplacer(`"`, "", "`", "", "(", "", ")", "", "\n", " ", "\t", " ").Replace(where))
	for _, a := range set {
		if where == "" || strings.Join(strings.Fields(bare), " ") == lower(a.Column)+" is null" {
			return set, "", true
		}
	}
	read := mentions(where, from)
	for _, a := range set {
		if slices.ContainsFunc(read, func(c string) bool { return strings.EqualFold(c, a.Column) }) {
			return nil, "", false
		}
		forward = append(forward, migration.Assignment{Column: a.Column, Expr: fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", where, a.Expr, quote(a.Column))})
	}
	return forward, "(" + where + ") AND ", true
}

// unsync plans the end of a backfill's triggers, or says that there are none.
func (t *part) unsync(fill *migration.Change) {
	sync := fill.Backfill.Sync
	switch {
	case fill.Backfill.Delete:
		return
	case sync == nil:
		fill.Caveats = append(fill.Caveats, "rows that releases write meanwhile and afterwards stay as they write them")
		return
	case len(sync.Reverse) == 0:
		fill.Caveats = append(fill.Caveats, fmt.Sprintf("what the new release writes to %s is not brought back to columns that %s read; "+
			"a comment `-- segue: keep column = expression` before the statement does that", strings.Join(targets(sync.Forward), ", "), t.older()))
	}
	change := migration.Change{
		Phase: migration.PhaseContract, Title: "drop the triggers that fill " + strings.Join(targets(sync.Forward), ", ") + " of " + sync.Table, Table: sync.Table,
		Why: fmt.Sprintf("as long as %s write, they are needed", t.older()), After: []migration.ChangeID{fill.ID}, Carried: true,
		Removes: []migration.Object{{Kind: migration.ObjectTrigger, Table: sync.Table, Name: sync.Name}},
	}
	for _, statement := range dropSync(sync.Name) {
		change.Actions = append(change.Actions, migration.Action{SQL: statement})
	}
	t.add(partUnsync, change)
}

// insert plans rows that a migration brings.
func (t *part) insert(ctx context.Context) error {
	name := t.shape.Table.Name
	change := t.plain(migration.PhaseExpand, "insert into "+name)
	source := ""
	var most int64
	tokens := identifiers(t.statement.SQL)
	for i, token := range tokens[:max(len(tokens)-1, 0)] {
		if !token.Is("from") && !token.Is("join") {
			continue
		}
		n, err := t.rowsOf(ctx, tokens[i+1].Value())
		if err != nil {
			return err
		}
		if n > most {
			source, most = tokens[i+1].Value(), n
		}
	}
	if source == "" {
		return nil
	}
	return t.estimate(ctx, change, source, backfillRate)
}

// volatile says whether an expression gives something else each time.
func volatile(expr string) bool {
	const calls, words, clocks = `\b(random|randomblob|last_insert_rowid|changes|total_changes)\s*\(`, `\bcurrent_(time|date|timestamp)\b|'now'`,
		`\b(datetime|date|time|julianday|unixepoch)\s*\(\s*\)`
	return regexp.MustCompile(`(?i)` + calls + "|" + words + "|" + clocks).MatchString(expr)
}

func columnsOf(set []sqltext.Assignment) []string {
	columns := make([]string, len(set))
	for i, a := range set {
		columns[i] = a.Column
	}
	return columns
}

// cleanName makes part of an identifier of a statement's name.
func cleanName(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, text)
}

func distinct(names []string) []string {
	var kept []string
	for _, name := range names {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.EqualFold(k, name) }) {
			kept = append(kept, name)
		}
	}
	return kept
}

func without(names, others []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(others, func(o string) bool { return strings.EqualFold(o, name) })
	})
}
