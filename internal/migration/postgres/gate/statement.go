package gate

import (
	"encoding/json"
	"fmt"
	"regexp"
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
	// stands is true when the server says that it stands on what would go, sure when it could say so at all.
	stands, sure bool
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
	whole := wholeRows(s.worked.plan)
	tables := planned(s.worked.plan)
	for full, alias := range tables {
		changed, _ := s.was.changed(is, full)
		if !changed {
			continue
		}
		if slices.ContainsFunc(whole, func(name string) bool { return alias[name] }) {
			return "it uses whole rows of " + full + " as values, which have other columns"
		}
		if s.read.names("natural") {
			return "it joins " + full + " by whatever columns have the same name"
		}
		if slices.ContainsFunc(s.read.inserts(), func(n insert) bool { return n.star }) {
			return "it writes what * gives of " + full + ", which are other columns"
		}
	}
	for _, n := range s.outer.inserts() {
		full, _, ok := s.was.find(s.path, n.schema, n.table)
		if _, moved := s.was.changed(is, full); ok && moved && n.columns == nil {
			return "it writes to " + full + " by position, and the columns are others"
		}
	}
	// Without a scan in the plan (WHERE NULL) the names in the text have to do.
	if len(tables) == 0 && len(whole) > 0 && s.worked.plan != after.plan {
		return "it uses whole rows as values, which have other columns"
	}
	return ""
}

// omission finds an INSERT that leaves out a column which nothing fills: the server takes it as a plan, and refuses the row.
func (s *statement) omission(is schema) *migration.Misfit {
	for _, n := range s.outer.inserts() {
		full, table, ok := is.find(s.path, n.schema, n.table)
		given, known := n.gives(table)
		if !ok || !known || table.view {
			continue
		}
		filler := read(table.filler)
		_, before, existed := s.was.find(s.path, n.schema, n.table)
		for i, c := range table.columns {
			if given[c.name] || filler.names(c.name) {
				continue
			}
			j := slices.IndexFunc(before.columns, func(b column) bool { return b.name == c.name })
			was := existed && j >= 0
			if c.required && (!was || !before.columns[j].required || s.Calls == 0) {
				return &migration.Misfit{Query: s.Query, Code: "23502", Message: fmt.Sprintf("it leaves out %s.%s, which must not be null and has no default", full, table.columns[i].name)}
			}
			if was && before.columns[j].lends && !c.lends {
				return &migration.Misfit{Query: s.Query, Message: fmt.Sprintf("it leaves %s.%s to its default, which is gone", full, c.name)}
			}
		}
	}
	return nil
}

// unsure says why a statement that works in a later schema may not work with its parameters: their values are not known.
func (s *statement) unsure(after outcome, is schema) string {
	blind := s.read.params > 0 && read(s.form).params == 0
	if s.was.loses(is) && (slices.ContainsFunc(s.worked.parameters, named) || blind && s.read.naming()) {
		return "it takes the name of something as a parameter, and it may be what goes"
	}
	if !blind && !slices.Equal(s.worked.parameters, after.parameters) {
		return "a parameter of it has another type"
	}
	for full := range planned(s.worked.plan) {
		if changed, _ := s.was.changed(is, full); blind && changed {
			return "it cannot be tried with its parameters, and the columns of " + full + " are others"
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

// node is a part of a plan.
type node struct {
	Relation string `json:"Relation Name"`
	Schema   string
	Alias    string
	Plans    []node
}

// planned gives the relations in a plan, "schema.name", each with the aliases it goes by.
func planned(plan string) map[string]map[string]bool {
	var trees []struct{ Plan node }
	found := map[string]map[string]bool{}
	if json.Unmarshal([]byte(plan), &trees) != nil {
		return found // a utility statement has none
	}
	var visit func(n node)
	visit = func(n node) {
		if n.Relation != "" {
			full := n.Schema + "." + n.Relation
			if found[full] == nil {
				found[full] = map[string]bool{}
			}
			found[full][n.Alias] = true
		}
		for _, below := range n.Plans {
			visit(below)
		}
	}
	for _, tree := range trees {
		visit(tree.Plan)
	}
	return found
}

// wholeRows gives the aliases of which a plan uses the row as one value ("c.*"): the server writes it so, whatever the statement says.
func wholeRows(plan string) []string {
	if !strings.Contains(plan, ".*") {
		return nil
	}
	plan = regexp.MustCompile(`'(?:[^']|'')*'`).ReplaceAllString(strings.ReplaceAll(plan, `\"`, `"`), "''")
	var aliases []string
	for _, found := range regexp.MustCompile(`(?:"([^"]+)"|([\pL_][\pL\pN_$]*))\.\*`).FindAllStringSubmatch(plan, -1) {
		aliases = append(aliases, found[1]+found[2])
	}
	return aliases
}
