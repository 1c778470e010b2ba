package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration/pace"
)

// Limits are where a backfill stands still; towards them it slows down. 0 is no limit.
type Limits struct {
	// Lag is how far the slowest standby may be behind in time, Behind in bytes.
	Lag    time.Duration
	Behind int64
	// Active is how many sessions may work at the same time; Connected which part of max_connections may be taken.
	Active    int
	Connected float64
	// WAL is how much the server may write per second, for whomever.
	WAL int64
	// Caused is how long a statement of somebody else may wait for a batch. A longer wait makes batches smaller.
	Caused time.Duration
}

// DefaultLimits are for a server of middling size.
func DefaultLimits() Limits {
	return Limits{Lag: 5 * time.Second, Behind: 256 << 20, Active: 64, Connected: 0.9, WAL: 128 << 20, Caused: 250 * time.Millisecond}
}

const (
	// lookEvery is how often is looked for who waits for whom, gaugeEvery how often at everything else.
	lookEvery  = 100 * time.Millisecond
	gaugeEvery = time.Second
	// vacuumed is the utilization that a vacuum of the table stands for: it needs the disk too, and what it clears away is the backfill's own.
	vacuumed = 0.8
)

// gauge looks on over a connection of its own while a backfill works.
type gauge struct {
	connect func(ctx context.Context) (*pgx.Conn, error)
	limits  Limits
	table   Table
	worker  int32 // the pid of the backfill's session
	conn    *pgx.Conn
	wal     float64
	at      time.Time

	mu      sync.Mutex
	signal  pace.Signal
	caused  time.Duration // since it was last taken
	longest time.Duration
	waiters map[int32]bool
	holder  int32
	vacuum  bool
}

// follow looks until ctx is done.
func (g *gauge) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer g.hangUp(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := g.look(ctx, now); err != nil && ctx.Err() == nil {
				// Going on blindly could do harm: it stands still until the server answers.
				g.set(pace.Signal{Reason: fmt.Sprintf("the state of the server, which cannot be read (%v)", reason(err)), Stop: true})
				g.hangUp(ctx)
			}
		}
	}
}

func (g *gauge) hangUp(ctx context.Context) {
	if g.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_ = g.conn.Close(ctx) // it is gone either way
	g.conn = nil
}

func (g *gauge) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	if g.conn == nil {
		conn, err := g.connect(ctx)
		if err != nil {
			return err
		}
		g.conn = conn
	}
	if err := g.lookAtWaits(ctx); err != nil {
		return err
	}
	if now.Sub(g.at) < gaugeEvery {
		return nil
	}
	return g.lookAround(ctx, now)
}

// Since when a lock is waited for is told from PostgreSQL 14 on; before, each look counts for itself.
const selectWaits = `SELECT pid, pg_blocking_pids(pid), coalesce(waited, 0)::float8 FROM (
	SELECT l.pid, max(extract(epoch FROM clock_timestamp() - (to_jsonb(l)->>'waitstart')::timestamptz)) AS waited
	FROM pg_locks l WHERE NOT l.granted AND l.pid <> pg_backend_pid() GROUP BY l.pid) waiting`

func (g *gauge) lookAtWaits(ctx context.Context) error {
	rows, err := g.conn.Query(ctx, selectWaits)
	if err != nil {
		return err
	}
	var pid int32
	var blockers []int32
	var waited float64
	var holder int32
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err = pgx.ForEachRow(rows, []any{&pid, &blockers, &waited}, func() error {
		switch {
		case pid == g.worker && len(blockers) > 0:
			holder = blockers[0]
		case slices.Contains(blockers, g.worker):
			since := time.Duration(waited * float64(time.Second))
			g.caused, g.longest = max(g.caused, since), max(g.longest, since)
			g.waiters[pid] = true
		}
		return nil
	})
	if holder != 0 {
		g.holder = holder
	}
	return err
}

// What a role may not see of others is NULL, and counts as nothing.
const selectServer = `
WITH RECURSIVE family(oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON f.oid = i.inhparent),
vacuums AS (SELECT p.pid, a.query FROM pg_stat_progress_vacuum p JOIN family f ON f.oid = p.relid LEFT JOIN pg_stat_activity a ON a.pid = p.pid)
SELECT coalesce((SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication), 0)::float8,
	coalesce((SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication), 0)::float8,
	(SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND pid NOT IN (pg_backend_pid(), $2))::float8,
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::float8 / current_setting('max_connections')::float8,
	pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8,
	(SELECT count(*) > 0 FROM vacuums), (SELECT coalesce(bool_or(query LIKE '%to prevent wraparound%'), false) FROM vacuums)`

func (g *gauge) lookAround(ctx context.Context, now time.Time) error {
	var lag, behind, active, connected, wal float64
	var vacuum, wraparound bool
	err := g.conn.QueryRow(ctx, selectServer, g.table.OID, g.worker).
		Scan(&lag, &behind, &active, &connected, &wal, &vacuum, &wraparound)
	if err != nil {
		return err
	}
	rate := 0.0
	if !g.at.IsZero() {
		rate = (wal - g.wal) / now.Sub(g.at).Seconds()
	}
	g.at, g.wal = now, wal
	const megabyte = 1 << 20
	signals := []pace.Signal{
		pace.Measure(fmt.Sprintf("replication lag %.1f s", lag), lag, g.limits.Lag.Seconds()),
		pace.Measure(fmt.Sprintf("a standby %.0f MB behind", behind/megabyte), behind, float64(g.limits.Behind)),
		pace.Measure(fmt.Sprintf("%.0f active sessions", active), active, float64(g.limits.Active)),
		pace.Measure(fmt.Sprintf("%.0f%% of all connections in use", connected*100), connected, g.limits.Connected),
		pace.Measure(fmt.Sprintf("%.0f MB of WAL per second", rate/megabyte), rate, float64(g.limits.WAL)),
	}
	if vacuum {
		signals = append(signals, pace.Signal{Reason: "a vacuum of " + g.table.String(), Utilization: vacuumed})
	}
	if wraparound {
		signals = append(signals, pace.Signal{Reason: "a vacuum of " + g.table.String() + " that prevents wraparound", Stop: true})
	}
	g.set(pace.Worst(signals...))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.vacuum = vacuum
	return nil
}

func (g *gauge) set(signal pace.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.signal = signal
}

func (g *gauge) now() pace.Signal {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.signal
}

// vacuums says whether a vacuum works on the table.
func (g *gauge) vacuums() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.vacuum
}

// takeCaused gives the longest wait of others since it was last asked.
func (g *gauge) takeCaused() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	caused := g.caused
	g.caused = 0
	return caused
}

// held names who was last seen to hold what the backfill waited for, "" when nobody was.
func (g *gauge) held() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holder == 0 {
		return ""
	}
	return fmt.Sprintf(", held by pid %d", g.holder)
}

// reason is an error's innermost, in one clause.
func reason(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}
