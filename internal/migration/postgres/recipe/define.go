package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// define gives a table what CREATE TABLE says.
func (t *table) define(w *world, shape sqltext.Shape) {
	if !shape.PartitionOf.Zero() {
		if parent := w.table(shape.PartitionOf); parent != nil {
			t.Parent = parent.full()
			t.Columns, t.Indexes = slices.Clone(parent.Columns), nil
		}
	}
	t.Partitioned = matches(`(?is)\)\s*PARTITION\s+BY\s`, shape.SQL)
	for _, clause := range shape.Clauses {
		if clause.Kind == sqltext.ClauseAddColumn {
			t.addColumn(w, clause)
			continue
		}
		for _, c := range clause.Constraints {
			t.addConstraint(w, c, c.Columns)
		}
	}
}

// addColumn adds a column with its constraints.
func (t *table) addColumn(w *world, clause sqltext.Clause) {
	column := server.Column{
		Name: clause.Column, Type: clause.Type, NotNull: clause.NotNull, Default: clause.Default, Generated: clause.Generated,
		Identity: clause.Identity, Collation: clause.Collate, Nulls: -1,
	}
	if kind := serial(clause.Type); kind != "" {
		column.Type, column.NotNull = kind, true
		column.Default = "nextval('" + makeName("seq", t.Table.Name, clause.Column) + "'::regclass)"
	}
	column.NotNull = column.NotNull || column.Identity != ""
	t.Columns = append(t.Columns, column)
	t.added[clause.Column] = true
	for _, c := range clause.Constraints {
		columns := c.Columns
		if len(columns) == 0 {
			columns = []string{clause.Column}
		}
		t.addConstraint(w, c, columns)
	}
}

// serial gives the type behind a serial one, "" for all others.
func serial(kind string) string {
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "serial", "serial4":
		return "integer"
	case "bigserial", "serial8":
		return "bigint"
	case "smallserial", "serial2":
		return "smallint"
	default:
		return ""
	}
}

// addConstraint adds a rule, with the index that it stands on.
func (t *table) addConstraint(w *world, c sqltext.Constraint, columns []string) {
	made := server.Constraint{Name: t.nameOf(w, c, columns), Columns: columns, Definition: c.SQL, Validated: !c.NotValid, RefColumns: c.RefColumns}
	switch c.Kind {
	case sqltext.ConstraintCheck:
		made.Kind, made.Definition = kindCheck, "CHECK ("+c.Expr+")"
		made.Columns = mentioned(c.Expr, t.columnNames())
	case sqltext.ConstraintForeignKey:
		made.Kind, made.References, made.Definition = kindForeign, c.References.Name, references(w, c, columns)
		if parent := w.table(c.References); parent != nil {
			made.References = parent.full()
		}
	case sqltext.ConstraintNotNull:
		for _, name := range columns {
			if column := t.column(name); column != nil {
				column.NotNull = true
			}
		}
		return
	case sqltext.ConstraintUnique, sqltext.ConstraintPrimaryKey, sqltext.ConstraintExclude:
		t.addKey(c, &made)
	default:
		return
	}
	t.Constraints = append(t.Constraints, made)
}

func (t *table) addKey(c sqltext.Constraint, made *server.Constraint) {
	kinds := map[sqltext.ConstraintKind]byte{
		sqltext.ConstraintUnique: kindUnique, sqltext.ConstraintPrimaryKey: kindPrimary, sqltext.ConstraintExclude: kindExclude,
	}
	made.Kind, made.Index = kinds[c.Kind], made.Name
	if c.UsingIndex != "" {
		if i := slices.IndexFunc(t.Indexes, func(x server.Index) bool { return x.Name == c.UsingIndex }); i >= 0 {
			t.Indexes[i].Name, t.Indexes[i].Primary = made.Name, made.Kind == kindPrimary
			made.Columns = t.Indexes[i].Columns
		}
	} else {
		t.Indexes = append(t.Indexes, server.Index{
			Name: made.Name, Columns: made.Columns, Unique: made.Kind != kindExclude, Primary: made.Kind == kindPrimary, Valid: true, Ready: true,
			Definition: "CREATE UNIQUE INDEX " + quote(made.Name) + " ON " + t.quoted() + " USING btree (" + quoteAll(made.Columns) + ")",
		})
	}
	if made.Kind == kindPrimary {
		for _, name := range made.Columns {
			if column := t.column(name); column != nil {
				column.NotNull = true
			}
		}
	}
}

