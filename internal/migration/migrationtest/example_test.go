package migrationtest_test

import (
	"context"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
)

// The way of a migration: planned, recorded, run as far as both releases can live with it, and the rest when the gate says that nobody needs it.
func Example() {
	ctx := context.Background()
	driver := migrationtest.NewFake()
	file := migrationtest.File("0001", "ALTER TABLE customers ADD COLUMN mail text", "UPDATE customers SET mail = lower(email)", "ALTER TABLE customers DROP COLUMN email")
	plan, _ := driver.Plan(ctx, migration.PlanRequest{Files: []migration.File{file}, Release: "v2"})
	lease, _ := driver.Lease(ctx, "example")
	_ = lease.Record(ctx, "v2", plan)
	for _, change := range plan.Changes {
		if change.Phase == migration.PhaseContract {
			gate, _ := driver.Gate(ctx, migration.GateRequest{Change: change, Brought: "v2", Releases: []migration.Presence{{Release: "v1", Running: []segue.ServerName{"web-1"}}}})
			fmt.Println(change.Phase, change.Title, gate.Answer)
			continue
		}
		_, err := lease.Run(ctx, change.ID, migration.RunOptions{}, func(migration.Progress) {})
		fmt.Println(change.Phase, change.Title, err)
	}
	_ = lease.Release(ctx)
	// Output:
	// expand add column customers.mail <nil>
	// backfill fill customers <nil>
	// contract drop column customers.email unknown
}
