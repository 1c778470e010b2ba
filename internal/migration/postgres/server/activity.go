package server

import (
	"context"
	"time"
)

// activity asks for the oldest transaction with a lock on the table or one of its partitions and indexes, for those that wait for one, and for the standby
// that is farthest behind. Times count from the transaction's begin: that is what a lock request waits for.
const activity = `
WITH RECURSIVE family(oid) AS (
  SELECT to_regclass($1)::oid
  UNION
  SELECT i.inhrelid FROM pg_inherits i JOIN family f ON f.oid = i.inhparent
), locks AS (
  SELECT l.pid, l.granted FROM pg_locks l JOIN family f ON l.relation = f.oid
  WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()
), oldest AS (
  SELECT a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age, a.query
  FROM pg_stat_activity a WHERE a.pid IN (SELECT pid FROM locks WHERE granted) AND a.xact_start IS NOT NULL
  ORDER BY a.xact_start LIMIT 1
)
SELECT coalesce(o.age, 0) AS age, coalesce(o.pid, 0) AS pid, coalesce(o.query, '') AS query,
       (SELECT count(DISTINCT pid) FROM locks WHERE NOT granted)::int AS waiting,
       (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) FROM pg_stat_replication)::float8 AS lag
FROM (SELECT) one LEFT JOIN oldest o ON true`

// Activity looks at what goes on in a table right now. The name is as SQL has it ("public.customers"); a table that is not there has none.
// Of a role that may not see other roles' sessions, only their locks are known.
func (s *Server) Activity(ctx context.Context, table string) (Activity, error) {
	var found Activity
	var age, lag float64
	err := s.pool.QueryRow(ctx, activity, table).Scan(&age, &found.PID, &found.Query, &found.Waiting, &lag)
	if err != nil {
		return Activity{}, Explain("look at "+table, err)
	}
	found.Oldest, found.Lag = seconds(age), seconds(lag)
	return found, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
