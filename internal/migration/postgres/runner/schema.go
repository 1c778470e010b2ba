package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
)

// Schema is where Segue keeps its own tables, in the team's database.
const Schema = "segue"

// scripts make the tables; the number of those that were run is in the table format. Never change one: add another.
func scripts() []string {
	return []string{`
CREATE TABLE "segue"."format" (one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL);
INSERT INTO "segue"."format" (version) VALUES (0);
CREATE TABLE "segue"."lease" (
	one boolean PRIMARY KEY DEFAULT true CHECK (one), token bigint NOT NULL, holder text NOT NULL, since timestamptz NOT NULL);
INSERT INTO "segue"."lease" (token, holder, since) VALUES (0, '', now());
CREATE TABLE "segue"."change" (
	seq bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, phase text NOT NULL, release text NOT NULL, format integer NOT NULL, body jsonb NOT NULL,
	status text NOT NULL, recorded timestamptz NOT NULL, began timestamptz, ended timestamptz, error text NOT NULL DEFAULT '', progress jsonb,
	report jsonb, hidden timestamptz, restore jsonb, forgiver text NOT NULL DEFAULT '', reason text NOT NULL DEFAULT '');
CREATE TABLE "segue"."action" (
	change text NOT NULL REFERENCES "segue"."change" (id), ordinal integer NOT NULL, sum text NOT NULL, began timestamptz NOT NULL, done timestamptz,
	cost jsonb, PRIMARY KEY (change, ordinal));
CREATE TABLE "segue"."file" (
	version text PRIMARY KEY, format integer NOT NULL, body jsonb NOT NULL, history jsonb NOT NULL, complete timestamptz);
COMMENT ON SCHEMA "segue" IS 'Journal of database changes, kept by Segue. Do not edit: what is not written here is done again.';
`, `
CREATE TABLE "segue"."folder" (one boolean PRIMARY KEY DEFAULT true CHECK (one), versions jsonb NOT NULL);
CREATE TABLE "segue"."login" (role text PRIMARY KEY, release text NOT NULL UNIQUE, password text NOT NULL, made timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE "segue"."login" IS 'Logins that Segue made for releases. Their passwords are for the owner of this table alone.';
`}
}

// querier is a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// checkSchema says whether the tables are there. Those of a newer Segue are refused: what it means by them is not known.
func checkSchema(ctx context.Context, q querier) (there bool, err error) {
	const find = `SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'segue' AND c.relname = 'format')`
	if err := q.QueryRow(ctx, find).Scan(&there); err != nil || !there {
		return false, err
	}
	version, err := readVersion(ctx, q)
	return err == nil && version > 0, err
}

func readVersion(ctx context.Context, q querier) (version int, err error) {
	if err := q.QueryRow(ctx, `SELECT version FROM "segue"."format"`).Scan(&version); err != nil {
		return 0, err
	}
	if known := len(scripts()); version > known {
		return 0, segue.Errorf(segue.KindUnsupported, `schema "segue" of this database has format %d, and this Segue knows up to %d`, version, known).
			WithHint("a newer Segue has worked on this database: use that one, or a newer one still")
	}
	return version, nil
}

// makeSchema makes the tables, or brings them to this format. The caller is the only one at it.
func makeSchema(ctx context.Context, conn *pgx.Conn) error {
	var named, tables bool
	const find = `SELECT to_regnamespace('segue') IS NOT NULL, to_regclass('segue.format') IS NOT NULL`
	if err := conn.QueryRow(ctx, find).Scan(&named, &tables); err != nil {
		return err
	}
	if !named {
		if _, err := conn.Exec(ctx, `CREATE SCHEMA "segue"`); err != nil {
			return noCreate(ctx, conn, err)
		}
	}
	version := 0
	if tables {
		var err error
		if version, err = readVersion(ctx, conn); err != nil {
			return err
		}
	}
	for i, script := range scripts() {
		if i < version {
			continue
		}
		statement := fmt.Sprintf(`BEGIN; %s; UPDATE "segue"."format" SET version = %d; COMMIT`, script, i+1)
		if err := conn.PgConn().Exec(ctx, statement).Close(); err != nil {
			// What was begun ends with the rollback; that it fails means that the connection is gone, and the transaction with it.
			_, _ = conn.Exec(ctx, "ROLLBACK")
			return noCreate(ctx, conn, err)
		}
	}
	return nil
}

// noCreate gives the GRANT that is missing for Segue's own tables.
func noCreate(ctx context.Context, conn *pgx.Conn, cause error) error {
	failure, ok := errors.AsType[*pgconn.PgError](cause)
	if !ok || failure.Code != codeInsufficientPrivilege {
		return cause
	}
	var database, role string
	var named bool
	const who = `SELECT current_database(), current_user, to_regnamespace('segue') IS NOT NULL`
	if err := conn.QueryRow(ctx, who).Scan(&database, &role, &named); err != nil {
		return errors.Join(cause, err)
	}
	grant := fmt.Sprintf("CREATE SCHEMA segue AUTHORIZATION %s", quote(role))
	if named {
		grant = fmt.Sprintf("GRANT ALL ON SCHEMA segue TO %s", quote(role))
	}
	return segue.Errorf(segue.KindInvalid, "make Segue's own tables in database %s: %w", database, cause).
		WithHint("run once, as its owner: %s; -- or: GRANT CREATE ON DATABASE %s TO %s", grant, quote(database), quote(role))
}

// quote is the one place where an identifier gets into SQL.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// qualify writes a name in a schema.
func qualify(schema, name string) string { return quote(schema) + "." + quote(name) }

// shorten brings a statement to one short line.
func shorten(statement string) string {
	const most = 80
	line := []rune(strings.Join(strings.Fields(statement), " "))
	if len(line) <= most {
		return string(line)
	}
	return string(line[:most-1]) + "…"
}

// Prepare makes Segue's own tables, or brings them to this format, unless somebody who has the lease does.
func (r *Runner) Prepare(ctx context.Context) (err error) {
	conn, err := r.config.Connect(ctx)
	if err != nil {
		return explain("make Segue's own tables", err)
	}
	defer func() { err = explain("make Segue's own tables", errors.Join(err, shut(ctx, conn))) }()
	there, err := checkSchema(ctx, conn)
	if err != nil {
		return err
	}
	if there {
		version, err := readVersion(ctx, conn)
		if err != nil || version == len(scripts()) {
			return err
		}
	}
	var have bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, lockObject).Scan(&have); err != nil || !have {
		return err
	}
	return makeSchema(ctx, conn)
}
