package postgres_test

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchWaits looks, on the server, for how long statements of the application wait behind sessions of Segue, until it is ended.
func (l *load) watchWaits() (end func() time.Duration) {
	conn, err := pgx.Connect(l.Context(), l.url)
	if err != nil {
		l.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		defer func() { _ = conn.Close(context.WithoutCancel(l.Context())) }()
		longest := time.Duration(0)
		for {
			select {
			case <-stop:
				done <- longest
				return
			default:
			}
			var seconds float64
			const look = `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8, pg_sleep(0.01)::text
				FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.application_name = 'app'
				AND EXISTS (SELECT FROM pg_stat_activity s WHERE s.pid = ANY(pg_blocking_pids(l.pid)) AND s.application_name LIKE 'segue%')`
			if err := conn.QueryRow(context.WithoutCancel(l.Context()), look).Scan(&seconds, new(string)); err != nil {
				l.Errorf("look for waits: %v", err)
				done <- longest
				return
			}
			longest = max(longest, time.Duration(seconds*float64(time.Second)))
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-done
	}
}
