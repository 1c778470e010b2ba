package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// world is the catalogue as the statements so far have made it: what the team's files believe in, not what is already there while contracts are owed.
type world struct {
	catalog server.Catalog
	tables  []*table
	// gone are names that only a contract frees: indexes, constraints, tables, columns.
	gone map[string]bool
	// made are objects that the set makes, and freed those that it takes away, with what its contract is said to remove: nil where nothing waits for one.
	made  map[migration.Object]bool
	freed map[migration.Object]*migration.Object
}

// table is one with what the set of migrations did to it.
type table struct {
	server.Table
	// fresh was created by the set: nobody else knows it.
	fresh bool
	// added are columns that no older release knows; synced ones are written through it all the same.
	added, synced map[string]bool
	// leaving are unique indexes that are there until a contract drops them.
	leaving []server.Index
}

func newWorld(catalog server.Catalog) *world {
	w := &world{catalog: catalog, gone: map[string]bool{}, made: map[migration.Object]bool{}, freed: map[migration.Object]*migration.Object{}}
	for _, t := range catalog.Tables {
		t.Columns, t.Constraints = slices.Clone(t.Columns), slices.Clone(t.Constraints)
		t.Indexes, t.Triggers = slices.Clone(t.Indexes), slices.Clone(t.Triggers)
		w.tables = append(w.tables, newTable(t, false))
	}
	w.catalog.Views, w.catalog.Functions = slices.Clone(catalog.Views), slices.Clone(catalog.Functions)
	w.catalog.Enums = slices.Clone(catalog.Enums)
	return w
}

func newTable(t server.Table, fresh bool) *table {
	return &table{Table: t, fresh: fresh, added: map[string]bool{}, synced: map[string]bool{}}
}

// path is where names without a schema are looked up.
func (w *world) path() []string {
	var path []string
	for _, schema := range w.catalog.SearchPath {
		if schema = strings.Trim(schema, `" `); schema != "$user" && schema != "" {
			path = append(path, schema)
		}
	}
	if len(path) == 0 {
		path = []string{"public"}
	}
	return path
}

// schemas are those that a name can be in.
func (w *world) schemas(name sqltext.Name) []string {
	if name.Schema != "" {
		return []string{name.Schema}
	}
	return w.path()
}

// home is the schema that something new of that name comes into.
func (w *world) home(name sqltext.Name) string {
	return w.schemas(name)[0]
}

// table finds one, nil for none.
func (w *world) table(name sqltext.Name) *table {
	for _, schema := range w.schemas(name) {
		for _, t := range w.tables {
			if t.Schema == schema && t.Name == name.Name {
				return t
			}
		}
	}
	return nil
}

// named finds a table by a name from facts or from the catalogue: "schema.name" or a bare one.
func (w *world) named(text string) *table {
	for _, t := range w.tables {
		if t.full() == text {
			return t
		}
	}
	return w.table(sqltext.Name{Name: text})
}

// index finds an index and its table.
func (w *world) index(name sqltext.Name) (*table, *server.Index) {
	for _, schema := range w.schemas(name) {
		for _, t := range w.tables {
			if t.Schema != schema {
				continue
			}
			if i := slices.IndexFunc(t.Indexes, func(x server.Index) bool { return x.Name == name.Name }); i >= 0 {
				return t, &t.Indexes[i]
			}
		}
	}
	return nil, nil
}

// view finds a view's place in the catalogue, -1 for none.
func (w *world) view(name sqltext.Name) int {
	return slices.IndexFunc(w.catalog.Views, func(v server.View) bool {
		return v.Name == name.Name && slices.Contains(w.schemas(name), v.Schema)
	})
}

func (w *world) function(name sqltext.Name) int {
	return slices.IndexFunc(w.catalog.Functions, func(f server.Function) bool {
		return f.Name == name.Name && slices.Contains(w.schemas(name), f.Schema)
	})
}

// inherited says whether tables that are no partitions get their columns from it: a trigger of its own does not see their rows.
func (w *world) inherited(t *table) bool {
	return !t.Partitioned && slices.ContainsFunc(w.tables, func(other *table) bool { return other.Parent == t.full() })
}

