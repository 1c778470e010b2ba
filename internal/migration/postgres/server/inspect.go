package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// statementsLibrary is the extension that keeps the statistics of statements.
const statementsLibrary = "pg_stat_statements"

// unseen stands for what the role may not see.
const unseen = "?"

// identity is what the server says of itself and of the role that asks.
type identity struct {
	Version    string
	Size       int64
	Standby    bool
	Role       string
	Database   string
	CreateDB   bool `db:"create_db"`
	Create     bool
	Monitor    bool
	Libraries  string
	Extension  bool
	Strangers  []string
	OwnerRoles []string `db:"owner_roles"`
}

// identify asks all of it at once. Strangers are tables that the role may not change, for it is no member of their owner.
const identify = `
SELECT current_setting('server_version') AS version,
       CASE WHEN has_database_privilege(current_database(), 'CONNECT') THEN pg_database_size(current_database()) ELSE 0 END AS size,
       pg_is_in_recovery() AS standby, current_user::text AS role, current_database()::text AS database,
       r.rolsuper OR r.rolcreatedb AS create_db,
       has_database_privilege(current_database(), 'CREATE') AS create,
       r.rolsuper OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS monitor,
       CASE WHEN r.rolsuper OR pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') THEN current_setting('shared_preload_libraries') ELSE '` + unseen + `' END AS libraries,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS extension,
       coalesce(stranger.tables, '{}') AS strangers, coalesce(stranger.owners, '{}') AS owner_roles
FROM pg_roles r,
     LATERAL (SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname) AS tables,
                     array_agg(DISTINCT c.relowner::regrole::text) AS owners
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT pg_has_role(current_user, c.relowner, 'USAGE') AND ` + userSchema + `
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) stranger
WHERE r.rolname = current_user`

// userSchema is a condition on n, a pg_namespace: those that hold the team's own objects.
const userSchema = `n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'segue')`

// Inspect says what server this is and what stands in the way of working with it.
func (s *Server) Inspect(ctx context.Context) (migration.Server, error) {
	rows, err := s.pool.Query(ctx, identify)
	if err != nil {
		return migration.Server{}, Explain("inspect the database", err)
	}
	who, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[identity])
	if err != nil {
		return migration.Server{}, Explain("inspect the database", err)
	}
	found := migration.Server{Product: "PostgreSQL", Version: who.Version, Size: who.Size, Standby: who.Standby}
	found.Faults = append(s.unfit(who), s.privileges(who)...)
	statistics, err := s.statistics(ctx, who, &found)
	if err != nil {
		return migration.Server{}, err
	}
	found.Faults = append(found.Faults, statistics...)
	return found, nil
}

// unfit lists what no privilege mends.
func (s *Server) unfit(who identity) (faults []migration.Fault) {
	if s.version < oldest {
		faults = append(faults, fault("PostgreSQL "+who.Version+" is older than 13", "Upgrade the server: nothing older is tested, or kept up by its makers."))
	}
	if who.Standby {
		faults = append(faults, fault("the server is a standby in recovery: it cannot be changed",
			"Name the primary, or name all servers and add target_session_attrs=read-write to the URL."))
	}
	if s.shared {
		faults = append(faults, fault("a pooler in transaction mode (PgBouncer: pool_mode = transaction) stands between: the lease and the locks of a change "+
			"would be lost between two transactions", "Give the address of the server itself, or of a pool with pool_mode = session."))
	}
	return faults
}

// privileges lists what the role lacks, with the statement that gives it.
func (s *Server) privileges(who identity) (faults []migration.Fault) {
	role, database := Identifier(who.Role), Identifier(who.Database)
	if !who.Create {
		faults = append(faults, fault("role "+who.Role+" may not make schemas in "+who.Database+", and the journal of changes is kept in one",
			"GRANT CREATE ON DATABASE "+database+" TO "+role))
	}
	if len(who.Strangers) > 0 {
		grants := make([]string, 0, len(who.OwnerRoles))
		for _, owner := range who.OwnerRoles {
			grants = append(grants, "GRANT "+owner+" TO "+role) // regrole has quoted it
		}
		faults = append(faults, fault("role "+who.Role+" is not the owner of "+some(who.Strangers)+": only the owner can change a table", strings.Join(grants, "; ")))
	}
	if !who.CreateDB && s.config.ScratchURL == "" {
		faults = append(faults, fault("role "+who.Role+" may not make databases: statements are tried on a local server where one of the same version is installed",
			"ALTER ROLE "+role+" CREATEDB"))
	}
	if !who.Monitor {
		faults = append(faults, fault("role "+who.Role+" sees neither the statements of other roles nor what their sessions do", "GRANT pg_read_all_stats TO "+role))
	}
	return faults
}

// statistics says whether the server keeps statistics of statements, since when, and how to switch them on.
func (s *Server) statistics(ctx context.Context, who identity, found *migration.Server) ([]migration.Fault, error) {
	switch {
	case who.Libraries != unseen && !strings.Contains(who.Libraries, statementsLibrary):
		return []migration.Fault{fault("the server keeps no statistics of statements: what releases need cannot be seen",
			"Add pg_stat_statements to shared_preload_libraries in postgresql.conf and restart the server; then CREATE EXTENSION pg_stat_statements")}, nil
	case !who.Extension:
		return []migration.Fault{fault("the extension pg_stat_statements is not in this database: what releases need cannot be seen",
			"CREATE EXTENSION pg_stat_statements")}, nil
	}
	view, err := s.statementsSchema(ctx)
	if err != nil {
		return nil, Explain("inspect the database", err)
	}
	// The time of the last reset is kept from version 14 on.
	since := "NULL::timestamptz"
	if s.version >= 140000 {
		since = "(SELECT stats_reset FROM " + Identifier(view, "pg_stat_statements_info") + ")"
	}
	var began *time.Time
	query := fmt.Sprintf("SELECT %s FROM (SELECT FROM %s LIMIT 1) any_statement", since, Identifier(view, statementsLibrary))
	err = s.pool.QueryRow(ctx, query).Scan(&began)
	if code(err) == "55000" { // the extension is there, and the library was not loaded at start
		return []migration.Fault{fault("pg_stat_statements is not loaded: what releases need cannot be seen",
			"Add it to shared_preload_libraries in postgresql.conf and restart the server.")}, nil
	}
	if err != nil {
		return nil, Explain("inspect the database", err)
	}
	found.Statements = true
	if began != nil {
		found.StatementsSince = began.UTC()
	}
	return nil, nil
}

// statementsSchema is where the extension's views are.
func (s *Server) statementsSchema(ctx context.Context) (schema string, err error) {
	err = s.pool.QueryRow(ctx, "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1", statementsLibrary).Scan(&schema)
	return schema, err
}

func fault(message, hint string) migration.Fault {
	return migration.Fault{Message: message, Hint: hint}
}

// some names the first few of many.
func some(names []string) string {
	const few = 3
	if len(names) <= few+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
