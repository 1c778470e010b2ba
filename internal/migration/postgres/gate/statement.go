package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
)

// statement is a query that is tried.
type statement struct {
	migration.Query
	// read is the query in the form that can be planned; outer the one it is wrapped in, the same for most.
	read, outer text
	// form is what the server took, one of the variants; "" while it has taken none.
	form string
	// search is the search path of its role, as SQL and as names, both empty for the database's own.
	search string
	path   []string
	// from is the earliest time at which the last call can have been; Query.Seen the latest.
	from time.Time
	// worked is what came of it when it worked, and where the schema stood then.
	worked outcome
	was    schema
	// stands is what would go and the server says that it stands on, sure whether it could say so at all.
	stands []target
	sure   bool
}

// newStatement reads a query. ok is false for what cannot need anything (SET, COMMIT).
func newStatement(query migration.Query) (s *statement, ok bool) {
	outer := read(query.SQL)
	s = &statement{Query: query, read: outer, outer: outer}
	if outer.planned() {
		return s, true
	}
	if inner := outer.inner(); inner != "" {
		s.read = read(inner)
		return s, s.read.planned()
	}
	return s, !outer.idle()
}

// misfit compares what a statement comes to in a later schema with what it was when it worked; nil for no difference that anybody would feel.
func (s *statement) misfit(after outcome, is schema) *migration.Misfit {
	if !after.works() {
		return &migration.Misfit{Query: s.Query, Code: after.code, Message: after.message}
	}
	if message := otherColumns(s.worked, after); message != "" {
		return &migration.Misfit{Query: s.Query, Message: message, Shape: true}
	}
	if message := s.shifted(after, is); message != "" {
		return &migration.Misfit{Query: s.Query, Message: message, Shape: true}
	}
	return s.omission(is)
}

// otherColumns says how two results differ in what a client caches: number, names, types, type modifiers.
func otherColumns(before, after outcome) string {
	if len(before.columns) != len(after.columns) {
		return fmt.Sprintf("it gives %d columns instead of %d", len(after.columns), len(before.columns))
	}
	for i, b := range before.columns {
		a := after.columns[i]
		switch {
		case a.Name != b.Name:
			return fmt.Sprintf("column %d of its result is %s instead of %s", i+1, a.Name, b.Name)
		case a.DataTypeOID != b.DataTypeOID || a.TypeModifier != b.TypeModifier:
			return fmt.Sprintf("column %s of its result has another type", b.Name)
		}
	}
	return ""
}

// shifted finds what the server takes in both schemas, and what means something else: whole rows as values, INSERT by position, NATURAL JOIN.
func (s *statement) shifted(after outcome, is schema) string {
	for _, field := range s.worked.columns {
		if full := s.was.rowType(is, field.DataTypeOID); full != "" {
			return "it gives whole rows of " + full + ", which have other columns"
		}
	}
	tables := planned(s.worked.plan)
	for _, full := range slices.Sorted(maps.Keys(tables)) {
		if !s.was.changed(is, full) {
			continue
		}
		if message := s.reads(full, tables[full], after); message != "" {
			return message
		}
	}
	for _, n := range s.outer.inserts() {
		full, _, ok := s.was.find(s.path, n.schema, n.table)
		if ok && n.columns == nil && s.was.moved(is, full, n.values) {
			return "it writes to " + full + " by position, and the columns are others"
		}
	}
	// Without a scan in the plan (WHERE NULL) the names in the text have to do.
	if len(tables) == 0 && len(wholeRows(s.worked.plan)) > 0 && !s.worked.plan.same(after.plan) {
		return "it uses whole rows as values, which have other columns"
	}
	return ""
}

