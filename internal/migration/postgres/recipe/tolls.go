package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

func (t *part) tollOfTable(e migration.Effect) toll {
	name := e.Object.Name
	if rows, found := strings.CutPrefix(e.Facet, "rows of "); found {
		part := migration.Object{Kind: migration.ObjectTable, Name: rows}
		switch {
		case e.Gone():
			return takes(t.older()+" read the rows of "+rows+" through "+name, migration.Object{Kind: migration.ObjectOther, Table: name, Name: "rows in " + rows})
		case e.Now == "partition" && t.world.made[part] || t.judged(name) && t.shape.Kind != sqltext.KindAlterTable:
			return toll{}
		default:
			return caveat("rows of " + rows + " are rows of " + name + " for " + t.older() + " too")
		}
	}
	switch e.Facet {
	case "persistence":
		if e.Now == "unlogged" {
			return caveat("its rows are lost when the server crashes, and standbys do not have them")
		}
	case "row security":
		if e.Now == "off" || e.Was == "forced" {
			return caveat(fmt.Sprintf(allRows, t.shortOf(name)))
		}
		return takes(t.older()+" may see fewer rows of "+name, migration.Object{Kind: migration.ObjectOther, Table: name, Name: "rows without a policy"})
	case "replica identity":
		if e.Now == "n" {
			return takes("where a publication has "+name+", its rows can be neither updated nor deleted from then on",
				migration.Object{Kind: migration.ObjectOther, Table: name, Name: "updates"})
		}
		return caveat("whoever follows the table by logical replication gets other keys of old rows")
	case "updates that cannot be replicated":
		if e.Came() {
			return breaks(name + " is published from then on and has nothing to tell its rows by: updates and deletes are refused until it has a replica identity")
		}
	}
	return toll{}
}

func (t *part) tollOfView(e migration.Effect) toll {
	switch e.Facet {
	case "definition":
		return caveat(fmt.Sprintf(newView, t.older()))
	case "writes":
		was, _ := strconv.Atoi(e.Was)
		if now, _ := strconv.Atoi(e.Now); was&^now != 0 {
			return breaks(t.older() + " may write through " + called(e.Object) + ", which cannot be written through any more")
		}
	case "options":
		added := slices.DeleteFunc(strings.Fields(e.Now), func(o string) bool {
			return slices.Contains(strings.Fields(e.Was), o) || strings.HasSuffix(o, "=false") || strings.HasSuffix(o, "=off")
		})
		if slices.ContainsFunc(added, func(o string) bool { return !strings.HasPrefix(o, "security_barrier") }) {
			return breaks(t.older() + " may be refused by " + called(e.Object) + " with " + strings.Join(added, ", "))
		}
		return caveat(fmt.Sprintf(newView, t.older()))
	}
	return toll{}
}

// tollOfColumn is of tables and views.
func (t *part) tollOfColumn(e migration.Effect) toll {
	on := t.world.named(e.Object.Table)
	if t.judged(e.Object.Table) && e.Facet != "identity" && e.Facet != "generated" {
		return toll{}
	}
	write := migration.Object{Kind: migration.ObjectWrite, Table: e.Object.Table, Name: e.Object.Name}
	switch e.Facet {
	case "":
		if e.Came() && e.Now == "required" && on != nil {
			return breaks("rows that are there have no value for " + called(e.Object) + ", and " + t.older() + " go on inserting rows without one")
		}
		if e.Came() {
			return caveat(fmt.Sprintf(cachedPlans, "SELECT * or RETURNING * on "+t.shortOf(e.Object.Table)))
		}
	case "type":
		switch verdict := suits(e.Was, e.Now); {
		case verdict == wide:
			return caveat(cachedPlansOf(t.shortOf(e.Object.Table) + "." + e.Object.Name))
		case verdict == narrows && on != nil:
			return takes(t.older()+" may write what does not fit into "+called(e.Object), write)
		default:
			return breaks(t.older() + " read and write " + e.Was + " in " + called(e.Object) + ", and the new release " + e.Now)
		}
	case "collation":
		return caveat("what " + t.older() + " sort or compare by " + called(e.Object) + " comes in another order")
	case "generated":
		if e.Came() {
			return toll{}
		}
		if e.Gone() {
			return caveat("rows that " + t.older() + " write get no value in " + called(e.Object) + " from then on")
		}
		return caveat(t.older() + " read other values in " + called(e.Object))
	case "identity":
		switch {
		case e.Now == "always":
			return takes(t.older()+" are refused when they give "+called(e.Object)+" a value", write)
		case e.Came():
			return caveat(ownNumbers)
		case e.Gone() && !t.judged(e.Object.Table):
			return takes("it takes away the numbers of "+called(e.Object), migration.Object{Kind: migration.ObjectDefault, Table: e.Object.Table, Name: e.Object.Name})
		}
	}
	return toll{}
}

