package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// renameColumn gives a column a second name for as long as releases with the old one may run: a twin, kept in step in both directions and indexed like
// it. In the end the twin goes and the old column gets the name, in one transaction: both hold the same, and so every constraint, index and view of
// the table comes out as if it had simply been renamed.
func (t *part) renameColumn(ctx context.Context, clause sqltext.Clause) error {
	name := t.shape.Table.Name
	title := fmt.Sprintf("rename column %s.%s to %s", name, clause.Column, clause.NewName)
	from, there, err := t.last.table(ctx, name)
	if err != nil {
		return err
	}
	old, found := from.column(clause.Column)
	if !there || !found || t.isFresh(name, clause.Column) {
		t.plain(migration.PhaseExpand, title)
		t.fresh[lower(name+"."+clause.NewName)] = true
		return nil
	}
	if old.key > 0 || old.hidden || from.view || from.virtual || len(from.key()) == 0 {
		change := t.plain(migration.PhaseBreaking, title)
		change.Why = fmt.Sprintf("%s name %s, the new release names %s, and a column of a primary key, or a computed one, can have no twin",
			t.older(), clause.Column, clause.NewName)
		change.Split = "leave the column's name as it is and use the new one in the application; or make a new table and fill it, over two releases"
		return nil
	}
	return t.twin(ctx, from, old, clause)
}

func (t *part) twin(ctx context.Context, from table, old column, clause sqltext.Clause) error {
	was := old.name
	is, err := t.written(ctx, from.name, clause.NewName)
	if err != nil {
		return err
	}
	twins, err := t.twinIndexes(ctx, from, was, is)
	if err != nil {
		return err
	}
	loosened := t.loosen(from, was) != nil
	add := t.add(partAdd, migration.Change{
		Phase: migration.PhaseExpand, Table: from.name, Title: fmt.Sprintf("add column %s.%s beside %s", from.name, is, was),
		Why: fmt.Sprintf("%s know it as %s, the new release as %s: for a time it has both names", t.older(), was, is),
		Actions: append([]migration.Action{{
			SQL:  fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", quote(from.name), quote(is), strings.TrimSpace(old.kind+" "+collation(from, was))),
			Undo: fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", quote(from.name), quote(is)),
		}}, twins.create...),
	})
	add.Facts.Built = twins.names
	if len(twins.names) > 0 {
		if err := t.estimate(ctx, add, from.name, indexRate); err != nil {
			return err
		}
	}
	added := add.ID
	sync := &migration.Sync{
		Name: ownPrefix + "sync_" + cleanName(string(t.statement.ID)), Table: from.name, Until: migration.PhaseContract,
		Forward: []migration.Assignment{{Column: is, Expr: quote(was)}}, Reverse: []migration.Assignment{{Column: was, Expr: quote(is)}},
		Old: []string{was}, New: []string{is},
	}
	b := &migration.Backfill{Table: from.name, Key: from.key(), Set: sync.Forward, Sync: sync, Violators: "NOT (" + agree(*sync) + ")"}
	caveats, err := t.triggers(ctx, from, *b)
	if err != nil {
		return err
	}
	fill := t.add(partFill, migration.Change{
		Phase: migration.PhaseBackfill, Table: from.name, Title: fmt.Sprintf("fill %s.%s from %s", from.name, is, was), Caveats: caveats,
		After: []migration.ChangeID{added}, Backfill: b,
	})
	if err := t.paced(ctx, fill, b); err != nil {
		return err
	}
	return t.swap(ctx, fill.ID, from, old, swapParts{is: is, sync: sync.Name, twins: twins.names, loosened: loosened})
}

// written gives the new name as the statement writes it: names do not depend on their case, but results of queries show it.
func (t *part) written(ctx context.Context, name, column string) (string, error) {
	if err := t.last.exec(ctx, "SAVEPOINT written"); err != nil {
		return "", err
	}
	_ = t.last.exec(ctx, t.statement.SQL) // classify says it, with its place
	after, _, err := t.last.table(ctx, name)
	if err := errors.Join(err, t.last.exec(ctx, "ROLLBACK TO written; RELEASE written")); err != nil {
		return "", err
	}
	if c, found := after.column(column); found {
		return c.name, nil
	}
	return column, nil
}