// readers are the views that read a column, or any of a table's when it is "".
func (w *world) readers(t *table, column string) []server.View {
	var found []server.View
	for _, v := range w.catalog.Views {
		if slices.ContainsFunc(v.Reads, func(read string) bool {
			return read == t.full()+"."+column || column == "" && strings.HasPrefix(read, t.full()+".")
		}) {
			found = append(found, v)
		}
	}
	return found
}

// referencing are the foreign keys that point at a table, with the tables that they are of.
func (w *world) referencing(t *table) (tables []*table, keys []server.Constraint) {
	for _, other := range w.tables {
		for _, c := range other.Constraints {
			if c.Kind == kindForeign && w.named(c.References) == t && other != t {
				tables, keys = append(tables, other), append(keys, c)
			}
		}
	}
	return tables, keys
}

// partitions are a parent's own.
func (w *world) partitions(t *table) []*table {
	var found []*table
	for _, other := range w.tables {
		if other.Parent != "" && w.named(other.Parent) == t {
			found = append(found, other)
		}
	}
	return found
}

// The kinds of constraints in pg_constraint.
const (
	kindCheck   byte = 'c'
	kindForeign byte = 'f'
	kindPrimary byte = 'p'
	kindUnique  byte = 'u'
	kindExclude byte = 'x'
	kindNotNull byte = 'n'
)

// full is the table's name for structures: "schema.name".
func (t *table) full() string { return t.Schema + "." + t.Table.Name }

// quoted is its name for SQL.
func (t *table) quoted() string { return quote(t.Schema) + "." + quote(t.Table.Name) }

// in names something in the table's schema.
func (t *table) in(name string) string { return quote(t.Schema) + "." + quote(name) }

// object is something of the table that a change takes away.
func (t *table) object(kind migration.ObjectKind, name string) migration.Object {
	return migration.Object{Kind: kind, Table: t.full(), Name: name}
}

func (t *table) column(name string) *server.Column {
	if i := slices.IndexFunc(t.Columns, func(c server.Column) bool { return c.Name == name }); i >= 0 {
		return &t.Columns[i]
	}
	return nil
}

func (t *table) columnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

func (t *table) constraint(name string) *server.Constraint {
	if i := slices.IndexFunc(t.Constraints, func(c server.Constraint) bool { return c.Name == name }); i >= 0 {
		return &t.Constraints[i]
	}
	return nil
}

// backed says whether an index belongs to a constraint, and cannot go without it.
func (t *table) backed(index string) *server.Constraint {
	if i := slices.IndexFunc(t.Constraints, func(c server.Constraint) bool {
		return c.Index == index && c.Kind != kindForeign || c.Name == index && (c.Kind == kindPrimary || c.Kind == kindUnique || c.Kind == kindExclude)
	}); i >= 0 {
		return &t.Constraints[i]
	}
	return nil
}

// leave lets a unique index count for as long as it is there.
func (t *table) leave(index server.Index) {
	if c := t.backed(index.Name); !t.fresh && (c == nil || !deferrable(c.Definition)) {
		t.leaving = append(t.leaving, index)
	}
}

func deferrable(definition string) bool {
	return matches(`(?i)\bdeferrable\b`, definition) && !matches(`(?i)\bnot\s+deferrable\b`, definition)
}

// obeyed gives the columns of the longest unique key that makes writers obey a new one already: it is over some of its columns, and refuses all that the
// new one would. nil for none.
func (t *table) obeyed(columns []string, definition string) (key []string) {
	if slices.Contains(columns, "") || matches(`(?i)\b(collate|nulls\s+not\s+distinct)\b`, definition) {
		return nil
	}
	for _, x := range slices.Concat(t.Indexes, t.leaving) {
		c := t.backed(x.Name)
		if x.Unique && x.Valid && x.Predicate == "" && len(x.Columns) > len(key) && !matches(`(?i)\bcollate\b`, x.Definition) &&
			(c == nil || !deferrable(c.Definition)) && !slices.ContainsFunc(x.Columns, func(name string) bool { return !slices.Contains(columns, name) }) {
			key = x.Columns
		}
	}
	return key
}

