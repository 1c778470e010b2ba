package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

const (
	cachedPlans = "sessions with prepared statements that read %s get \"cached plan must not change result type\" once, and must prepare again"
	noArbiter   = "until then the server refuses ON CONFLICT (%s): the new release must do without it"
	twoKeys     = "while two unique indexes stand for one rule, INSERT ... ON CONFLICT by one of them may be refused by the other (23505) when two sessions insert " +
		"the same values at the same moment, and must be tried again"
	byPosition = "INSERT without a list of columns, COPY and SELECT * find %s in the last place from then on"
	quickLock  = "it is run as written: by its size the table is held for less than a second"
)

// statement plans one statement and brings the catalogue up to date.
func (p *planner) statement(t *part) {
	if t.facts.Error != "" && !t.facts.Alone && !t.excused() {
		t.fault("the server refuses the statement: "+t.facts.Error, "it was tried on an empty copy of the schema, after the statements before it")
	}
	if name := t.shape.Table; !name.Zero() && t.shape.Kind != sqltext.KindCreateTable && t.world.table(name) == nil && t.world.gone[t.world.home(name)+"."+name.Name] {
		t.fault("table "+name.Name+" is dropped or renamed by an earlier statement", "")
		return
	}
	switch t.shape.Kind {
	case sqltext.KindCreateTable, sqltext.KindCreateTableAs:
		t.createTable()
	case sqltext.KindAlterTable:
		t.alterTable()
	case sqltext.KindDropTable:
		t.dropTables()
	case sqltext.KindCreateIndex:
		t.createIndex()
	case sqltext.KindDropIndex:
		t.dropIndexes()
	case sqltext.KindAlterIndex:
		t.alterIndex()
	case sqltext.KindReindex:
		t.reindex()
	case sqltext.KindInsert:
		t.insert()
	case sqltext.KindUpdate:
		t.update()
	case sqltext.KindDelete:
		t.delete()
	case sqltext.KindTruncate:
		t.truncate()
	default:
		t.object()
	}
}

// excused says whether a refusal is one that the recipe is there for: a column without a value for existing rows.
func (t *part) excused() bool {
	return t.shape.Kind == sqltext.KindAlterTable && slices.ContainsFunc(t.shape.Clauses, func(c sqltext.Clause) bool {
		return c.Kind == sqltext.ClauseAddColumn && c.NotNull && !c.HasDefault
	})
}

// object plans what is about no table's rows.
func (t *part) object() {
	name := t.objects()[0].Name
	switch t.shape.Kind {
	case sqltext.KindCreateView:
		t.createView()
	case sqltext.KindCreateFunction:
		t.createFunction()
	case sqltext.KindCreateTrigger:
		t.createTrigger()
	case sqltext.KindDropView, sqltext.KindDropFunction, sqltext.KindDropTrigger, sqltext.KindDropType, sqltext.KindDropSequence, sqltext.KindDropSchema:
		t.dropObjects()
	case sqltext.KindCreateType, sqltext.KindCreateDomain, sqltext.KindCreateSequence, sqltext.KindCreateExt, sqltext.KindCreateSchema:
		t.plain(migration.PhaseExpand, string(t.shape.Kind)+" "+name)
	case sqltext.KindAlterType:
		t.alterType()
	case sqltext.KindAlterDomain:
		t.alterDomain()
	case sqltext.KindAlterSequence:
		t.asWritten("alter sequence "+name, "", t.unseen(fmt.Sprintf(newNumbers, t.older())))
	case sqltext.KindGrant, sqltext.KindComment:
		t.plain(migration.PhaseExpand, t.headline())
	case sqltext.KindRevoke:
		t.contract("", t.headline(), []migration.Object{{Kind: migration.ObjectOther, Name: "privilege: " + t.headline()}}, action(t.statement.SQL, ""))
	case sqltext.KindVacuum:
		t.vacuum()
	case sqltext.KindSet, sqltext.KindBegin, sqltext.KindCommit:
		t.session()
	default:
		t.other()
	}
}

// objects are what the statement is about.
func (t *part) objects() []sqltext.Name {
	switch {
	case len(t.shape.Names) > 0:
		return t.shape.Names
	case !t.shape.Name.Zero():
		return []sqltext.Name{t.shape.Name}
	default:
		return []sqltext.Name{t.shape.Table}
	}
}

