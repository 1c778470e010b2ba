package simtest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/rollout/laws"
)

// Schema is what the releases of a scenario need of their database.
type Schema string

// The schemas that scenarios draw.
const (
	// SchemaNone has no database.
	SchemaNone Schema = ""
	// SchemaSplit adds and fills a column with v2, and drops the old one in the same migration: owed, until v1 is out of the way.
	SchemaSplit Schema = "split"
	// SchemaCascade adds and fills a column with v2; v3 drops the old one in a migration of its own.
	SchemaCascade Schema = "cascade"
	// SchemaBreaks has a v2 whose migration breaks v1.
	SchemaBreaks Schema = "breaks"
	// SchemaUnknown has a v2 that drops what v1 may need: nobody knows, since no statements are recorded.
	SchemaUnknown Schema = "unknown"
)

// database is the scenario's database as a release's configuration has it; nil without one.
func (s Scenario) database(release segue.ReleaseName) []controller.Database {
	if s.Schema == SchemaNone {
		return nil
	}
	d := controller.Database{
		Name: "main", Driver: "fake", Block: json.RawMessage(`{}`), Budget: 0.5, Pause: true, BrownOut: 2 * time.Second,
		Files: []migration.File{file("0001", "CREATE TABLE customers (id int, name text)")},
	}
	if release != "v1" {
		d.Files = append(d.Files, file("0002", s.statements()...))
	}
	if release == "v3" && s.Schema == SchemaCascade {
		d.Files = append(d.Files, file("0003", "ALTER TABLE customers DROP COLUMN name"))
	}
	if s.Schema != SchemaUnknown {
		d.Queries = []migration.Query{{Release: release, SQL: "SELECT " + s.column(release) + " FROM customers", Source: "file"}}
	}
	return []controller.Database{d}
}

// column is what a release reads.
func (s Scenario) column(release segue.ReleaseName) string {
	if release == "v1" {
		return "name"
	}
	return "given"
}

// statements are those of v2's migration.
func (s Scenario) statements() []string {
	switch s.Schema {
	case SchemaBreaks:
		return []string{"ALTER TABLE customers RENAME COLUMN name TO given"}
	case SchemaUnknown:
		return []string{"ALTER TABLE customers DROP COLUMN name"}
	case SchemaSplit:
		return []string{"ALTER TABLE customers ADD COLUMN given text", "UPDATE customers SET given = name", "ALTER TABLE customers DROP COLUMN name"}
	default:
		return []string{"ALTER TABLE customers ADD COLUMN given text", "UPDATE customers SET given = name"}
	}
}

func file(version string, statements ...string) migration.File {
	f := migration.File{Version: version, Path: version + ".sql", Sum: version}
	for i, sql := range statements {
		f.Statements = append(f.Statements, migration.Statement{ID: migration.MakeStatementID(version, i+1), SQL: sql, At: migration.Position{Path: f.Path, Line: i + 1}})
	}
	return f
}

// Database implements controller.Drivers.
func (l *life) Database(context.Context, string, json.RawMessage) (migration.Driver, error) {
	return &databaseOf{life: l, Driver: l.World.database}, nil
}

// databaseOf is the database as one controller reaches it.
type databaseOf struct {
	*life
	migration.Driver
}

// Plan implements migration.Driver.
func (d *databaseOf) Plan(ctx context.Context, request migration.PlanRequest) (plan migration.Plan, err error) {
	err = d.call(ctx, "PlanDatabase", "", "", func() (err error) {
		plan, err = d.Driver.Plan(ctx, request)
		return err
	})
	return plan, err
}

// State implements migration.Driver.
func (d *databaseOf) State(ctx context.Context) (state migration.State, err error) {
	err = d.call(ctx, "StateOfDatabase", "", "", func() (err error) {
		state, err = d.Driver.State(ctx)
		return err
	})
	return state, err
}

// Gate implements migration.Driver.
func (d *databaseOf) Gate(ctx context.Context, request migration.GateRequest) (gate migration.Gate, err error) {
	err = d.call(ctx, "Gate", string(request.Change.ID), "", func() (err error) {
		gate, err = d.Driver.Gate(ctx, request)
		return err
	})
	return gate, err
}

// Lease implements migration.Driver.
func (d *databaseOf) Lease(ctx context.Context, holder string) (migration.Lease, error) {
	var lease migration.Lease
	err := d.call(ctx, "Lease", "", "", func() (err error) {
		lease, err = d.Driver.Lease(ctx, holder)
		return err
	})
	if err != nil {
		if lease != nil {
			// The call failed after its effect: what was taken is lost with the connection.
			_ = lease.Release(ctx)
		}
		return nil, err
	}
	return &leaseOf{life: d.life, Lease: lease}, nil
}

// Close implements migration.Driver.
func (d *databaseOf) Close() error { return nil }

// leaseOf is a lease as one controller holds it.
type leaseOf struct {
	*life
	migration.Lease
}

// Record implements migration.Lease.
func (l *leaseOf) Record(ctx context.Context, release segue.ReleaseName, plan migration.Plan) error {
	return l.call(ctx, "Record", string(release), "", func() error { return l.Lease.Record(ctx, release, plan) })
}

// Run implements migration.Lease.
func (l *leaseOf) Run(ctx context.Context, id migration.ChangeID, options migration.RunOptions, watch func(migration.Progress)) (report migration.Report, err error) {
	err = l.call(ctx, "RunChange", string(id), "", func() (err error) {
		report, err = l.Lease.Run(ctx, id, options, watch)
		if err == nil {
			l.record.changed(l.scenario, id)
		}
		return err
	})
	return report, err
}

// changed records what a change has taken away from whom.
func (r *record) changed(s Scenario, id migration.ChangeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	version, number, _ := strings.Cut(string(id), "#")
	statements := s.statements()
	if version == "0003" {
		statements, number = []string{"DROP COLUMN name"}, "1"
	}
	if version == "0001" || number == "" || int(number[0]-'1') >= len(statements) {
		return
	}
	if sql := statements[number[0]-'1']; !strings.Contains(sql, "DROP COLUMN name") && !strings.Contains(sql, "RENAME") {
		return
	}
	if slices.Contains(r.gone, id) {
		return
	}
	r.gone = append(r.gone, id)
	r.refresh()
	// The time for going back may end while a later rollout takes its time.
	if service := r.ledger.Services["web"]; service != nil && r.previous != "" && !time.Now().Before(service.PreviousUntil) {
		r.facts = append(r.facts, laws.Fact{Kind: laws.Closed, Release: r.previous})
	}
	stable := r.wayBack(id)
	if stable != "" {
		r.facts = append(r.facts, laws.Fact{Kind: laws.Open, Release: stable})
	}
	r.facts = append(r.facts, laws.Fact{Kind: laws.Removed, Release: "v1"})
	if stable != "" && stable != r.previous {
		r.facts = append(r.facts, laws.Fact{Kind: laws.Closed, Release: stable})
	}
}

// wayBack is the release that the open rollout may go back to: none once a person has agreed that this change closes that way.
func (r *record) wayBack(id migration.ChangeID) segue.ReleaseName {
	service := r.ledger.Services["web"]
	if service == nil || service.Open == nil {
		return ""
	}
	for _, step := range service.Open.Plan.Steps {
		if step.Change == string(id) && step.Closes != "" && len(service.Open.Approvals) > 0 {
			return ""
		}
	}
	return service.Open.Stable.Name
}
