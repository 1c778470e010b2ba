package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
)

// Sizes of the tables that are backfilled. What is long is only done when it is asked for.
const (
	smallTable  = 100_000
	middleTable = 500_000
	largeTable  = 1_000_000
	hugeTable   = 5_000_000
)

// The backfill that all ways do: a new column from an old one.
const (
	addSlug  = `ALTER TABLE orders ADD COLUMN slug text`
	fillSlug = `UPDATE orders SET slug = lower(name)`
)

// ordersTable is what the writers know; columns of it are the same in both products.
const ordersTable = `(id INTEGER PRIMARY KEY, name text NOT NULL, amount integer NOT NULL, customer integer NOT NULL, note text, touched integer NOT NULL DEFAULT 0)`

// Databases measures changes of a database under load: backfills, locks, and what it takes to find out what statements do.
func Databases(ctx context.Context, t *Table, full bool) error {
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := postgresDatabases(ctx, t, full); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	b := backfillBench{table: t, label: "databases.sqlite", yard: &sqliteYard{dir: dir}, unpaced: full}
	if err := b.measure(ctx, smallTable, upper(full)); err != nil {
		return fmt.Errorf("SQLite: %w", err)
	}
	return nil
}

// upper is the larger of the two sizes that every run compares.
func upper(full bool) int {
	if full {
		return largeTable
	}
	return middleTable
}

// yard makes databases of one product, each a fresh copy of one with so many orders.
type yard interface {
	make(ctx context.Context, orders int) (*database, error)
}

// database is a fresh one, with the application's connections.
type database struct {
	app *sql.DB
	// orders were in it from the start, inserted is how many came since.
	orders   int
	inserted atomic.Int64
	// ask writes an application's statement as the product wants it: parameters are $1, $2.
	ask  func(statement string) string
	open func(ctx context.Context) (migration.Driver, error)
	drop func() error
	// writers are at work on it.
	writers *writers
	// files are the team's migrations so far.
	files []migration.File
}

// work is a way to change a database; it gives the time of the part that is compared.
type work func(ctx context.Context, d *database) (time.Duration, error)

// trafficked is what became of work and of the writers beside it.
type trafficked struct {
	took    time.Duration
	writers *writers
}

// underWriters does the work on a fresh database while the writers write.
func underWriters(ctx context.Context, y yard, orders int, do work) (result trafficked, err error) {
	d, err := y.make(ctx, orders)
	if err != nil {
		return result, fmt.Errorf("make a database of %d orders: %w", orders, err)
	}
	result, err = d.underWriters(ctx, do)
	if failed := d.drop(); err == nil {
		err = failed
	}
	return result, err
}

// underWriters does the work while writers of the old release write.
func (d *database) underWriters(ctx context.Context, do work) (result trafficked, err error) {
	d.writers = startWriters(ctx, d)
	result.writers = d.writers
	if err = pause(ctx, writersLead); err == nil {
		result.took, err = do(ctx, d)
	}
	d.writers.stop()
	return result, err
}

// plainUpdate is what one writes without thinking.
func plainUpdate(ctx context.Context, d *database) (time.Duration, error) {
	return timed(ctx, d.app, fillSlug)
}