// shortOf names a table or view for people, by its name in full.
func (t *part) shortOf(name string) string {
	if on := t.world.named(name); on != nil {
		return t.world.short(on)
	}
	return strings.TrimPrefix(name, t.world.path()[0]+".")
}

func (t *part) tollOfFunction(e migration.Effect) toll {
	switch e.Facet {
	case "result":
		return breaks(t.older() + " get another result of " + called(e.Object) + ": " + e.Now + ", and not " + e.Was)
	case "arguments":
		was, now := signature(e.Was), signature(e.Now)
		for i := range was {
			switch {
			case i >= len(now), was[i].name != "" && was[i].name != now[i].name:
				return breaks("calls of " + t.older() + " that name the arguments of " + called(e.Object) + " are refused")
			case was[i].optional && !now[i].optional:
				return breaks("calls of " + t.older() + " that leave out arguments of " + called(e.Object) + " are refused")
			}
		}
		return caveat("calls of " + t.older() + " that leave out arguments of " + called(e.Object) + " are given others")
	case "security":
		if e.Now == "invoker" {
			return takes(t.older()+" may lack privileges on what "+called(e.Object)+" uses, now that it runs with theirs",
				migration.Object{Kind: migration.ObjectOther, Name: "security definer of " + called(e.Object)})
		}
		return caveat(fmt.Sprintf(newBody, t.older()))
	case "way":
		return caveat(fmt.Sprintf(newBody, t.older()))
	case "body":
		was, _, _ := strings.Cut(e.Was, " ")
		now, uses, _ := strings.Cut(e.Now, " ")
		if was == now { // something else stands on it
			return toll{}
		}
		if uses != "" {
			return caveat(t.older() + " call the new one from now on, and what is stored by the old one stays: " + uses + " must be built or checked anew where results differ")
		}
		return caveat(fmt.Sprintf(newBody, t.older()))
	case "rivals":
		return t.tollOfRivals(e)
	}
	return toll{}
}

// tollOfRivals is of a function that calls of others may mean from now on.
func (t *part) tollOfRivals(e migration.Effect) toll {
	var others []string
	for rival := range strings.SplitSeq(e.Now, "; ") {
		how, name, _ := strings.Cut(rival, " ")
		mine := migration.Object{Kind: migration.ObjectFunction, Name: name}
		if name == "" || t.world.made[mine] || strings.Contains(e.Was, rival) || slices.ContainsFunc(t.facts.Effects, func(o migration.Effect) bool {
			return o.Object == mine && o.Facet == "" && o.Came() && o.Object != e.Object
		}) {
			continue
		}
		if how == "same" {
			return breaks("calls of function " + name + " by " + t.older() + " fit " + called(e.Object) + " as well, by its default, and may be refused as not unique")
		}
		others = append(others, name)
	}
	// Of the two that get to know each other, the new one tells.
	if len(others) == 0 || !slices.ContainsFunc(t.facts.Effects, func(o migration.Effect) bool { return o.Object == e.Object && o.Facet != "rivals" }) {
		return toll{}
	}
	return caveat("calls of " + strings.Join(others, ", ") + " with arguments of no certain type (literals, parameters) may find " + called(e.Object) + ", or be refused as not unique")
}

