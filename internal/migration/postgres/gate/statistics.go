package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// fewCalls is how often Segue sends one statement of a migration, retries included: an application that sends the same under the same role shares its line
// in the statistics, and is known by a higher count.
const fewCalls = 8

// Snapshot is what the server's statistics of statements were at one time. The server counts calls and does not say when they were: two snapshots do. The
// caller keeps the latest; the zero value is of a caller who has none.
type Snapshot struct {
	At time.Time `json:"at"`
	// Since when everything was counted without a gap, and Evicted when statements were last found to have been dropped for want of room.
	Since   time.Time `json:"since"`
	Evicted time.Time `json:"evicted,omitzero"`
	// Reset, Started and Dropped are the server's own words.
	Reset   time.Time `json:"reset,omitzero"`
	Started time.Time `json:"started"`
	Dropped int64     `json:"dropped"`
	// Hidden counts statements whose text was kept from us.
	Hidden int `json:"hidden,omitempty"`
	// Counts by role, statement and level.
	Counts map[string]Count `json:"counts"`
}

// Count is of one statement. Its last call lies after From (zero: not known) and not after Seen.
type Count struct {
	Calls int64     `json:"calls"`
	From  time.Time `json:"from,omitzero"`
	Seen  time.Time `json:"seen"`
}

// Statistics is what a server knows of the statements that it was sent.
type Statistics struct {
	Snapshot Snapshot
	Queries  []migration.Query
	// Missing says why nothing, or not everything, could be seen; "" when all was.
	Missing string
	// from is Count.From of each query.
	from []time.Time
}

// watched gives the time since when nothing can have been sent unseen.
func (s Statistics) watched() time.Time {
	if s.Snapshot.Evicted.After(s.Snapshot.Since) {
		return s.Snapshot.Evicted
	}
	return s.Snapshot.Since
}

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ReadStatistics reads pg_stat_statements of this database, as far as the server has it: what is missing is said in Missing, and is no error.
// roles gives the release that logs in with a role. now is on the same clock as past.
func ReadStatistics(ctx context.Context, conn querier, past Snapshot, releases []migration.Presence, now time.Time) (Statistics, error) {
	s := Statistics{Snapshot: Snapshot{At: now, Counts: map[string]Count{}}}
	place, err := s.place(ctx, conn)
	if err != nil || place == "" {
		return s, server.Explain("read the statistics of statements", err)
	}
	if err := s.times(ctx, conn, place); err != nil {
		return s, server.Explain("read the statistics of statements", err)
	}
	rows, err := s.rows(ctx, conn, place)
	if err != nil {
		return s, server.Explain("read the statistics of statements", err)
	}
	self, tables, err := s.self(ctx, conn)
	if err != nil {
		return s, server.Explain("read the statistics of statements", err)
	}
	hidden := 0
	for _, row := range rows {
		if row.hidden() {
			// Nor does the server tell which one it is: all those of a role have one key.
			hidden++
			continue
		}
		s.Snapshot.Counts[row.Key] = row.count(past, s.Snapshot.gapless(past), now)
		if !row.own(self, tables) {
			query := migration.Query{SQL: *row.SQL, Calls: row.Calls, Seen: s.Snapshot.Counts[row.Key].Seen, Source: "statistics", Role: *row.Role}
			for _, p := range releases {
				if p.Role != "" && p.Role == *row.Role {
					query.Release = p.Release
				}
			}
			s.Queries, s.from = append(s.Queries, query), append(s.from, s.Snapshot.Counts[row.Key].From)
		}
	}
	if s.Snapshot.Hidden = hidden; hidden > 0 {
		s.Missing = fmt.Sprintf("the text of %s is hidden from role %s: GRANT pg_read_all_stats TO %s", statements(hidden), self, server.Identifier(self))
	}
	s.Snapshot.follow(past)
	return s, nil
}

