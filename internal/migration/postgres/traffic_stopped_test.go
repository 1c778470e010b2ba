package postgres_test

import (
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
)

// What no order of steps serves both releases with is said to be so, with what would. An all-at-once release carries it.
func stopped(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	t.Parallel()
	j := newJourney(newWorldOn(t, c), passage{
		before: []string{`CREATE TABLE orders (id int PRIMARY KEY, amount text)`, `INSERT INTO orders SELECT i, i FROM generate_series(1, 5000) i`},
		files:  file(`ALTER TABLE orders ALTER COLUMN amount TYPE int USING amount::int`),
		old:    speak("orders", "amount"), new: speak("orders", "amount"), value: [2]func(int64) string{numbers(1 << 31)},
		plan:    "breaking change type of orders.amount to int",
		refused: map[string]string{`INSERT INTO orders VALUES (0, 'many')`: "22P02"},
	})
	old := j.start("old", j.old)
	j.prepare()
	if j.plan.Changes[0].Split == "" {
		t.Error("nothing is said of how to do without")
	}
	old.more()
	old.end()
	j.audit("before, the old release", j.old)
	j.carry(func(migration.Change) bool { return true })
	fresh := j.start("new", j.new)
	fresh.more()
	fresh.end()
	j.audit("afterwards, the new release", j.new)
	j.ended()
}

// Where values are written by their place, a column that takes another's place is one that the matrix of compatibility tells of.
func byPosition(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	t.Parallel()
	p := passage{}
	for _, one := range changedColumns() {
		if strings.HasPrefix(one.name, "int to bigint") {
			p = one
		}
	}
	j := newJourney(newWorldOn(t, c), p)
	j.prepare()
	var before, after []migration.Change
	for _, change := range j.plan.Changes {
		if change.Phase == migration.PhaseContract {
			after = append(after, change)
		} else {
			before = append(before, change)
		}
	}
	matrix, err := j.driver.Check(t.Context(), migration.CheckRequest{Before: before, After: after, Queries: []migration.Query{
		{Release: "v1", SQL: `INSERT INTO orders VALUES ($1, $2, $3)`, Source: "recorded"},
		{Release: "v2", SQL: `INSERT INTO orders (id, amount) VALUES ($1, $2)`, Source: "recorded"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, cell := range matrix.Cells {
		bad := cell.Release == segue.ReleaseName("v1") && cell.Stage != migration.StageNow
		if bad != (len(cell.Misfits) > 0) {
			t.Errorf("%s against the schema %s: %+v", cell.Release, cell.Stage, cell.Misfits)
		}
	}
}
