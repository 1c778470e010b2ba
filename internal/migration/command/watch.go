package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Times of a watch.
const (
	// lookEvery is how often is looked.
	lookEvery = 200 * time.Millisecond
	// answerWithin bounds a look, and what is done about what it shows.
	answerWithin = 5 * time.Second
	// cancelGrace is how long a session may go on after its statement was cancelled.
	cancelGrace = time.Second
	// statementLimit bounds the statements that are remembered, statementLength their characters.
	statementLimit, statementLength = 100, 1000
)

// Queryer is a pool or a connection of pgx. A watch needs one that nobody else uses meanwhile; its role must be allowed to cancel the program's sessions
// (be the same, a member of theirs, or of pg_signal_backend) and to see what they do (the same, or pg_read_all_stats).
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Locked is a lock, or a wait for one, and how long it was seen to last.
type Locked struct {
	// Table and Mode are the server's words ("public.orders", "AccessExclusiveLock").
	Table, Mode string
	Lasted      time.Duration
}

// Stop is a session that was stopped for the sake of others.
type Stop struct {
	PID int32
	// Statement was the session's latest, without constants.
	Statement string
	// Why is a sentence without its subject: "kept 3 sessions waiting for 1.2s".
	Why string
	// Terminated is set where the whole session was ended, and not its statement alone.
	Terminated bool
}

// Observed is what a watch saw. Times are as looked at 5 times a second, so up to 0.2 s too short.
type Observed struct {
	// Sessions is how many of the application name there were. None means that the program does not use the name it was given, and nothing was watched.
	Sessions int
	// Held is the lock on a table that was held the longest, of those that writes or reads cannot go beside; Waited the longest wait for one.
	Held, Waited Locked
	// Waiters is how many sessions at most had to wait for the program's at once, and Blocked the longest such wait.
	Waiters int
	Blocked time.Duration
	// Statements are those that were seen, each once, without constants, the first 100.
	Statements []string
	Stops      []Stop
}

// Watch looks after the sessions of an application name until ctx ends, which is no error. One that waits for the lock of a table for longer than
// patience, or that keeps others waiting for so long, is cancelled, so that no queue grows behind it; one that goes on all the same, or that does nothing
// within a transaction, is terminated. KindUnavailable when the server does not answer: what was seen until then is given all the same.
func Watch(ctx context.Context, server Queryer, application string, patience time.Duration) (Observed, error) {
	w := &watch{
		server: server, application: application, patience: patience, sessions: map[session]bool{}, held: map[lockKey]time.Time{},
		waits: map[session]time.Time{}, blocked: map[session]map[int32]time.Time{}, cancelled: map[session]time.Time{},
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := w.once(ctx, time.Now()); err != nil {
			return w.seen, err
		}
		select {
		case <-ctx.Done():
			return w.seen, nil
		case <-tick.C:
		}
	}
}

// session names one for good: process ids come again.
type session struct {
	pid   int32
	began time.Time
}

type lockKey struct {
	session
	table, mode string
}

type watch struct {
	server      Queryer
	application string
	patience    time.Duration
	seen        Observed
	// Of each session, lock and wait, when it was first seen; and of each of ours since when it keeps whom waiting.
	sessions  map[session]bool
	held      map[lockKey]time.Time
	waits     map[session]time.Time
	blocked   map[session]map[int32]time.Time
	cancelled map[session]time.Time
}

// look is one of the program's sessions as it is now.
type look struct {
	PID       int32
	Began     time.Time
	Idle      bool
	Statement string
	// Table and Mode are of the lock on a table that it waits for, "" for none.
	Table, Mode string
	// Waiters are the sessions of others that wait for this one.
	Waiters []int32
	Tables  []string
	Modes   []string
}

// state asks for all at once. pg_blocking_pids takes the lock manager's locks for a moment, so it is asked of those alone who wait.
const state = `
WITH mine AS MATERIALIZED (
	SELECT pid, backend_start, state, query FROM pg_stat_activity
	WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
), waiting AS MATERIALIZED (
	SELECT pid, pg_blocking_pids(pid) AS behind FROM pg_stat_activity
	WHERE wait_event_type = 'Lock' AND backend_type = 'client backend' AND pid NOT IN (SELECT pid FROM mine) AND EXISTS (SELECT FROM mine)
), locks AS MATERIALIZED (
	SELECT l.pid, l.granted, l.mode, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
	FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid IN (SELECT pid FROM mine)
), held AS (
	SELECT pid, array_agg(name ORDER BY name, mode) AS names, array_agg(mode ORDER BY name, mode) AS modes FROM locks
	WHERE granted AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') GROUP BY pid
)
SELECT m.pid AS "PID", m.backend_start AS "Began", coalesce(m.state LIKE 'idle%', false) AS "Idle", coalesce(m.query, '') AS "Statement",
	coalesce(w.name, '') AS "Table", coalesce(w.mode, '') AS "Mode",
	(SELECT coalesce(array_agg(o.pid), '{}') FROM waiting o WHERE m.pid = ANY (o.behind)) AS "Waiters",
	coalesce(h.names, '{}') AS "Tables", coalesce(h.modes, '{}') AS "Modes"
FROM mine m LEFT JOIN held h USING (pid)
LEFT JOIN LATERAL (SELECT name, mode FROM locks WHERE locks.pid = m.pid AND NOT granted LIMIT 1) w ON true`

