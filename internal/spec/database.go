package spec

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Defaults of what a database does not say.
const (
	defaultBudget   = 0.5
	defaultWatch    = time.Hour
	defaultBrownOut = time.Minute
	defaultVariable = "DATABASE_URL"
)

// databaseLimit bounds the databases of a project.
const databaseLimit = 100

// Database is a database whose schema moves with the releases. It holds secrets: its URLs.
type Database struct {
	Name   segue.DatabaseName
	Driver string
	URL    string
	// Migrations is the folder, absolute, with {release} in it where the file has it; "" for none. StatementsFile likewise.
	Migrations     string
	StatementsFile string
	Format         string
	History        string
	Command        []string
	// Services use it: those of the file, or all.
	Services []segue.ServiceName
	Scratch  string
	Replicas []string
	// Group and Variable are of a role per release; Group is "" where releases share one.
	Group    string
	Variable string
	// Budget is a share of the time, in (0,1]; Pause says whether backfills rest while a rollout is under way.
	Budget float64
	Pause  bool
	// After, Watch and BrownOut are of contract steps.
	After    time.Duration
	Watch    time.Duration
	BrownOut time.Duration
	Schemas  []ColumnSchema
}

// ColumnSchema is the declared JSON Schema of a column.
type ColumnSchema struct {
	Table, Column string
	// File is absolute, with {release} in it where the file has it.
	File string
	// Mode is "backward", "forward", "full" or "none".
	Mode string
}

// String gives the name alone: URLs hold secrets.
func (d Database) String() string { return "database " + string(d.Name) }

// Uses says whether a service uses the database.
func (d Database) Uses(service segue.ServiceName) bool { return slices.Contains(d.Services, service) }

// Of replaces {release} in one of the database's paths.
func (d Database) Of(path string, release segue.ReleaseName) string {
	return strings.ReplaceAll(path, placeholder, string(release))
}

func (r *resolver) databases(f *file) {
	if n := len(f.Databases.keys); n > databaseLimit {
		r.fault("databases", "", "databases has %d entries, of %d at most", n, databaseLimit)
		return
	}
	for _, name := range f.Databases.keys {
		path := "databases." + name
		if _, err := segue.ParseDatabaseName(name); err != nil {
			r.add(r.keyAt[path], segue.HintOf(err), "%s", r.hide(err.Error()))
		}
		r.project.Databases = append(r.project.Databases, r.database(path, segue.DatabaseName(name), f.Databases.values[name]))
	}
}

func (r *resolver) database(path string, name segue.DatabaseName, block *databaseBlock) Database {
	d := Database{
		Name: name, Driver: string(block.Driver), URL: block.URL, Format: string(block.Format), History: block.History, Command: block.Command,
		Migrations: r.absolute(block.Migrations), StatementsFile: r.absolute(block.Statements), Scratch: block.Scratch, Replicas: block.Replicas,
		Budget: float64(pick(block.Backfill.Budget, defaultBudget)), Pause: block.Backfill.Rollout != "continue",
		After: pick(block.Contract.After, 0), Watch: pick(block.Contract.Watch, defaultWatch), BrownOut: pick(block.Contract.BrownOut, defaultBrownOut),
	}
	if r.has(path+".url") && block.URL == "" {
		r.fault(path+".url", "write postgres://user@host/database, or the path of a file", "url is empty")
	}
	if d.Driver == driverSQLite {
		d.URL = r.absolute(sqlitePath(block.URL))
	}
	for _, key := range []struct{ name, text string }{{"migrations", block.Migrations}, {"statements", block.Statements}} {
		r.placeholders(path+"."+key.name, key.text, []string{"release"})
	}
	if len(block.Command) > 0 {
		r.command(path+".command", block.Command)
		for i, word := range block.Command {
			r.placeholders(item(path+".command", i), word, []string{"release", "artifact"})
		}
	} else if block.Migrations == "" && r.has(path) {
		r.missing(path, "migrations", "name the folder of your migrations, or the command that runs them")
	}
	if d.Budget <= 0 || d.Budget > 1 {
		r.fault(path+".backfill.budget", "write 50% for as long working as resting", "a budget of %g%% lets a backfill never end", d.Budget*100)
	}
	if block.Roles != nil {
		r.roles(path+".roles", block.Roles, &d)
	}
	r.users(path+".services", block.Services, &d)
	r.schemas(path+".schemas", block.Schemas, &d)
	return d
}

// sqlitePath takes the forms file:PATH and sqlite:PATH.
func sqlitePath(url string) string {
	for _, prefix := range []string{"file:", "sqlite:"} {
		if path, ok := strings.CutPrefix(url, prefix); ok {
			return strings.TrimPrefix(path, "//")
		}
	}
	return url
}

func (r *resolver) roles(path string, block *rolesBlock, d *Database) {
	d.Group, d.Variable = block.Group, block.Variable
	if d.Variable == "" {
		d.Variable = defaultVariable
	}
	switch {
	case d.Driver == driverSQLite:
		r.add(r.keyAt[path], "remove it", "%s: SQLite has no roles", path)
	case r.has(path+".group") && d.Group == "":
		r.fault(path+".group", "", "group is empty")
	}
	if !environmentName.MatchString(d.Variable) {
		r.fault(path+".variable", "use letters, digits and _", "%q cannot be the name of an environment variable", d.Variable)
	}
}

// users resolves which services use the database.
func (r *resolver) users(path string, named []string, d *Database) {
	for i, name := range named {
		if _, ok := r.project.Service(segue.ServiceName(name)); !ok {
			r.fault(item(path, i), "", "there is no service %q", name)
		}
		d.Services = append(d.Services, segue.ServiceName(name))
	}
	if len(named) > 0 {
		return
	}
	for _, service := range r.project.Services {
		d.Services = append(d.Services, service.Name)
	}
}

func (r *resolver) schemas(path string, blocks map[string]schemaBlock, d *Database) {
	for _, key := range slices.Sorted(maps.Keys(blocks)) {
		table, column, ok := cutLast(key)
		if !ok {
			r.add(r.keyAt[join(path, key)], "write orders.details", "%q is not table.column", key)
		}
		block := blocks[key]
		mode := string(block.Mode)
		if mode == "" {
			mode = "full"
		}
		d.Schemas = append(d.Schemas, ColumnSchema{Table: table, Column: column, File: r.absolute(block.File), Mode: mode})
	}
}

// cutLast cuts at the last dot: a table may be qualified.
func cutLast(name string) (table, column string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}
