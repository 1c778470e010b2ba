package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
)

// lockCase is a change that naive DDL makes others wait for.
type lockCase struct {
	name string
	// naive is one transaction, as most runners run a migration; team is what the team writes for Segue.
	naive, team []string
	// insert is the new release's.
	insert string
}

// fillCase adds a column that must not be empty, and fills it from another one.
func fillCase() lockCase {
	return lockCase{
		name:   "filled-column",
		naive:  []string{addSlug, fillSlug, `ALTER TABLE orders ALTER COLUMN slug SET NOT NULL`},
		team:   []string{addSlug + " NOT NULL", fillSlug},
		insert: "INSERT INTO orders (id, name, amount, customer, note, slug) VALUES ($1, 'New Order', 1, 1, 'n', 'new order')",
	}
}

// readCases are those that read the whole table.
func readCases() []lockCase {
	index := []string{`CREATE INDEX orders_amount ON orders (amount)`}
	foreign := []string{`ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES customers (id)`}
	notNull := []string{`ALTER TABLE orders ALTER COLUMN note SET NOT NULL`}
	return []lockCase{{"index", index, index, plainInsert}, {"foreign-key", foreign, foreign, plainInsert}, {"not-null", notNull, notNull, plainInsert}}
}

// measureLocks tells how long locks are held that make others wait, how long writers did wait, and how many writes failed.
func measureLocks(ctx context.Context, t *Table, y yard, large int) error {
	for _, set := range []struct {
		orders int
		cases  []lockCase
	}{{smallTable, []lockCase{fillCase()}}, {large, readCases()}} {
		if err := measureLocksOf(ctx, t, y, set.orders, set.cases); err != nil {
			return err
		}
	}
	return nil
}

// measureLocksOf does cases one after the other, the naive way in one database and Segue's in another.
func measureLocksOf(ctx context.Context, t *Table, y yard, orders int, cases []lockCase) error {
	naive, err := y.make(ctx, orders)
	if err != nil {
		return err
	}
	defer naive.drop() //nolint:errcheck // a throw-away server
	segue, err := y.make(ctx, orders)
	if err != nil {
		return err
	}
	defer segue.drop() //nolint:errcheck // a throw-away server
	for _, c := range cases {
		before, err := naive.underWriters(ctx, c.atOnce)
		if err != nil {
			return fmt.Errorf("%s, naive: %w", c.name, err)
		}
		var reports []migration.Report
		after, err := segue.underWriters(ctx, func(ctx context.Context, d *database) (took time.Duration, err error) {
			began := time.Now()
			reports, err = migrate(ctx, d, 0, c.insert, c.team...)
			return time.Since(began), err
		})
		if err != nil {
			return fmt.Errorf("%s, segue: %w", c.name, err)
		}
		c.tell(t, orders, before, after, reports)
	}
	return nil
}

func (c lockCase) tell(t *Table, orders int, before, after trafficked, reports []migration.Report) {
	var held time.Duration
	for _, r := range reports {
		t.Say("%s: %s took %s, %s held for %s, others waited %s", c.name, r.ID, r.Took.Round(time.Millisecond), r.Lock, r.Held.Round(time.Millisecond), r.Caused.Round(time.Millisecond))
		held = max(held, r.Held)
	}
	label, naive, segue := "databases.locks."+c.name+".", before.writers.summary(), after.writers.summary()
	t.Add(label+"held.naive", ms(before.took), "ms", fmt.Sprintf("%d rows, one transaction", orders))
	t.Add(label+"held.segue", ms(held), "ms", "in all "+after.took.Round(time.Millisecond).String())
	t.Add(label+"wait.naive", naive.longest, "ms", fmt.Sprintf("longest of a writer; %d of %d writes failed", naive.failed, naive.writes))
	t.Add(label+"wait.segue", segue.longest, "ms", fmt.Sprintf("longest of a writer; %d of %d writes failed", segue.failed, segue.writes))
}

// atOnce does it the naive way. Locks are held to the end of the transaction.
func (c lockCase) atOnce(ctx context.Context, d *database) (time.Duration, error) {
	began := time.Now()
	tx, err := d.app.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, statement := range c.naive {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
	}
	err = tx.Commit()
	return time.Since(began), err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