// place finds the extension and whether it counts; the name of its view is "" when there is nothing to read.
func (s *Statistics) place(ctx context.Context, conn querier) (place string, err error) {
	var track string
	var silent []string
	const query = `SELECT coalesce((SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'), ''),
		coalesce((SELECT reset_val FROM pg_settings WHERE name = 'pg_stat_statements.track'), ''),
		(SELECT coalesce(array_agg(DISTINCT coalesce(r.rolname, 'all')::text), '{}') FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
			WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) AND 'pg_stat_statements.track=none' = ANY (s.setconfig))`
	if err := conn.QueryRow(ctx, query).Scan(&place, &track, &silent); err != nil {
		return "", err
	}
	switch {
	case track == "":
		s.Missing = "the server keeps no statistics of statements: pg_stat_statements is not in shared_preload_libraries"
		return "", nil
	case place == "":
		s.Missing = "the server keeps statistics of statements, and this database cannot read them: CREATE EXTENSION pg_stat_statements"
		return "", nil
	case track == "none":
		s.Missing = "the server counts no statements: pg_stat_statements.track is none"
	case len(silent) > 0:
		s.Missing = "statements are not counted for role " + strings.Join(silent, ", ") + ": pg_stat_statements.track is none there"
	}
	return place, nil
}

// times reads since when the server counts. Before version 14 it does not say: then it is since its start, which is the least that it can be.
func (s *Statistics) times(ctx context.Context, conn querier, place string) error {
	var info bool
	const query = "SELECT " + server.Mark + " pg_postmaster_start_time(), to_regclass($1) IS NOT NULL"
	view := server.Identifier(place, "pg_stat_statements_info")
	if err := conn.QueryRow(ctx, query, view).Scan(&s.Snapshot.Started, &info); err != nil {
		return err
	}
	if info {
		if err := conn.QueryRow(ctx, "SELECT dealloc, stats_reset FROM "+view).Scan(&s.Snapshot.Dropped, &s.Snapshot.Reset); err != nil {
			return err
		}
	}
	s.Snapshot.Since = latest(s.Snapshot.Started, s.Snapshot.Reset)
	if s.Snapshot.Dropped > 0 {
		s.Snapshot.Evicted = s.Snapshot.At
	}
	return nil
}

// row is one of pg_stat_statements.
type row struct {
	Key string
	// Role is nil for one that is gone: it sends nothing any more.
	Role, SQL *string
	Calls     int64
	Since     *time.Time
}

