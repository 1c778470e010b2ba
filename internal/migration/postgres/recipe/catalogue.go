package recipe

//go:generate go test -run ^TestPageIsFresh$ . -update

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Entry is a row of the catalogue of changes: what a statement does as written, and what becomes of it.
type Entry struct {
	ID, Operation string
	// Statement is the one that was measured.
	Statement string
	// Since is the first major version that knows the statement, of those that were measured.
	Since int
	// Facts are the server's own account, on tables of others; Locks and Work tell them in words.
	Facts       migration.Facts
	Locks, Work string
	// Phase of the statement itself; "" where it is refused.
	Phase migration.Phase
	// Changes and Faults are what Segue makes of it, on a table of four gigabytes; Does tells them in a line.
	Changes []migration.Change
	Faults  []migration.Fault
	Does    string
}

//go:embed matrix.json
var matrix []byte

// firstMeasured is the oldest major version that operations were measured on.
const firstMeasured = 14

// measured is what PostgreSQL 14 to 18 did with statements, found by running each of them.
type measured struct {
	Schema     []string    `json:"schema"`
	Operations []operation `json:"operations"`
}

type operation struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	SQL   []string `json:"sql"`
	Setup []string `json:"setup"`
	// Facts are of every version that knows the statement, Facts15 of 15 where that does not.
	Facts   migration.Facts  `json:"facts"`
	Facts15 *migration.Facts `json:"facts15"`
}

// since is the major version that an operation came with. Versions differ in nothing else, and the oracle's tests hold every one of them to that.
func (o operation) since() int {
	switch o.ID {
	case "tab_am":
		return 15
	case "set_expr":
		return 17
	case "add_col_virtual", "add_nn_nv", "val_nn", "chk_ne":
		return 18
	default:
		return firstMeasured
	}
}

func (o operation) on(version int) migration.Facts {
	switch {
	case version/10000 >= o.since():
		return o.Facts
	case o.Facts15 != nil:
		return *o.Facts15
	default:
		return migration.Facts{Error: "syntax error"}
	}
}

// Catalogue gives every operation that was measured, with the plan that is made of it now: page and planner cannot disagree.
func Catalogue(version int) ([]Entry, error) {
	var m measured
	if err := json.Unmarshal(matrix, &m); err != nil {
		return nil, fmt.Errorf("read the measured operations: %w", err)
	}
	entries := make([]Entry, len(m.Operations))
	for i, o := range m.Operations {
		request := m.request(o, version)
		changes, faults, _ := Plan(request)
		facts := o.on(version)
		entries[i] = Entry{
			ID: o.ID, Operation: o.Title, Statement: strings.Join(o.SQL, "; "), Since: o.since(), Facts: facts, Locks: lockWords(facts), Work: workWords(facts),
			Phase: mainPhase(changes), Changes: changes, Faults: faults, Does: does(changes, faults),
		}
	}
	return entries, nil
}

// request puts an operation after the schema that it was measured on, as one migration.
func (m measured) request(o operation, version int) Request {
	catalog := m.catalog(version, o.Setup)
	statements := make([]Statement, len(o.SQL))
	for i, sql := range o.SQL {
		statements[i] = Statement{
			Statement: migration.Statement{ID: migration.MakeStatementID("0001", i+1), SQL: sql, At: migration.Position{Path: "0001_" + o.ID + ".sql", Line: i + 1}},
			Shape:     sqltext.Parse(sqltext.Postgres, sql),
		}
		if i == len(o.SQL)-1 {
			statements[i].Facts = o.on(version)
		}
	}
	return Request{Files: []File{{Version: "0001", Statements: statements}}, Catalog: catalog, Version: version}
}

// catalog runs the schema through the planner's own catalogue, and gives its tables the sizes of ones that matter.
func (m measured) catalog(version int, setup []string) server.Catalog {
	empty := server.Catalog{Version: version, SearchPath: []string{"z", "public"}}
	var file File
	for i, sql := range slices.Concat(m.Schema, setup) {
		file.Statements = append(file.Statements, Statement{
			Statement: migration.Statement{ID: migration.MakeStatementID("0000", i+1), SQL: sql}, Shape: sqltext.Parse(sqltext.Postgres, sql),
		})
	}
	p := newPlanner(Request{Files: []File{file}, Catalog: empty})
	p.file(file)
	catalog := p.world.catalog
	for _, t := range p.world.tables {
		made := t.Table
		if made.Name != "emp" {
			made.Rows, made.Heap, made.Bytes = 20_000_000, 2<<30, 4<<30
		}
		catalog.Tables = append(catalog.Tables, made)
	}
	for i := range catalog.Views {
		if catalog.Views[i].Name == "vw" {
			catalog.Views[i].Reads = []string{"z.t.id", "z.t.b"}
		}
	}
	catalog.Enums = []server.Enum{{Schema: "z", Name: "myenum", Values: []string{"a", "b", "c"}}}
	return catalog
}

// mainPhase is that of the statement itself, not of what prepares it or comes after.
func mainPhase(changes []migration.Change) migration.Phase {
	for _, change := range changes {
		if !strings.Contains(strings.TrimPrefix(string(change.ID), "0001"), ".") {
			return change.Phase
		}
	}
	if len(changes) > 0 {
		return changes[0].Phase
	}
	return ""
}

func lockWords(facts migration.Facts) string {
	byLock := map[migration.Lock][]string{}
	for name, lock := range facts.Locks {
		byLock[lock] = append(byLock[lock], name)
	}
	var clauses []string
	for lock := migration.LockAccessExclusive; lock > migration.LockNone; lock-- {
		if names := byLock[lock]; len(names) > 0 {
			slices.Sort(names)
			clauses = append(clauses, lock.String()+": "+strings.Join(names, ", "))
		}
	}
	switch {
	case facts.Alone:
		return "runs outside of transactions"
	case len(clauses) == 0:
		return "none"
	default:
		return strings.Join(clauses, "; ")
	}
}

func workWords(facts migration.Facts) string {
	var clauses []string
	for _, work := range []struct {
		verb  string
		names []string
	}{{"rewrites", facts.Rewritten}, {"reads", facts.Scanned}, {"builds", facts.Built}} {
		if len(work.names) > 0 {
			clauses = append(clauses, work.verb+" "+strings.Join(work.names, ", "))
		}
	}
	switch {
	case facts.Error != "":
		return "fails: " + facts.Error
	case len(clauses) == 0:
		return "none"
	default:
		return strings.Join(clauses, "; ")
	}
}

// does tells a plan in a line.
func does(changes []migration.Change, faults []migration.Fault) string {
	clauses := make([]string, 0, len(changes)+len(faults))
	for _, change := range changes {
		text := string(change.Phase) + ": " + change.Title
		if n := len(change.Actions); n > 1 {
			text += " (" + strconv.Itoa(n) + " steps)"
		}
		if change.Split != "" {
			text += ", or over releases: " + change.Split
		}
		clauses = append(clauses, text)
	}
	for _, fault := range faults {
		clauses = append(clauses, "refused: "+fault.Message)
	}
	return strings.Join(clauses, "; ")
}