// headline is the statement's beginning, for a title.
func (t *part) headline() string {
	text := strings.Join(strings.Fields(t.statement.SQL), " ")
	if cut := []rune(text); len(cut) > 60 {
		text = string(cut[:57]) + "..."
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		if i > 0 && word != strings.ToUpper(word) || !matches(`(?i)^[a-z]+$`, word) {
			break
		}
		words[i] = strings.ToLower(word)
	}
	return strings.Join(words, " ")
}

// asWritten runs the statement as it is, if nobody has to wait long for it.
func (t *part) asWritten(title, split string, caveats ...string) *draft {
	held := t.held(t.facts)
	switch {
	case len(held) == 0:
		return t.plain(migration.PhaseExpand, title, caveats...)
	case spared(held):
		d := t.plain(migration.PhaseExpand, title, append(caveats, quickLock)...)
		d.Why = "it would " + t.burden(t.facts)
		return d
	default:
		if split == "" {
			split = "make the new form beside the old one, fill it in batches, and go over to it in a later release"
		}
		return t.breaking(title, "as written it would "+t.burden(t.facts)+", and there is no form that does not", split)
	}
}

// contract takes something away.
func (t *part) contract(suffix, title string, removes []migration.Object, actions ...migration.Action) *draft {
	return t.add(suffix, migration.Change{Phase: migration.PhaseContract, Title: title, Removes: removes, Actions: actions})
}

func (t *part) createView() {
	name := t.objects()[0]
	kind, title := when(t.shape.Materialized, "materialized ")+"view ", t.world.called(name)
	place := t.world.view(name)
	switch {
	case place >= 0 && t.shape.IfNotExists:
		t.nothing("create "+kind+title, "it is there already")
	case t.replaces(kind + title):
	case place >= 0:
		t.plain(migration.PhaseExpand, "replace "+kind+title, t.unseen(fmt.Sprintf(newView, t.older())))
	default:
		t.asWritten("create "+kind+title, "",
			when(len(t.facts.Scanned) > 0, "it reads its tables in one long statement, whose snapshot keeps vacuum waiting"))
		t.world.catalog.Views = append(t.world.catalog.Views, server.View{Schema: t.world.home(name), Name: name.Name, Materialized: t.shape.Materialized})
	}
}

func (t *part) createFunction() {
	name := t.objects()[0]
	switch {
	case t.replaces("function " + t.world.called(name)):
	case t.world.function(name) >= 0 && !t.comes(migration.ObjectFunction):
		t.world.catalog.Functions[t.world.function(name)].Source = t.statement.SQL
		t.plain(migration.PhaseExpand, "replace function "+name.Name, t.unseen(fmt.Sprintf(newBody, t.older())))
	default:
		t.plain(migration.PhaseExpand, "create function "+name.Name)
		t.world.catalog.Functions = append(t.world.catalog.Functions, server.Function{Schema: t.world.home(name), Name: name.Name, Source: t.statement.SQL})
	}
}

func (t *part) createTrigger() {
	on := t.world.table(t.shape.Table)
	name := t.objects()[0].Name
	title := "create trigger " + name
	if on == nil {
		t.asWritten(title, "")
		return
	}
	title += " on " + t.world.short(on)
	defer func() {
		on.Triggers = append(on.Triggers, server.Trigger{Name: name, Definition: t.statement.SQL, Enabled: true})
	}()
	if t.replaces("trigger " + name + " on " + on.full()) {
		return
	}
	var caveat string
	if !on.fresh {
		caveat = fmt.Sprintf(newTrigger, t.older())
	}
	t.asWritten(title, "", caveat).Table = on.full()
	t.drafts[len(t.drafts)-1].Actions[0].Undo = "DROP TRIGGER IF EXISTS " + quote(name) + " ON " + on.quoted()
}

func (t *part) forget(kind string, names []sqltext.Name) {
	for _, name := range names {
		switch kind {
		case "view":
			if i := t.world.view(name); i >= 0 {
				t.world.gone[t.world.catalog.Views[i].Schema+"."+name.Name] = true
				t.world.catalog.Views = slices.Delete(t.world.catalog.Views, i, i+1)
			}
		case "function":
			if i := t.world.function(name); i >= 0 {
				t.world.catalog.Functions = slices.Delete(t.world.catalog.Functions, i, i+1)
			}
		}
	}
}

func objectKind(kind string) migration.ObjectKind {
	switch kind {
	case "view":
		return migration.ObjectView
	case "function":
		return migration.ObjectFunction
	case "trigger":
		return migration.ObjectTrigger
	case "type":
		return migration.ObjectType
	default:
		return migration.ObjectOther
	}
}