// batchLoop is what one writes with a little thinking: a thousand rows by key, one after the other.
func batchLoop(ctx context.Context, d *database) (time.Duration, error) {
	const batch = 1000
	var last int64
	if err := d.app.QueryRowContext(ctx, "SELECT max(id) FROM orders").Scan(&last); err != nil {
		return 0, err
	}
	began := time.Now()
	for from := int64(0); from <= last; from += batch {
		if _, err := d.app.ExecContext(ctx, d.ask(fillSlug+" WHERE id > $1 AND id <= $2"), from, from+batch); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// withColumn does the work once the column is there.
func withColumn(do work) work {
	return func(ctx context.Context, d *database) (time.Duration, error) {
		if _, err := d.app.ExecContext(ctx, addSlug); err != nil {
			return 0, err
		}
		return do(ctx, d)
	}
}

// seguesBackfill does it Segue's way, with a share of the database: the time of the backfill alone.
func seguesBackfill(share float64) work {
	return func(ctx context.Context, d *database) (time.Duration, error) {
		reports, err := migrate(ctx, d, share, plainInsert, addSlug, fillSlug)
		for _, r := range reports {
			if r.Batches > 0 {
				return r.Took, err
			}
		}
		return 0, err
	}
}

func timed(ctx context.Context, db *sql.DB, statements ...string) (time.Duration, error) {
	began := time.Now()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return 0, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return time.Since(began), nil
}

// migrate plans the statements of a migration and carries all of the plan out. The writers are of the old release until the contracts, and then of the
// new one, which inserts its own way.
func migrate(ctx context.Context, d *database, share float64, insert string, statements ...string) (reports []migration.Report, err error) {
	driver, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer driver.Close() //nolint:errcheck // the database goes next
	d.files = append(d.files, migrationtest.File(fmt.Sprintf("%04d", len(d.files)+1), statements...))
	plan, err := driver.Plan(ctx, migration.PlanRequest{Files: d.files, Release: "v2", Running: []nouns.ReleaseName{"v1"}})
	if err != nil {
		return nil, err
	}
	if len(plan.Faults) > 0 {
		return nil, fmt.Errorf("plan %s: %+v", strings.Join(statements, "; "), plan.Faults)
	}
	lease, err := driver.Lease(ctx, "bench")
	if err != nil {
		return nil, err
	}
	defer lease.Release(context.WithoutCancel(ctx)) //nolint:errcheck // the database goes next
	if err := lease.Record(ctx, "v2", plan); err != nil {
		return nil, err
	}
	for _, change := range plan.Changes {
		if change.Phase == migration.PhaseContract {
			d.writers.renew(insert)
		}
		report, err := lease.Run(ctx, change.ID, migration.RunOptions{Budget: share}, func(migration.Progress) {})
		if err != nil {
			return reports, fmt.Errorf("run %s: %w", change.Title, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// backfillBench compares ways to fill a column.
type backfillBench struct {
	table *Table
	label string
	yard  yard
	// unpaced adds Segue's way without a rest.
	unpaced bool
}

// way is one of those that are compared.
type way struct {
	name string
	do   work
}

// measure goes through sizes, and tells whether a row costs the same in all of them.
func (b backfillBench) measure(ctx context.Context, sizes ...int) error {
	perRow := map[string][]float64{}
	ways := []way{{"segue", seguesBackfill(0)}, {"update", withColumn(plainUpdate)}, {"loop", withColumn(batchLoop)}}
	if b.unpaced {
		ways = append(ways, way{"segue-unpaced", seguesBackfill(1)})
	}
	for _, size := range sizes {
		label := fmt.Sprintf("%s.%gM.", b.label, float64(size)/1e6)
		idle, err := underWriters(ctx, b.yard, size, func(ctx context.Context, _ *database) (time.Duration, error) { return 0, pause(ctx, time.Second) })
		if err != nil {
			return err
		}
		b.waits(label, "idle", idle, idle)
		for _, way := range ways {
			got, err := underWriters(ctx, b.yard, size, way.do)
			if err != nil {
				return fmt.Errorf("%s of %d rows: %w", way.name, size, err)
			}
			b.table.Add(label+"rate."+way.name, float64(size)/got.took.Seconds(), "rows/s", got.took.Round(time.Millisecond).String())
			b.waits(label, way.name, got, idle)
			perRow[way.name] = append(perRow[way.name], got.took.Seconds()*1e6/float64(size))
		}
	}
	for _, way := range ways {
		costs := perRow[way.name]
		for i, size := range sizes {
			b.table.Add(fmt.Sprintf("%s.row.%gM.%s", b.label, float64(size)/1e6, way.name), costs[i], "µs/row", fmt.Sprintf("%.2f of that at the first size", costs[i]/costs[0]))
		}
	}
	return nil
}

// waits tells what the writers felt.
func (b backfillBench) waits(label, name string, got, idle trafficked) {
	w := got.writers.summary()
	if w.failed > 0 {
		b.table.Say("%d writes failed: %v", w.failed, got.writers.fault)
		b.table.Add(label+"failed."+name, float64(w.failed), "writes", "")
	}
	b.table.Say("%-22s %-14s %8s  writers: %5d writes, p50 %.2f ms, p99 %.2f ms, longest %.0f ms", label, name, got.took.Round(time.Millisecond), w.writes, w.p50, w.p99, w.longest)
	base := idle.writers.summary()
	b.table.Add(label+"p50."+name, w.p50, "ms", fmt.Sprintf("%.1f of idle; a write of one row, from when it was due", w.p50/base.p50))
	b.table.Add(label+"p99."+name, w.p99, "ms", fmt.Sprintf("%.1f of idle", w.p99/base.p99))
	b.table.Add(label+"longest."+name, w.longest, "ms", "")
}
