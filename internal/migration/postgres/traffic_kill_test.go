package postgres_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
)

// kills is how often all of Segue's connections are ended, at moments that a seed says, in one passage.
const kills = 10

// Whatever moment Segue's connections break in: another controller goes on from there, the application notices nothing, and every row is right.
func underKills(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip("long")
	}
	for _, p := range slices.Concat(changedColumns(), promises()) {
		if p.name != "rename a column" && p.name != "SET NOT NULL" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			j := newJourney(newWorldOn(t, c), p)
			j.runner = &killed{journey: j, rng: rand.New(rand.NewPCG(j.seed, 0))}
			j.travel()
		})
	}
}

// killed runs changes as a row of controllers does that die.
type killed struct {
	*journey
	rng *rand.Rand
	// turns are how often each change is yet to be hit.
	turns map[migration.ChangeID]int
}

// run carries one change out.
func (k *killed) run(change migration.Change) (migration.Report, error) {
	if k.turns == nil {
		k.turns = map[migration.ChangeID]int{}
		for range kills {
			k.turns[k.plan.Changes[k.rng.IntN(len(k.plan.Changes))].ID]++
		}
	}
	for ; k.turns[change.ID] > 0; k.turns[change.ID]-- {
		k.hit(change)
	}
	if err := k.renew(); err != nil {
		return migration.Report{}, err
	}
	return k.lease.Run(k.Context(), change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) {})
}

// hit runs a change, and ends the connections meanwhile.
func (k *killed) hit(change migration.Change) {
	k.Helper()
	if err := k.renew(); err != nil {
		k.Errorf("take the lease for another try of %s: %v", change.Title, err)
		return
	}
	after := time.Duration(k.rng.Int64N(int64(40 * time.Millisecond)))
	conn, err := pgx.Connect(k.Context(), k.url)
	if err != nil {
		k.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(k.Context())) }()
	started, done := make(chan struct{}), make(chan int, 1)
	start := sync.OnceFunc(func() { close(started) })
	go func() {
		<-started
		ended := 0
		_, _ = conn.Exec(k.Context(), "SELECT pg_sleep($1)", after.Seconds())
		_ = conn.QueryRow(k.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE 'segue%' AND pid <> pg_backend_pid()`).Scan(&ended)
		done <- ended
	}()
	if k.rng.IntN(3) == 0 {
		start() // while it connects
	}
	_, err = k.lease.Run(k.Context(), change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) { start() })
	start()
	ended := <-done
	if kind := segue.KindOf(err); err != nil && kind != segue.KindUnavailable && kind != segue.KindConflict {
		k.Errorf("the error is of kind %s: %v", kind, err)
	}
	k.Logf("%d connections ended %s into %q: %v", ended, after, change.Title, err)
}

// renew is the next controller.
func (k *killed) renew() (err error) {
	_ = k.lease.Release(context.WithoutCancel(k.Context()))
	_ = k.driver.Close()
	if k.driver, err = postgres.Open(k.Context(), postgres.Config{URL: k.url}); err != nil {
		return err
	}
	// Whoever was ended may take a moment to go.
	k.until(`SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	k.lease, err = k.driver.Lease(context.WithoutCancel(k.Context()), "next")
	return err
}