// rows reads the view.
func (s *Statistics) rows(ctx context.Context, conn querier, place string) ([]row, error) {
	view := server.Identifier(place, "pg_stat_statements")
	var level, since bool
	const columns = "SELECT coalesce(bool_or(attname = 'toplevel'), false), coalesce(bool_or(attname = 'stats_since'), false) FROM pg_attribute WHERE attrelid = $1::regclass"
	if err := conn.QueryRow(ctx, columns, view).Scan(&level, &since); err != nil {
		return nil, err
	}
	toplevel, began := "true", "NULL::timestamptz"
	if level {
		toplevel = "s.toplevel"
	}
	if since {
		began = "s.stats_since"
	}
	found, err := conn.Query(ctx, `SELECT s.userid || '/' || coalesce(s.queryid::text, '') || '/' || `+toplevel+` AS key, r.rolname::text AS role, s.query AS sql, s.calls, `+began+` AS since
		FROM `+view+` s LEFT JOIN pg_roles r ON r.oid = s.userid WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY s.calls DESC, 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[row])
}

// hidden says whether the text is kept from us.
func (r row) hidden() bool {
	return r.Role != nil && (r.SQL == nil || *r.SQL == "<insufficient privilege>")
}

// marked says whether it is one of those that Segue marks.
func (r row) marked() bool {
	return strings.Contains(*r.SQL, server.Mark) || strings.Contains(*r.SQL, server.MarkTeam) && r.Calls <= fewCalls
}

// own says whether nobody's need speaks from it: it is Segue's, or of a role that is gone.
func (r row) own(self string, tables map[string]bool) bool {
	return r.Role == nil || own(*r.SQL) || *r.Role == self && (r.marked() || looksUp(*r.SQL, tables))
}

// count says when the last call can have been. gapless says that no entry can have been lost and begun anew since the past: only then do as many calls
// as before mean that there was none.
func (r row) count(past Snapshot, gapless bool, now time.Time) Count {
	c := Count{Calls: r.Calls, Seen: now}
	known, ok := past.Counts[r.Key]
	switch {
	case ok && known.Calls == r.Calls && gapless:
		return known
	case ok && known.Calls == r.Calls:
		c.From = known.From
	case !past.At.IsZero():
		c.From = past.At // it is new since then, or was called again
	}
	if r.Since != nil {
		c.From = latest(c.From, *r.Since)
	}
	return c
}

// gapless says whether the server has lost no entry since the past. Before version 14 it does not say.
func (s *Snapshot) gapless(past Snapshot) bool {
	return !s.Reset.IsZero() && s.Reset.Equal(past.Reset) && s.Dropped == past.Dropped
}

// follow takes over what an earlier snapshot knew, unless the server has lost its statistics in between.
func (s *Snapshot) follow(past Snapshot) {
	if past.At.IsZero() {
		return
	}
	lost := false
	for key, was := range past.Counts {
		if is, ok := s.Counts[key]; !ok || is.Calls < was.Calls {
			lost = true
			break
		}
	}
	switch {
	case !s.Reset.Equal(past.Reset), !s.Started.Equal(past.Started) && lost:
		return
	case lost, s.Dropped != past.Dropped, past.Hidden > 0 && s.Reset.IsZero(): // what was hidden can be gone without a trace before version 14
		s.Since, s.Evicted = past.Since, s.At
	default:
		s.Since, s.Evicted = past.Since, past.Evicted
	}
}

// own says whether a statement is about Segue's schema.
func own(sql string) bool {
	tokens := read(sql).tokens
	for i, token := range tokens {
		if (token.Kind == sqltext.TokenWord || token.Kind == sqltext.TokenName) && token.Value() == "segue" && i+1 < len(tokens) && tokens[i+1].Text == "." {
			return true
		}
	}
	return false
}

func statements(n int) string {
	if n == 1 {
		return "1 statement"
	}
	return fmt.Sprintf("%d statements", n)
}

// self gives the role that Segue works as, which may be the application's as well, and the names of all tables and views but Segue's own and those of
// extensions.
func (s *Statistics) self(ctx context.Context, conn querier) (role string, tables map[string]bool, err error) {
	var names []string
	const query = `SELECT current_user::text, coalesce(array_agg(DISTINCT c.relname::text), '{}') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'segue')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`
	if err := conn.QueryRow(ctx, query).Scan(&role, &names); err != nil {
		return "", nil, err
	}
	tables = make(map[string]bool, len(names))
	for _, name := range names {
		tables[name] = true
	}
	return role, tables, nil
}

// looksUp says whether a statement reads the server's own catalogue and none of the tables: Segue does that all the time.
func looksUp(sql string, tables map[string]bool) bool {
	t := read(sql)
	found := false
	for i := range t.tokens {
		if !t.name(i) || !t.relation(i) {
			continue
		}
		if tables[t.at(i).Value()] {
			return false
		}
		found = found || strings.HasPrefix(t.at(i).Value(), "pg_")
	}
	return found && t.is(0, "select", "with")
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// readReplica reads the statistics of a standby.
func readReplica(ctx context.Context, url string, past Snapshot, releases []migration.Presence, now time.Time) (s Statistics, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return s, errors.New("the replica's URL cannot be read") // without the parser's words: they may quote the password
	}
	config.RuntimeParams["application_name"] = "segue"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return s, server.Explain("connect to the replica "+config.Host, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return ReadStatistics(ctx, conn, past, releases, now)
}
