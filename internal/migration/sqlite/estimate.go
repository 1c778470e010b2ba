package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
)

// Rows a second: half of what was measured on a million narrow rows in a file that fits into memory, so that most servers are faster.
const (
	indexRate    = 600_000
	scanRate     = 5_000_000
	rewriteRate  = 1_000_000
	dropRate     = 10_000_000
	backfillRate = 300_000
)

// longHold is from when on it is worth a word that writers wait.
const longHold = time.Second

// estimate says what a change costs on the real table, which holds the write lock all the while.
func (p *planner) estimate(ctx context.Context, change *migration.Change, name string, rate int64) error {
	n, err := p.rowsOf(ctx, name)
	if err != nil {
		return err
	}
	took := time.Duration(n) * time.Second / time.Duration(rate)
	change.Estimate = migration.Estimate{Rows: n, Time: took, Locked: took}
	if change.Facts.Locks == nil {
		change.Facts.Locks = map[string]migration.Lock{}
	}
	change.Facts.Locks[name] = migration.LockExclusive
	if took < longHold {
		return nil
	}
	change.Estimate.Waits = "writes of the whole database"
	change.Caveats = append(change.Caveats, fmt.Sprintf("writers wait about %s for it: longer than many applications' busy_timeout", took.Round(100*time.Millisecond)))
	return nil
}

// rowsOf counts the rows of a real table; one that is not there yet has none.
func (p *planner) rowsOf(ctx context.Context, name string) (int64, error) {
	if n, known := p.rows[lower(name)]; known {
		return n, nil
	}
	t, found, err := readTable(ctx, p.driver.read, name)
	if err != nil || !found {
		return 0, err
	}
	n, err := countRows(ctx, p.driver.read, t)
	if err == nil {
		p.rows[lower(name)] = n
	}
	return n, err
}