// key gives the columns that rows can be walked along: the primary key, or a unique index over columns that are never NULL.
func (t *table) key(without ...string) []string {
	var best []string
	for _, index := range t.Indexes {
		if !index.Unique || !index.Valid || index.Predicate != "" || slices.Contains(index.Columns, "") ||
			slices.ContainsFunc(without, func(name string) bool { return slices.Contains(index.Columns, name) }) {
			continue
		}
		if index.Primary {
			return index.Columns
		}
		firm := !slices.ContainsFunc(index.Columns, func(name string) bool { c := t.column(name); return c == nil || !c.NotNull })
		if firm && (best == nil || len(index.Columns) < len(best)) {
			best = index.Columns
		}
	}
	return best
}

// writtenByOld says whether releases that do not know the set of migrations write any of the columns.
func (t *table) writtenByOld(columns []string) bool {
	if t.fresh {
		return false
	}
	return len(columns) == 0 || slices.ContainsFunc(columns, func(name string) bool { return !t.added[name] || t.synced[name] })
}

// dropColumn takes a column out, with what stands on it.
func (t *table) dropColumn(name string) {
	t.Columns = slices.DeleteFunc(t.Columns, func(c server.Column) bool { return c.Name == name })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x server.Index) bool { return slices.Contains(x.Columns, name) })
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c server.Constraint) bool { return slices.Contains(c.Columns, name) })
}

// renameColumn gives a column another name everywhere.
func (t *table) renameColumn(from, to string) {
	if c := t.column(from); c != nil {
		c.Name = to
	}
	swap := func(names []string) []string {
		names = slices.Clone(names)
		for i := range names {
			if names[i] == from {
				names[i] = to
			}
		}
		return names
	}
	for i := range t.Indexes {
		t.Indexes[i].Columns = swap(t.Indexes[i].Columns)
		t.Indexes[i].Definition = renamed(t.Indexes[i].Definition, false, from, to)
	}
	for i := range t.Constraints {
		t.Constraints[i].Columns = swap(t.Constraints[i].Columns)
		t.Constraints[i].Definition = renamed(t.Constraints[i].Definition, false, from, to)
	}
	t.added[to], t.synced[to] = t.added[from], t.synced[from]
	delete(t.added, from)
	delete(t.synced, from)
}

// short is a table's name for people: without the schema where it is found without.
func (w *world) short(t *table) string {
	if w.table(sqltext.Name{Name: t.Table.Name}) == t {
		return t.Table.Name
	}
	return t.full()
}

// taken says whether a table, view, index or sequence of that name is there, or will be until a contract ran.
func (w *world) taken(schema, name string) bool {
	full := sqltext.Name{Schema: schema, Name: name}
	if _, index := w.index(full); index != nil {
		return true
	}
	return w.table(full) != nil || w.view(full) >= 0 || w.gone[schema+"."+name]
}

// free makes a name that nothing has yet.
func (w *world) free(t *table, suffix string, parts ...string) string {
	name := makeName(suffix, parts...)
	for n := '1'; w.taken(t.Schema, name) || t.constraint(name) != nil || w.gone[t.full()+"."+name]; n++ {
		name = makeName(suffix+string(n), parts...)
	}
	return name
}

// move gives a table another name, everywhere where it is named.
func (w *world) move(t *table, schema, name string) {
	from := t.full()
	to := schema + "." + name
	for _, other := range w.tables {
		if other.Parent == from {
			other.Parent = to
		}
		for i := range other.Constraints {
			if other.Constraints[i].References == from {
				other.Constraints[i].References = to
			}
		}
	}
	for i := range w.catalog.Views {
		reads := slices.Clone(w.catalog.Views[i].Reads)
		for j := range reads {
			if rest, found := strings.CutPrefix(reads[j], from+"."); found {
				reads[j] = to + "." + rest
			}
		}
		w.catalog.Views[i].Reads = reads
	}
	t.Schema, t.Table.Name = schema, name
}
