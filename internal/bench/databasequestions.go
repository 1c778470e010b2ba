package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/gate"
	"github.com/segue-deploy/segue/internal/migration/postgres/oracle"
	pgserver "github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// questionTables is how many tables the schema has on which statements are tried.
const questionTables = 50

// gateStatements is how many statements of the releases the gate is asked about.
const gateStatements = 400

// measureQuestions tells what it costs to find out what statements do, and what the statements of a release need.
func measureQuestions(ctx context.Context, t *Table, y *postgresYard) (err error) {
	address, drop, err := y.server.Database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the database goes next
	if _, err := conn.Exec(ctx, questionSchema()); err != nil {
		return err
	}
	s, err := pgserver.Open(ctx, pgserver.Config{URL: address})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := classify(ctx, t, s, conn); err != nil {
		return err
	}
	return askGate(ctx, t, s, conn)
}

// classify tries the commonest statements on copies, beside trying them without looking.
func classify(ctx context.Context, t *Table, s *pgserver.Server, conn *pgx.Conn) error {
	statements := questionStatements()
	began := time.Now()
	scratch, err := s.Scratch(ctx)
	if err != nil {
		return err
	}
	copied := time.Since(began)
	began = time.Now()
	facts, err := oracle.Classify(ctx, scratch, statements)
	took := time.Since(began)
	if err := errors.Join(err, scratch.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	for i, fact := range facts {
		if fact.Error != "" {
			return fmt.Errorf("classify %s: %s", statements[i], fact.Error)
		}
	}
	began = time.Now()
	for _, statement := range statements {
		if strings.Contains(statement, "CONCURRENTLY") {
			_, err = conn.Exec(ctx, statement)
		} else {
			_, err = conn.Exec(ctx, "BEGIN; "+statement+"; COMMIT", pgx.QueryExecModeSimpleProtocol)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	plain := time.Since(began)
	n := float64(len(statements))
	t.Add("databases.classify.copy", ms(copied), "ms", fmt.Sprintf("schema of %d tables, once per plan", questionTables))
	t.Add("databases.classify.segue", ms(took)/n, "ms/statement", fmt.Sprintf("%d statements of 9 sorts", len(statements)))
	t.Add("databases.classify.limit", ms(plain)/n, "ms/statement", "the same ones executed on empty tables without looking")
	t.Ratio("databases.classify.ratio", took.Seconds(), plain.Seconds(), "limit")
	return nil
}

// askGate asks whether a column may go, beside planning the same statements once.
func askGate(ctx context.Context, t *Table, s *pgserver.Server, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		t.Say("without pg_stat_statements: %v", err)
	}
	request := migration.GateRequest{
		Change: migration.Change{
			ID: "0003#2", Phase: migration.PhaseContract, Actions: []migration.Action{{SQL: "ALTER TABLE s7 DROP COLUMN price"}},
			Removes: []migration.Object{{Kind: migration.ObjectColumn, Table: "public.s7", Name: "price"}},
		},
		Releases: []migration.Presence{{Release: "v1", Order: 1, Running: []nouns.ServerName{"web-1"}}, {Release: "v2", Order: 2, Running: []nouns.ServerName{"web-2"}}},
		Brought:  "v2", Window: time.Nanosecond, Now: time.Now(),
	}
	keeper := gate.New(gate.Config{Server: s})
	few, err := keeper.Ask(ctx, request)
	if err != nil {
		return err
	}
	for i := range gateStatements {
		request.Recorded = append(request.Recorded, migration.Query{
			Release: nouns.ReleaseName(fmt.Sprintf("v%d", 1+i%2)), Source: "recorded",
			SQL: fmt.Sprintf("SELECT a.id, a.name, b.state FROM s%d a JOIN s%d b ON a.before = b.id WHERE a.amount > $1 AND a.id <> %d", i%questionTables, i/questionTables, i),
		})
	}
	many, err := keeper.Ask(ctx, request)
	if err != nil {
		return err
	}
	plain := time.Duration(0)
	for range 2 { // the second time, the server knows the tables
		began := time.Now()
		for i, q := range request.Recorded {
			name := fmt.Sprintf("q%d", i)
			if _, err := conn.Prepare(ctx, name, q.SQL); err != nil {
				return err
			}
			if err := conn.Deallocate(ctx, name); err != nil {
				return err
			}
		}
		plain = time.Since(began)
	}
	t.Add("databases.gate.fixed", ms(few.Took), "ms", fmt.Sprintf("copy of the schema of %d tables and %d statements of the server's own", questionTables, few.Statements))
	t.Add("databases.gate.segue", ms(many.Took-few.Took)/gateStatements, "ms/statement", fmt.Sprintf("%d more, each before and after the change; answer %s", many.Statements-few.Statements, many.Answer))
	t.Add("databases.gate.limit", ms(plain)/gateStatements, "ms/statement", "each prepared once")
	return nil
}

// questionStatements has nine sorts for each of ten tables.
func questionStatements() []string {
	const sorts = `ALTER TABLE %[1]s ADD COLUMN z int; ALTER TABLE %[1]s ALTER COLUMN amount TYPE bigint; ALTER TABLE %[1]s ALTER COLUMN state SET NOT NULL;
		CREATE INDEX %[1]s_z ON %[1]s (note); CREATE INDEX CONCURRENTLY %[1]s_y ON %[1]s (note);
		ALTER TABLE %[1]s ADD CONSTRAINT z CHECK (amount > 0) NOT VALID; ALTER TABLE %[1]s ADD CONSTRAINT y FOREIGN KEY (before) REFERENCES s0;
		CREATE TABLE %[1]s_new (id int PRIMARY KEY, other int REFERENCES %[1]s); UPDATE %[1]s SET amount = 1 WHERE note IS NULL`
	var all []string
	for i := range 10 {
		for statement := range strings.SplitSeq(fmt.Sprintf(sorts, fmt.Sprintf("s%d", 1+i*4)), ";") {
			all = append(all, strings.TrimSpace(statement))
		}
	}
	return all
}

// questionSchema has tables that refer to the one before, with four indexes each.
func questionSchema() string {
	var b strings.Builder
	for i := range questionTables {
		_, _ = fmt.Fprintf(&b, `CREATE TABLE s%[1]d (
  id int PRIMARY KEY, before int REFERENCES s%[2]d, name text NOT NULL, state text, amount int CHECK (amount >= 0), price numeric(10, 2), note text,
  made timestamptz NOT NULL DEFAULT now(), tags text[], extra jsonb);
CREATE INDEX ON s%[1]d (before); CREATE UNIQUE INDEX ON s%[1]d (name); CREATE INDEX ON s%[1]d (state, made);
`, i, max(i-1, 0))
	}
	return b.String()
}