// swapParts are what a swap takes away again.
type swapParts struct {
	is, sync string
	twins    []string
	loosened bool
}

// swap puts the old column in the twin's place.
func (t *part) swap(ctx context.Context, after migration.ChangeID, from table, old column, parts swapParts) error {
	change := migration.Change{
		Phase: migration.PhaseContract, Table: from.name, Title: fmt.Sprintf("rename column %s.%s to %s", from.name, old.name, parts.is),
		Why: fmt.Sprintf("the name %s goes, and with it its twin", old.name), After: []migration.ChangeID{after}, Carried: true,
		Removes: []migration.Object{{Kind: migration.ObjectColumn, Table: from.name, Name: old.name}},
		Facts:   migration.Facts{Rewritten: []string{from.name}},
	}
	statements := dropSync(parts.sync)
	for _, index := range parts.twins {
		statements = append(statements, "DROP INDEX "+quote(index))
	}
	name := quote(from.name)
	statements = append(statements, dropTwin(from.name, parts.is), fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", name, quote(old.name), quote(parts.is)))
	for _, statement := range statements {
		change.Actions = append(change.Actions, migration.Action{SQL: statement})
	}
	if parts.loosened {
		change.Actions = append(change.Actions, migration.Action{
			SQL:    fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, quote(parts.is)),
			Expect: fmt.Sprintf("SELECT count(*) FROM %s WHERE %s IS NULL", name, quote(parts.is)),
		})
	}
	return t.estimate(ctx, t.add(partSwap, change), from.name, rewriteRate)
}

func dropTwin(table, column string) string {
	return fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", quote(table), quote(column))
}

// twins are the indexes of a twin column.
type twins struct {
	names  []string
	create []migration.Action
}

// twinIndexes makes for every index with the column one with its twin.
func (t *part) twinIndexes(ctx context.Context, from table, was, is string) (found twins, err error) {
	indexes, err := collect(ctx, t.last.conn, readIndex, `SELECT l.name, l."unique", coalesce(s.sql, ''),
		(SELECT json_group_array(x.name ORDER BY x.seqno) FROM pragma_index_xinfo(l.name) x WHERE x.key) FROM pragma_index_list(?) l
		LEFT JOIN sqlite_schema s ON s.name = l.name ORDER BY l.seq`, from.name)
	if err != nil {
		return found, err
	}
	for _, i := range indexes {
		elements, where, err := indexed(i.sql, i.columns)
		if err != nil {
			return found, err
		}
		changed := slices.Clone(elements)
		for i := range changed {
			changed[i] = renamed(changed[i], was, is)
		}
		filter := renamed(where, was, is)
		if slices.Equal(changed, elements) && filter == where {
			continue
		}
		kind := "INDEX"
		if i.unique {
			kind = "UNIQUE INDEX"
		}
		if filter != "" {
			filter = " WHERE " + filter
		}
		twin := ownPrefix + "twin_" + cleanName(i.name)
		found.names = append(found.names, twin)
		statement := fmt.Sprintf("CREATE %s %s ON %s (%s)%s", kind, quote(twin), quote(from.name), strings.Join(changed, ", "), filter)
		found.create = append(found.create, migration.Action{SQL: statement})
	}
	return found, nil
}

// index is one of a table: sql is "" where a constraint made it, columns is a JSON array.
type index struct {
	name, sql, columns string
	unique             bool
}

func readIndex(row scanner) (i index, err error) {
	err = row.Scan(&i.name, &i.unique, &i.sql, &i.columns)
	return i, err
}

// collation gives the COLLATE clause of a column, which no pragma tells.
func collation(from table, name string) string {
	for _, clause := range parse(from.sql).Clauses {
		if strings.EqualFold(clause.Column, name) && clause.Collate != "" {
			return "COLLATE " + clause.Collate
		}
	}
	return ""
}