// nameOf gives a constraint's name, the server's own where the team gave none.
func (t *table) nameOf(w *world, c sqltext.Constraint, columns []string) string {
	if c.Name != "" {
		return c.Name
	}
	switch c.Kind {
	case sqltext.ConstraintPrimaryKey:
		return w.free(t, "pkey", t.Table.Name)
	case sqltext.ConstraintForeignKey:
		return w.free(t, "fkey", append([]string{t.Table.Name}, columns...)...)
	case sqltext.ConstraintUnique:
		return w.free(t, "key", append([]string{t.Table.Name}, columns...)...)
	case sqltext.ConstraintExclude:
		return w.free(t, "excl", append([]string{t.Table.Name}, columns...)...)
	case sqltext.ConstraintNotNull:
		return w.free(t, "not_null", append([]string{t.Table.Name}, columns...)...)
	default:
		// The server names a check after its column where it reads just one.
		parts := []string{t.Table.Name}
		if read := mentioned(c.Expr, t.columnNames()); len(read) == 1 {
			parts = append(parts, read[0])
		}
		return w.free(t, "check", parts...)
	}
}

// foreignKey writes the constraint, with everything named in full.
func foreignKey(w *world, t *table, c sqltext.Constraint, columns []string) string {
	return "CONSTRAINT " + quote(t.nameOf(w, sqltext.Constraint{Name: c.Name, Kind: c.Kind}, columns)) + " " + references(w, c, columns)
}

func references(w *world, c sqltext.Constraint, columns []string) string {
	sql := "FOREIGN KEY (" + quoteAll(columns) + ") REFERENCES "
	if parent := w.table(c.References); parent != nil {
		sql += parent.quoted()
	} else {
		sql += quote(c.References.Name)
	}
	if len(c.RefColumns) > 0 {
		sql += " (" + quoteAll(c.RefColumns) + ")"
	}
	// What follows the target (MATCH, ON DELETE, DEFERRABLE) stands as it was written.
	if tail := find(`(?is)\sreferences\s+(?:"[^"]*"|[\w$]+)(?:\s*\.\s*(?:"[^"]*"|[\w$]+))?\s*(?:\([^)]*\))?\s*(.*)$`, " "+c.SQL); tail != "" {
		sql += " " + find(`(?is)^(.*?)\s*(?:not\s+valid)?\s*$`, tail)
	}
	return strings.TrimSpace(sql)
}

// applyColumn tells a column what happened to it.
func applyColumn(column *server.Column, clause sqltext.Clause) {
	switch clause.Kind {
	case sqltext.ClauseSetType:
		column.Type = clause.Type
		if clause.Collate != "" {
			column.Collation = clause.Collate
		}
	case sqltext.ClauseSetDefault:
		column.Default = clause.Default
	case sqltext.ClauseDropDefault:
		column.Default = ""
	case sqltext.ClauseSetNotNull:
		column.NotNull = true
	case sqltext.ClauseDropNotNull:
		column.NotNull = false
	case sqltext.ClauseDropExpression:
		column.Generated = ""
	case sqltext.ClauseIdentity:
		column.Identity = ""
		if !matches(`(?is)drop\s+identity`, clause.SQL) {
			column.Identity = "by default"
		}
	default:
	}
}

// dropRule takes a constraint out, with its index. The name of a key stays taken until the contract ran.
func (t *table) dropRule(w *world, name string) {
	c := t.constraint(name)
	if c == nil {
		return
	}
	if c.Kind == kindPrimary || c.Kind == kindUnique || c.Kind == kindExclude {
		index := c.Index
		if _, found := w.index(sqltext.Name{Schema: t.Schema, Name: index}); found != nil {
			t.leave(*found)
		}
		t.Indexes = slices.DeleteFunc(t.Indexes, func(x server.Index) bool { return x.Name == index || x.Name == name })
		if !t.fresh {
			w.gone[t.Schema+"."+name], w.gone[t.full()+"."+name] = true, true
		}
	}
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c server.Constraint) bool { return c.Name == name })
}

// keyName gives the name of the foreign key over columns.
func (t *table) keyName(columns []string) string {
	for _, c := range t.Constraints {
		if c.Kind == kindForeign && slices.Equal(c.Columns, columns) {
			return c.Name
		}
	}
	return ""
}
