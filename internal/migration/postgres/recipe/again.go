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
		object := migration.Object{Kind: objectKind(kind), Name: name.Name}
		key := label + " " + t.world.called(name)
		switch kind {
		case "view":
			if i := t.world.view(name); i >= 0 {
				missing = false
				object.Name = t.world.catalog.Views[i].Schema + "." + name.Name
			}
		case "function":
			missing = missing && t.world.function(name) < 0
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
		if len(names) == 1 && !missing && t.comesAgain(key) {
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
func (t *part) comesAgain(key string) bool {
	if !slices.ContainsFunc(t.ahead, func(next Statement) bool { return t.world.creates(next.Shape) == key && t.returns(next) }) {
		return false
	}
	t.replaced[key] = t
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

// replaces drops and creates in one step what an earlier statement drops. What differs then is judged by what the server saw of both.
func (t *part) replaces(key string) bool {
	drop := t.replaced[key]
	if drop == nil {
		return false
	}
	delete(t.replaced, key)
	t.origin = append(slices.Clone(drop.origin), t.origin...)
	sql := again(t.shape, drop.statement.SQL, t.statement.SQL)
	var why, caveats []string
	tolls, _ := t.tolls(both(drop.facts.Effects, t.facts.Effects))
	for _, one := range tolls {
		if one.phase == migration.PhaseExpand {
			caveats = append(caveats, one.says)
		} else {
			why = append(why, one.says)
		}
	}
	if why = distinct(why); len(why) > 0 {
		d := t.breaking("replace "+key, strings.Join(why, "; "), "1: create it under another name; 2: use that in the new release; 3: drop the old one in a later release")
		d.Actions = []migration.Action{{SQL: sql}}
		return true
	}
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: "replace " + key, Why: "dropped and created in one transaction, nobody finds it missing",
		Facts: t.facts, Caveats: distinct(append([]string{t.older() + " go on with the new one"}, caveats...)), Actions: []migration.Action{{SQL: sql}},
	})
	return true
}

// again drops and creates in one statement. A view has the owner and the privileges that it had, which nobody but the server knows.
func again(shape sqltext.Shape, drop, create string) string {
	run := []string{"EXECUTE " + literal(drop), "EXECUTE " + literal(create)}
	if shape.Kind != sqltext.KindCreateView {
		return together(run...)
	}
	name := quote(shape.Name.Name)
	if shape.Name.Schema != "" {
		name = quote(shape.Name.Schema) + "." + name
	}
	kind := when(shape.Materialized, "MATERIALIZED ") + "VIEW"
	return "DO $segue$ DECLARE was record; one record; BEGIN SELECT c.relowner, c.relacl INTO was FROM pg_class c WHERE c.oid = " + literal(name) + "::regclass; " +
		strings.Join(run, "; ") + "; IF pg_get_userbyid(was.relowner) <> current_user THEN EXECUTE format('ALTER " + kind + " %s OWNER TO %s', " + literal(name) + ", was.relowner::regrole); END IF; " +
		"FOR one IN SELECT x.privilege_type AS what, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS who FROM aclexplode(was.relacl) x" +
		" WHERE x.grantee <> was.relowner LOOP EXECUTE format('GRANT %s ON %s TO %s', one.what, " + literal(name) + ", one.who); END LOOP; END $segue$"
}

// both are the effects of two statements as one: what was before the first of them, and is after the second. Privileges on what comes again are kept, or
// are everybody's.
func both(first, second []migration.Effect) []migration.Effect {
	type key struct {
		object migration.Object
		facet  string
	}
	was := map[key]migration.Effect{}
	for _, e := range first {
		was[key{e.Object, e.Facet}] = e
	}
	var merged []migration.Effect
	for _, e := range second {
		if before, found := was[key{e.Object, e.Facet}]; found {
			e.Was = before.Was
			delete(was, key{e.Object, e.Facet})
		}
		merged = append(merged, e)
	}
	for _, e := range first {
		if _, left := was[key{e.Object, e.Facet}]; left {
			merged = append(merged, e)
		}
	}
	return slices.DeleteFunc(merged, func(e migration.Effect) bool {
		kept := strings.HasPrefix(e.Facet, "privilege ") && (e.Object.Kind == migration.ObjectView || e.Object.Kind == migration.ObjectFunction)
		return e.Was == e.Now || kept
	})
}

// called is how keys and titles name what is no table: with its schema where that is not the first of the search path.
func (w *world) called(name sqltext.Name) string {
	if home := w.home(name); home != w.path()[0] {
		return home + "." + name.Name
	}
	return name.Name
}

// returns says whether what this statement drops is what another one makes, and not something else of that name: a function of other arguments.
func (t *part) returns(next Statement) bool {
	return t.facts.Effects == nil || next.Facts.Effects == nil || slices.ContainsFunc(next.Facts.Effects, func(e migration.Effect) bool {
		return e.Facet == "" && e.Came() && slices.ContainsFunc(t.facts.Effects, func(o migration.Effect) bool { return o.Object == e.Object && o.Facet == "" && o.Gone() })
	})
}
