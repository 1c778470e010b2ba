package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/segue-deploy/segue"
)

const (
	// poolSize is small: Segue looks, and works on one connection of its own at a time.
	poolSize = 4
	// dialTimeout bounds one try to connect.
	dialTimeout = 5 * time.Second
	// oldest is the first version that all of the driver works with: scratch copies need DROP DATABASE ... WITH (FORCE).
	oldest = 130000
)

// Config says where the server is. URL and ScratchURL are secrets.
type Config struct {
	URL string
	// ApplicationName is shown in pg_stat_activity; "" means "segue".
	ApplicationName string
	// ScratchURL is a server for scratch copies, "" for the server itself or else a local one.
	ScratchURL string
}

// Server is a PostgreSQL server and one database on it.
type Server struct {
	config Config
	pool   *pgxpool.Pool
	// pooled says that a connection pooler stands between; shared that it gives every transaction another session.
	pooled, shared bool
	version        int
}

// Open connects. KindUnavailable when the server does not answer, KindInvalid when the URL is none or the login is refused.
func Open(ctx context.Context, config Config) (*Server, error) {
	parsed, err := pgxpool.ParseConfig(config.URL)
	if err != nil || torn(parsed.ConnConfig) {
		// Without the parser's words: they quote what they cannot read, and that may be a part of the password.
		return nil, segue.Errorf(segue.KindInvalid, "the database's URL cannot be read").
			WithHint("It is written postgres://user:password@host:port/database; in the password, : / ? # @ %% are written %%3A %%2F %%3F %%23 %%40 %%25.")
	}
	parsed.MaxConns = poolSize
	parsed.ConnConfig.ConnectTimeout = min(dialTimeout, cmp.Or(parsed.ConnConfig.ConnectTimeout, dialTimeout))
	parsed.ConnConfig.RuntimeParams["application_name"] = cmp.Or(config.ApplicationName, "segue")
	s := &Server{config: config}
	if err := s.look(ctx, parsed.ConnConfig); err != nil {
		return nil, Explain("connect to the database", err)
	}
	if s.pooled {
		// A prepared statement would be looked for in another session than the one that has it.
		parsed.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	}
	parsed.AfterConnect = s.quieten
	if s.pool, err = pgxpool.NewWithConfig(ctx, parsed); err != nil {
		return nil, Explain("connect to the database", err)
	}
	return s, nil
}

// torn says whether a part of the password, of which an @ was not escaped, was taken for something else: it would be shown with that.
func torn(config *pgx.ConnConfig) bool {
	parts := append(make([]string, 0, 2+len(config.Fallbacks)), config.Host, config.Database)
	for _, other := range config.Fallbacks {
		parts = append(parts, other.Host)
	}
	return slices.ContainsFunc(parts, func(part string) bool { return strings.ContainsRune(part, '@') })
}

// look connects once, to see what is at the other end.
func (s *Server) look(ctx context.Context, config *pgx.ConnConfig) (err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid(), current_setting('server_version_num')::int").Scan(&pid, &s.version); err != nil {
		return err
	}
	// The server itself names the process that serves the connection; a pooler makes up a number of its own.
	if s.pooled = pid != conn.PgConn().PID(); s.pooled {
		s.shared, err = sharesSessions(ctx, conn, config)
	}
	return err
}

// sharesSessions says whether a pooler hands a connection another session for every transaction. The first connection holds its session in a transaction,
// and another one has to take a second session. Once the first is free it is the one that was used last, which poolers hand out next.
func sharesSessions(ctx context.Context, holder *pgx.Conn, config *pgx.ConnConfig) (shared bool, err error) {
	// A pooler with one session only lets the second connection wait for ever: that is sharing, too.
	short, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := holder.Exec(ctx, "BEGIN"); err != nil {
		return false, err
	}
	other, err := pgx.ConnectConfig(short, config)
	if err != nil {
		return ctx.Err() == nil, ctx.Err()
	}
	defer func() { err = errors.Join(err, other.Close(context.WithoutCancel(ctx))) }()
	var before, after uint32
	if err := other.QueryRow(short, "SELECT pg_backend_pid()").Scan(&before); err != nil {
		return ctx.Err() == nil, ctx.Err()
	}
	if _, err := holder.Exec(ctx, "COMMIT"); err != nil {
		return false, err
	}
	err = other.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&after)
	return before != after, err
}

// Version is server_version_num ("150018").
func (s *Server) Version() int { return s.version }

// Pool is for short questions; work that depends on its session takes a connection of its own.
func (s *Server) Pool() *pgxpool.Pool { return s.pool }

// Conn makes a connection of the caller's own, outside of the pool. The caller closes it.
func (s *Server) Conn(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, Explain("connect to the database", err)
	}
	return conn, s.quieten(ctx, conn)
}

// quieten keeps what Segue does itself out of the server's statistics of statements, where it may: they are asked what applications need. A pooler
// would hand the setting on to whoever gets the session next.
func (s *Server) quieten(ctx context.Context, conn *pgx.Conn) error {
	if !s.pooled {
		_, _ = conn.Exec(ctx, "SET pg_stat_statements.track = 'none'") // a superuser may; others' statements are told by what they read
	}
	return nil
}

// Marks stand in statements of Segue's own that work on the team's tables, so that the statistics do not take them for an application's, which may log in
// with the same role.
const (
	// Mark is for statements in a form that nobody else sends.
	Mark = "/* segue */"
	// MarkTeam is for what may be an application's word for word (the team's migrations, counts of rows), and then has one line in the statistics with it.
	MarkTeam = "/* segue migration */"
)

// Marked puts a mark behind the first word: what stands before a statement is not kept by the statistics of PostgreSQL 18.
func Marked(mark, sql string) string {
	begin := len(sql) - len(strings.TrimLeft(sql, " \t\r\n"))
	end := begin
	for end < len(sql) && (sql[end] >= 'a' && sql[end] <= 'z' || sql[end] >= 'A' && sql[end] <= 'Z') {
		end++
	}
	if end == begin { // a comment or a bracket
		return sql
	}
	return sql[:end] + " " + mark + sql[end:]
}

// Close ends the connections of the pool.
func (s *Server) Close() { s.pool.Close() }

// Identifier quotes names for SQL: `"public"."customers"`.
func Identifier(names ...string) string { return pgx.Identifier(names).Sanitize() }

// Literal quotes a text for SQL, whatever standard_conforming_strings says.
func Literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
