package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/migration/postgres"
)

// TestRefreshLetsReadersGoOn refreshes views that have an index that allows it, in the middle of a reader's transaction, and others as they can be.
func TestRefreshLetsReadersGoOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make string
		// read holds the view against a refresh that shuts it.
		read bool
	}{
		"unique index":           {`CREATE MATERIALIZED VIEW "a b" AS SELECT id, n FROM t; CREATE UNIQUE INDEX ON "a b" (id)`, true},
		"no index":               {`CREATE MATERIALIZED VIEW "a b" AS SELECT id, n FROM t`, false},
		"index of an expression": {`CREATE MATERIALIZED VIEW "a b" AS SELECT id, n FROM t; CREATE UNIQUE INDEX ON "a b" ((id + 1))`, false},
		"index of some":          {`CREATE MATERIALIZED VIEW "a b" AS SELECT id, n FROM t; CREATE UNIQUE INDEX ON "a b" (id) WHERE n > 0`, false},
		"no data yet":            {`CREATE MATERIALIZED VIEW "a b" AS SELECT id, n FROM t WITH NO DATA; CREATE UNIQUE INDEX ON "a b" (id)`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)`, test.make, `INSERT INTO t VALUES (2, 2)`)
			driver := w.open(postgres.Config{})
			lease, err := driver.Lease(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			plan, err := driver.Plan(t.Context(), migration.PlanRequest{Release: "v2", Files: []migration.File{
				migrationtest.File("1", `refresh MATERIALIZED VIEW public."a b" WITH DATA`),
			}})
			if err != nil || len(plan.Changes) != 1 {
				t.Fatalf("%+v, %v", plan, err)
			}
			if err := lease.Record(t.Context(), "v2", plan); err != nil {
				t.Fatal(err)
			}
			if test.read {
				defer w.reads(`"a b"`)()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := lease.Run(ctx, plan.Changes[0].ID, migration.RunOptions{}, func(migration.Progress) {}); err != nil {
				t.Fatal(err)
			}
			if got := w.get(`SELECT count(*) FROM "a b"`); got != "2" {
				t.Errorf("%s rows, want what the table has", got)
			}
		})
	}
}

// reads begins a transaction that has read a table, and gives what ends it.
func (w *world) reads(table string) func() {
	w.Helper()
	tx, err := w.app.Begin(w.Context())
	if err == nil {
		_, err = tx.Exec(w.Context(), `SELECT FROM `+table)
	}
	if err != nil {
		w.Fatal(err)
	}
	return func() { _ = tx.Rollback(context.WithoutCancel(w.Context())) }
}
