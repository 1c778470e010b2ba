package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// dropObjects plans drops of what has no rows. What is created again by the set is replaced in one step.
func (t *part) dropObjects() {
	kind := strings.TrimPrefix(string(t.shape.Kind), "drop ")
	names := t.objects()
	label, missing := kind, t.shape.IfExists
	if t.shape.Materialized {
		label = "materialized view"
	}
	var titles []string
	var removes []migration.Object
	for _, name := range names {
		// apart is what can be there beside the one that comes again.
		apart := kind == "function"
		object := migration.Object{Kind: objectKind(kind), Name: name.Name}
		key := label + " " + t.world.called(name)
		unlike := ""
		switch kind {
		case "view":
			if i := t.world.view(name); i >= 0 {
				missing = false
				object.Name = t.world.catalog.Views[i].Schema + "." + name.Name
				unlike = t.otherView(t.world.catalog.Views[i])
			}
		case "function":
			missing = missing && t.world.function(name) < 0
			if t.otherArguments(name) {
				break
			}
			unlike = when(t.shape.Cascade, "CASCADE takes along what uses it")
			apart = false
		case "trigger":
			if on := t.world.table(t.shape.Table); on != nil {
				object.Table = on.full()
				key += " on " + on.full()
				missing = missing && !slices.ContainsFunc(on.Triggers, func(g server.Trigger) bool { return g.Name == name.Name })
			}
		case "type":
			missing = missing && !slices.ContainsFunc(t.world.catalog.Enums, func(e server.Enum) bool { return e.Name == name.Name })
		default:
			missing = false
		}
		if len(names) == 1 && !missing && !apart && t.comesAgain(key, unlike) {
			return
		}
		titles, removes = append(titles, key), append(removes, object)
	}
	title := "drop " + strings.Join(titles, ", ")
	if missing {
		t.plain(migration.PhaseExpand, title).Why = "there is none of that name"
		return
	}
	d := t.contract("", title, removes, action(t.statement.SQL, ""))
	d.Facts = t.facts
	t.forget(kind, names)
}

// comesAgain says whether a later statement creates what this one drops, and leaves the drop to it.
func (t *part) comesAgain(key, unlike string) bool {
	if !slices.ContainsFunc(t.ahead, func(next Statement) bool { return t.world.creates(next.Shape) == key }) {
		return false
	}
	t.replaced[key], t.unlike = t, unlike
	return true
}

// creates names what a statement creates, of the kinds that can be replaced in one step.
func (w *world) creates(shape sqltext.Shape) string {
	switch shape.Kind {
	case sqltext.KindCreateView:
		return when(shape.Materialized, "materialized ") + "view " + w.called(shape.Name)
	case sqltext.KindCreateFunction:
		return "function " + w.called(shape.Name)
	case sqltext.KindCreateTrigger:
		if on := w.table(shape.Table); on != nil {
			return "trigger " + shape.Name.Name + " on " + on.full()
		}
		return ""
	default:
		return ""
	}
}

// replaces drops and creates in one step what an earlier statement drops.
func (t *part) replaces(key string) bool {
	drop := t.replaced[key]
	if drop == nil {
		return false
	}
	delete(t.replaced, key)
	t.origin = append(slices.Clone(drop.origin), t.origin...)
	if drop.unlike != "" {
		d := t.breaking("replace "+key, drop.unlike+": "+t.older()+" would find it gone", "1: create it under another name; 2: use that in the new release; 3: drop the old one in a later release")
		d.Actions = []migration.Action{{SQL: together("EXECUTE "+literal(drop.statement.SQL), "EXECUTE "+literal(t.statement.SQL))}}
		return true
	}
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: "replace " + key, Why: "dropped and created in one transaction, nobody finds it missing",
		Facts: t.facts, Caveats: []string{t.older() + " go on with the new one"},
		Actions: []migration.Action{{SQL: together("EXECUTE "+literal(drop.statement.SQL), "EXECUTE "+literal(t.statement.SQL))}},
	})
	return true
}

// called is how keys and titles name what is no table: with its schema where that is not the first of the search path.
func (w *world) called(name sqltext.Name) string {
	if home := w.home(name); home != w.path()[0] {
		return home + "." + name.Name
	}
	return name.Name
}

// otherView says what older releases would miss in a view that is dropped and comes again; "" for nothing.
func (t *part) otherView(view server.View) string {
	if t.shape.Cascade {
		for _, other := range t.world.catalog.Views {
			if slices.ContainsFunc(other.Reads, func(read string) bool { return strings.HasPrefix(read, view.Schema+"."+view.Name+".") }) {
				return "CASCADE takes along view " + other.Name
			}
		}
	}
	for _, later := range t.request.After.Views {
		if later.Schema != view.Schema || later.Name != view.Name {
			continue
		}
		lost := slices.DeleteFunc(slices.Clone(view.Columns), func(column string) bool { return slices.Contains(later.Columns, column) })
		if len(lost) > 0 {
			return "the new one is without " + strings.Join(lost, ", ")
		}
	}
	return ""
}

// otherArguments says whether a function that is dropped does not come again with the same types of arguments: then it is another function, and both can
// be there.
func (t *part) otherArguments(name sqltext.Name) bool {
	types := func(functions []server.Function) (all []string) {
		for _, f := range functions {
			if f.Name == name.Name && slices.Contains(t.world.schemas(name), f.Schema) {
				all = append(all, f.Types)
			}
		}
		return all
	}
	after := types(t.request.After.Functions)
	return len(t.request.After.Functions) > 0 && !slices.ContainsFunc(types(t.world.catalog.Functions), func(was string) bool { return slices.Contains(after, was) })
}