// reads says how a statement depends on which columns a relation has, whatever they are; "" for not at all.
func (s *statement) reads(full string, aliases map[string]bool, after outcome) string {
	switch {
	case slices.ContainsFunc(wholeRows(s.worked.plan), func(name string) bool { return aliases[name] }):
		return "it uses whole rows of " + full + " as values, which have other columns"
	case !slices.Equal(wide(s.worked.plan), wide(after.plan)):
		return "it makes or compares rows of " + full + " with what * gives, which are other columns"
	case s.read.names("natural"):
		return "it joins " + full + " by whatever columns have the same name"
	case slices.ContainsFunc(s.read.inserts(), func(n insert) bool { return n.star }):
		return "it writes what * gives of " + full + ", which are other columns"
	default:
		return ""
	}
}

// omission finds an INSERT that leaves out a column which nothing fills, or an UPDATE to such a default: the server takes it as a plan, and refuses the row.
func (s *statement) omission(is schema) *migration.Misfit {
	for _, n := range s.outer.inserts() {
		full, table, ok := is.find(s.path, n.schema, n.table)
		given, known := n.gives(table)
		view := table.view
		if view {
			full, ok = s.beneath(is)
			table = is.relations[full]
		}
		if !ok || !known {
			continue
		}
		filler := read(table.filler)
		for _, c := range table.columns {
			if given[c.name] || filler.names(c.name) {
				continue
			}
			before := s.was.relations[full].column(c.name)
			if misfit := s.omits(full, c, before); misfit != nil && (!view || before == nil || !before.required) {
				return misfit
			}
		}
	}
	return s.resets(is)
}

// beneath gives the table that a statement inserts into by way of a view: the one that the plan writes.
func (s *statement) beneath(is schema) (full string, ok bool) {
	for name, operation := range written(s.worked.plan) {
		if _, there := is.relations[name]; there && operation == "Insert" {
			full, ok = name, full == ""
		}
	}
	return full, ok
}

// resets finds an UPDATE that sets a column to a default that is gone.
func (s *statement) resets(is schema) *migration.Misfit {
	sets := s.read.sets()
	for full := range written(s.worked.plan) {
		for _, c := range is.relations[full].columns {
			if before := s.was.relations[full].column(c.name); sets[c.name] && before != nil && before.lends {
				return s.omits(full, c, before)
			}
		}
	}
	return nil
}

// omits says what it means to leave a column out. before is the column as it was, nil for a new one.
func (s *statement) omits(full string, c column, before *column) *migration.Misfit {
	switch {
	case c.required && (before == nil || !before.required || s.Calls == 0):
		return &migration.Misfit{Query: s.Query, Code: "23502", Message: fmt.Sprintf("it leaves out %s.%s, which must not be null and has no default", full, c.name)}
	case before != nil && before.lends && !c.lends:
		return &migration.Misfit{Query: s.Query, Message: fmt.Sprintf("it leaves %s.%s to its default, which is gone", full, c.name)}
	default:
		return nil
	}
}

// unsure says why a statement that works in a later schema may not work with its parameters: their values are not known.
func (s *statement) unsure(after outcome, is schema) string {
	blind := s.read.params > 0 && read(s.form).params == 0
	if s.was.loses(is) && (slices.ContainsFunc(s.worked.parameters, named) || s.read.naming(blind)) {
		return "it takes the name of something as a parameter, and it may be what goes"
	}
	if !blind && !slices.Equal(s.worked.parameters, after.parameters) {
		return "a parameter of it has another type"
	}
	for _, oid := range s.worked.parameters {
		if full := s.was.rowType(is, oid); full != "" {
			return "it takes whole rows of " + full + ", which have other columns"
		}
	}
	for full := range planned(s.worked.plan) {
		if blind && s.was.retyped(is, full) {
			return "it cannot be tried with its parameters, and columns of " + full + " have other types"
		}
	}
	return ""
}

// named says whether a parameter's type is one whose values are names: regproc, regprocedure, regclass, regtype.
func named(oid uint32) bool { return oid == 24 || oid == 2202 || oid == 2205 || oid == 2206 }

// touches says whether a statement is about a table of the team's at all.
func (s *statement) touches() bool {
	for full := range planned(s.worked.plan) {
		if !strings.HasPrefix(full, "pg_catalog.") && !strings.HasPrefix(full, "information_schema.") {
			return true
		}
	}
	return false
}