// argument is one that a call gives to a function.
type argument struct {
	name     string
	optional bool
}

// signature reads arguments as pg_get_function_arguments writes them. A type without a name has the name "".
func signature(text string) []argument {
	var arguments []argument
	for _, one := range split(text) {
		what, _, optional := strings.Cut(one, " DEFAULT ")
		words := strings.Fields(what)
		if len(words) > 0 && slices.Contains([]string{"IN", "INOUT", "VARIADIC"}, words[0]) {
			words = words[1:]
		}
		if len(words) == 0 || words[0] == "OUT" {
			continue
		}
		a := argument{optional: optional}
		if len(words) > 1 && !slices.Contains([]string{"character", "double", "time", "timestamp", "bit"}, words[0]) {
			a.name = words[0]
		}
		arguments = append(arguments, a)
	}
	return arguments
}

// split cuts a list at the commas that are in no parentheses and no quotes.
func split(text string) (parts []string) {
	depth, from, quoted := 0, 0, false
	for i, r := range text {
		switch {
		case r == '\'':
			quoted = !quoted
		case quoted:
		case r == '(' || r == '[':
			depth++
		case r == ')' || r == ']':
			depth--
		case r == ',' && depth == 0:
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

func (t *part) tollOfType(e migration.Effect) toll {
	name := e.Object.Name
	switch what, rest, _ := strings.Cut(e.Facet, " "); what {
	case "value":
		if e.Gone() {
			return breaks(t.older() + " write and compare with " + rest + ", which is gone at once")
		}
		return caveat(fmt.Sprintf(newValue, t.older()))
	case "attribute":
		return breaks(t.older() + " make and read values of " + called(e.Object) + " without that change of " + rest)
	case "null", "constraint":
		if (what == "null") == e.Gone() {
			return takes(t.older()+" may write what "+called(e.Object)+" refuses from then on", t.usersOf(name)...)
		}
		return caveat(fmt.Sprintf(looserRule, t.older()))
	case "default":
		if e.Gone() {
			return takes("it takes away the default of "+called(e.Object), t.usersOf(name)...)
		}
		return caveat(fmt.Sprintf(newDefault, t.older()))
	}
	return toll{}
}

// usersOf are the columns of a type, as what writes of them may be refused.
func (t *part) usersOf(name string) []migration.Object {
	bare := name[strings.LastIndex(name, ".")+1:]
	var write []migration.Object
	for _, on := range t.world.tables {
		for _, column := range on.Columns {
			if strings.EqualFold(strings.Trim(column.Type[strings.LastIndex(column.Type, ".")+1:], `"`), bare) {
				write = append(write, on.object(migration.ObjectWrite, column.Name))
			}
		}
	}
	if len(write) == 0 {
		write = []migration.Object{{Kind: migration.ObjectType, Name: bare}}
	}
	return write
}

func (t *part) tollOfOther(e migration.Effect) toll {
	what, _, _ := strings.Cut(e.Object.Name, " ")
	switch {
	case what == "sequence" && e.Facet != "":
		return t.tollOfSequence(e)
	case what == "rule" && t.world.named(e.Object.Table) != nil && strings.HasPrefix(e.Now, "on "):
		return takes(fmt.Sprintf(newRule, t.older())+", and refuses ON CONFLICT and RETURNING where they write", writes(t.world.named(e.Object.Table), nil)...)
	case what == "rule" && strings.HasPrefix(e.Was, "on "):
		return takes("it switches "+called(e.Object)+" off", e.Object)
	case what == "rule":
		return caveat(fmt.Sprintf(newRule, t.older()))
	case what == "policy":
		if on := t.world.named(e.Object.Table); on != nil && on.RowSecurity {
			return takes(t.older()+" may see other rows of "+e.Object.Table, migration.Object{Kind: migration.ObjectOther, Table: e.Object.Table, Name: "rows hidden by " + e.Object.Name})
		}
	case what == "operator" && e.Now == "one of several", what == "cast" && e.Came() && e.Now != "e":
		return caveat("expressions of " + t.older() + " with operands of no certain type may come to mean " + e.Object.Name + ", or be refused as not unique")
	case what == "extension" && !e.Came():
		return caveat("functions of " + e.Object.Name + " may work in another way for " + t.older() + " too")
	}
	return toll{}
}

func (t *part) tollOfSequence(e migration.Effect) toll {
	number := func(text string) int64 { n, _ := strconv.ParseInt(text, 10, 64); return n }
	switch {
	case e.Facet == "highest" && number(e.Now) < number(e.Was), e.Facet == "lowest" && number(e.Now) > number(e.Was):
		return takes(t.older()+" find "+e.Object.Name+" at its end sooner", migration.Object{Kind: migration.ObjectOther, Name: "numbers of " + e.Object.Name})
	case e.Facet == "increment", e.Facet == "type", e.Facet == "cycle":
		return caveat(fmt.Sprintf(newNumbers, t.older()))
	case e.Facet == "place" && matches(`(?is)\brestart\b`, t.statement.SQL):
		return takes("it draws numbers again that rows may have: inserts of "+t.older()+" are refused where a key has one already",
			migration.Object{Kind: migration.ObjectOther, Name: "numbers of " + e.Object.Name})
	}
	return toll{}
}

// tollOfRule is of what refuses or fills rows: constraints, indexes, defaults, NOT NULL, triggers.
func (t *part) tollOfRule(e migration.Effect, all []migration.Effect) toll {
	on, kind := t.world.named(e.Object.Table), e.Object.Kind
	column := e.Object
	column.Kind = migration.ObjectColumn
	counted := slices.ContainsFunc(all, func(o migration.Effect) bool { return o.Object == column && o.Facet == "identity" && o.Came() })
	switch {
	case kind == migration.ObjectTrigger:
		return t.tollOfTrigger(e, all, on)
	case kind == migration.ObjectConstraint, kind == migration.ObjectIndex:
		return t.tollOfKey(e, all, on)
	case t.judged(e.Object.Table):
		return toll{}
	case kind == migration.ObjectDefault && !e.Gone():
		return caveat(fmt.Sprintf(newDefault, t.older()))
	case kind == migration.ObjectDefault && !counted:
		return takes("it takes away "+called(e.Object), e.Object)
	case kind == migration.ObjectWrite && e.Gone():
		return takes("it takes away NULL in "+e.Object.Table+"."+e.Object.Name, e.Object)
	case kind == migration.ObjectWrite:
		return caveat(fmt.Sprintf(newNulls, t.older()))
	default:
		return toll{}
	}
}

// renamedTo says whether what came or went is there by another name, before or after.
func renamedTo(e migration.Effect, all []migration.Effect) bool {
	return slices.ContainsFunc(all, func(o migration.Effect) bool {
		return o.Object.Kind == e.Object.Kind && o.Object.Table == e.Object.Table && o.Object != e.Object && (e.Gone() && o.Now == e.Was || e.Came() && o.Was == e.Now)
	})
}

// tollOfKey is of a constraint or an index.
func (t *part) tollOfKey(e migration.Effect, all []migration.Effect, on *table) toll {
	firm := matches(`(?i)^(unique|primary key|exclude)\b`, e.Was+e.Now)
	again := renamedTo(e, all)
	constraint := e.Object.Kind == migration.ObjectConstraint
	switch {
	case again && e.Gone() && constraint && firm:
		return takes(t.older()+" may name "+e.Object.Name+" in ON CONFLICT ON CONSTRAINT", e.Object)
	case again && e.Gone() && constraint:
		return caveat(namedInErrors)
	case again, t.judged(e.Object.Table):
		return toll{}
	case e.Gone() && constraint && !firm && strings.HasPrefix(e.Was, "FOREIGN KEY"):
		return caveat(fmt.Sprintf(looserKey, t.older()))
	case e.Gone() && constraint && !firm:
		return caveat(fmt.Sprintf(looserRule, t.older()))
	case e.Gone() && on != nil, !e.Came() && !constraint && firm && on != nil:
		return takes("it takes away "+called(e.Object)+": statements of "+t.older()+" may be slow without it, or refused where ON CONFLICT names it", e.Object)
	case e.Gone():
		return caveat("statements of " + t.older() + " may be slow without " + called(e.Object))
	case !constraint && !firm || on == nil || strings.HasSuffix(e.Now, "NOT ENFORCED") || !e.Came() && strings.TrimSuffix(e.Was, " NOT VALID") == e.Now:
		return toll{}
	case t.writtenBefore(on, e.Columns, all):
		return takes(t.older()+" may write what "+called(e.Object)+" refuses ("+strings.TrimPrefix(e.Now, "unique ON ")+")", writes(on, e.Columns)...)
	default:
		return toll{}
	}
}

// writtenBefore says whether older releases write any of the columns that a rule is about.
func (t *part) writtenBefore(on *table, columns []string, all []migration.Effect) bool {
	old := slices.DeleteFunc(slices.Clone(columns), func(name string) bool {
		column := migration.Object{Kind: migration.ObjectColumn, Table: on.full(), Name: name}
		return t.world.made[column] && !on.synced[name] || slices.ContainsFunc(all, func(o migration.Effect) bool { return o.Object == column && o.Facet == "" && o.Came() })
	})
	return on.writtenByOld(old) && (len(old) > 0 || len(columns) == 0)
}

// tollOfTrigger reads what the trigger's function says where it is known.
func (t *part) tollOfTrigger(e migration.Effect, all []migration.Effect, on *table) toll {
	switch {
	case renamedTo(e, all):
		return caveat("triggers fire in the order of their names")
	case e.Gone():
		return takes("it takes away "+called(e.Object), e.Object)
	case strings.HasPrefix(e.Was, "on ") && strings.HasPrefix(e.Now, "off "):
		return takes("it switches "+called(e.Object)+" off", e.Object)
	case strings.HasPrefix(e.Now, "off "):
		return toll{}
	case on != nil && t.refuses(e.Now):
		return takes("its function may refuse what "+t.older()+" write", writes(on, nil)...)
	default:
		return caveat(fmt.Sprintf(newTrigger, t.older()))
	}
}

// refuses says whether a trigger, by its definition, may stop a write: by an error, or by leaving a row out.
func (t *part) refuses(definition string) bool {
	name := find(`(?is)\bexecute\s+(?:function|procedure)\s+([^(]+)\(`, definition)
	i := t.world.function(nameOf(name))
	if i < 0 {
		return false
	}
	body := t.world.catalog.Functions[i].Source
	for _, rest := range findAll(`(?is)\braise\s+('|[a-z_]+)`, body) {
		if !slices.Contains([]string{"debug", "log", "info", "notice", "warning"}, strings.ToLower(rest)) {
			return true
		}
	}
	before := matches(`(?is)\b(before|instead\s+of)\b.*\bfor\s+each\s+row\b`, definition)
	return before && matches(`(?is)\breturn\s+null\b`, body)
}

// nameOf reads a name as the server writes it.
func nameOf(text string) sqltext.Name {
	schema, name, qualified := strings.Cut(strings.TrimSpace(text), ".")
	if !qualified {
		schema, name = "", schema
	}
	return sqltext.Name{Schema: strings.Trim(schema, `"`), Name: strings.Trim(name, `"`)}
}