func (w *watch) once(ctx context.Context, now time.Time) error {
	// A look goes to its end when ctx does: a query that is broken off would close the connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	rows, err := w.server.Query(ctx, state, w.application)
	if err != nil {
		return unavailable("look at the command's sessions", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[look])
	if err != nil {
		return unavailable("look at the command's sessions", err)
	}
	waiters := map[int32]bool{}
	present, locks := map[session]bool{}, map[lockKey]bool{}
	for _, l := range all {
		s := session{l.PID, l.Began}
		present[s] = true
		for i := range l.Tables {
			locks[lockKey{s, l.Tables[i], l.Modes[i]}] = true
		}
		for _, pid := range l.Waiters {
			waiters[pid] = true
		}
		w.note(s, l, now)
	}
	w.seen.Waiters = max(w.seen.Waiters, len(waiters))
	w.forget(present, locks)
	for _, l := range all {
		if err := w.relieve(ctx, l, now); err != nil {
			return err
		}
	}
	return nil
}

// note remembers what a session does, and since when.
func (w *watch) note(s session, l look, now time.Time) {
	if !w.sessions[s] {
		w.sessions[s] = true
		w.seen.Sessions++
	}
	if text := plain(l.Statement); text != "" && len(w.seen.Statements) < statementLimit && !slices.Contains(w.seen.Statements, text) {
		w.seen.Statements = append(w.seen.Statements, text)
	}
	for i := range l.Tables {
		key := lockKey{s, l.Tables[i], l.Modes[i]}
		if _, known := w.held[key]; !known {
			w.held[key] = now
		}
		w.seen.Held = longer(w.seen.Held, Locked{l.Tables[i], l.Modes[i], now.Sub(w.held[key])})
	}
	if l.Table == "" {
		delete(w.waits, s)
	} else {
		if _, known := w.waits[s]; !known {
			w.waits[s] = now
		}
		w.seen.Waited = longer(w.seen.Waited, Locked{l.Table, l.Mode, now.Sub(w.waits[s])})
	}
	before, still := w.blocked[s], map[int32]time.Time{}
	for _, pid := range l.Waiters {
		still[pid] = now
		if since, known := before[pid]; known {
			still[pid] = since
		}
		w.seen.Blocked = max(w.seen.Blocked, now.Sub(still[pid]))
	}
	w.blocked[s] = still
}

func longer(a, b Locked) Locked {
	if a.Table == "" || b.Lasted > a.Lasted {
		return b
	}
	return a
}

// forget drops what is over.
func (w *watch) forget(present map[session]bool, locks map[lockKey]bool) {
	for key := range w.held {
		if !locks[key] {
			delete(w.held, key)
		}
	}
	for s := range w.sessions {
		if !present[s] {
			delete(w.sessions, s)
			delete(w.waits, s)
			delete(w.blocked, s)
			delete(w.cancelled, s)
		}
	}
}

// relieve stops a session that others have to wait for, or will have to.
func (w *watch) relieve(ctx context.Context, l look, now time.Time) error {
	s := session{l.PID, l.Began}
	why := w.offence(s, l, now)
	if why == "" {
		delete(w.cancelled, s)
		return nil
	}
	since, cancelled := w.cancelled[s]
	terminate := l.Idle || cancelled && now.Sub(since) >= cancelGrace
	if cancelled && !terminate {
		return nil
	}
	function := "pg_cancel_backend"
	if terminate {
		function = "pg_terminate_backend"
	}
	// The row must still be that session: its process id may be somebody else's by now.
	rows, err := w.server.Query(ctx, "SELECT "+function+"(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", l.PID, l.Began)
	if err != nil {
		return unavailable("stop session", err)
	}
	if _, err := pgx.CollectRows(rows, pgx.RowTo[bool]); err != nil {
		return unavailable("stop session", err)
	}
	w.cancelled[s] = now
	w.seen.Stops = append(w.seen.Stops, Stop{PID: l.PID, Statement: plain(l.Statement), Why: why, Terminated: terminate})
	return nil
}

// offence says what is wrong with a session; "" for nothing.
func (w *watch) offence(s session, l look, now time.Time) string {
	var longest time.Duration
	for _, since := range w.blocked[s] {
		longest = max(longest, now.Sub(since))
	}
	if longest > w.patience {
		return fmt.Sprintf("kept %d sessions waiting for %s", len(w.blocked[s]), longest.Round(time.Millisecond))
	}
	if since, waits := w.waits[s]; waits && now.Sub(since) > w.patience {
		return fmt.Sprintf("waited for the %s of %s for %s", l.Mode, l.Table, now.Sub(since).Round(time.Millisecond))
	}
	return ""
}

// plain is a statement without its constants, which may be secrets or personal.
func plain(statement string) string {
	text := []rune(sqltext.Normalize(sqltext.Postgres, statement))
	if len(text) > statementLength {
		text = append(text[:statementLength-1], '…')
	}
	return string(text)
}

// unavailable sorts an error of the server; its details may quote rows and are left out by the message.
func unavailable(doing string, err error) error {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code == "42501" {
		return segue.Errorf(segue.KindInvalid, "%s: %w", doing, err).WithHint("Grant the role that Segue uses pg_signal_backend and pg_read_all_stats.")
	}
	return segue.Errorf(segue.KindUnavailable, "%s: %w", doing, err)
}
