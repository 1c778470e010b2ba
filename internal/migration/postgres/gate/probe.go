package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// batch is how many statements are sent before their answers are read: a copy on another machine costs one round trip a batch.
const batch = 64

// planningPatience bounds the planning of one statement: a function that is called then could take for ever.
const planningPatience = "10s"

// outcome is what the server made of a statement, without running it.
type outcome struct {
	// columns of the result; types of the parameters, as OIDs.
	columns    []pgconn.FieldDescription
	parameters []uint32
	plan       *plan
	// code is SQLSTATE, "" where it works; message what the server said.
	code, message string
}

func (o outcome) works() bool { return o.code == "" }

// unreadable says whether the server could not read the statement, which tells nothing about what it needs: the statistics have put a parameter
// where none may be. planned is for what took too long, or for which there was no memory.
func (o outcome) unreadable() bool {
	switch o.code {
	case "42601", "42P18", "42725", "42803", "42P08", "42804", "42846", "42883", "42P02", "0A000", "22P02", "22023", "22007":
		return true
	default:
		return strings.HasPrefix(o.code, "53") || strings.HasPrefix(o.code, "57") || strings.HasPrefix(o.code, "XX")
	}
}

// prober tries statements on one connection to a scratch copy.
type prober struct {
	conn *pgx.Conn
	path string
	// tried counts statements, once for every schema and form.
	tried int
}

func newProber(ctx context.Context, conn *pgx.Conn) (*prober, error) {
	// A generic plan is made for parameters whatever they are: nothing is cut away because they are NULL here.
	_, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan; SET statement_timeout = '"+planningPatience+"'; SET client_min_messages = error; SET jit = off",
		pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, server.Explain("prepare to try statements", err)
	}
	// What is tried here would take the room of the applications' own statements, where this server is theirs. Only a superuser may keep it out.
	if _, err := conn.Exec(ctx, "SET pg_stat_statements.track = 'none'", pgx.QueryExecModeSimpleProtocol); err != nil && refusal(err) == nil {
		return nil, server.Explain("prepare to try statements", err)
	}
	return &prober{conn: conn}, nil
}

// look makes the copy look names up along a search path, "" for the database's own.
func (p *prober) look(ctx context.Context, path string) error {
	if path == p.path {
		return nil
	}
	statement := "RESET search_path"
	if path != "" {
		statement = "SET search_path = " + path
	}
	if _, err := p.conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("set search path: %w", err)
	}
	p.path = path
	return nil
}

// try prepares and plans statements. The server analyses a prepared one with its columns and types, and only the planner finds that an ON CONFLICT has no
// index to stand on. EXPLAIN EXECUTE does both in every version, and knows the types of parameters that EXPLAIN (GENERIC_PLAN) would infer again.
func (p *prober) try(ctx context.Context, statements []string) ([]outcome, error) {
	outcomes := make([]outcome, 0, len(statements))
	for len(statements) > 0 {
		n := min(batch, len(statements))
		found, err := p.batch(ctx, statements[:n])
		if err != nil {
			return nil, server.Explain("try statements", err)
		}
		outcomes, statements = append(outcomes, found...), statements[n:]
	}
	p.tried += len(outcomes)
	return outcomes, nil
}

func (p *prober) batch(ctx context.Context, statements []string) (outcomes []outcome, err error) {
	pipeline := p.conn.PgConn().StartPipeline(ctx)
	for i, sql := range statements {
		name := statementName(i)
		pipeline.SendDeallocate(name)
		pipeline.SendPipelineSync() // its own, so that an error after it leaves it alone
		pipeline.SendPrepare(name, sql, nil)
		pipeline.SendQueryParams(execution(name, read(sql).params), nil, nil, nil, nil)
		pipeline.SendPipelineSync()
	}
	if err := pipeline.Flush(); err != nil {
		return nil, errors.Join(err, pipeline.Close())
	}
	defer func() { err = errors.Join(err, pipeline.Close()) }()
	outcomes = make([]outcome, len(statements))
	for i := range statements {
		for range 2 {
			if err := collect(pipeline, &outcomes[i]); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}

// collect reads answers up to the next synchronisation.
func collect(pipeline *pgconn.Pipeline, o *outcome) error {
	for {
		result, err := pipeline.GetResults()
		if err == nil {
			switch result := result.(type) {
			case *pgconn.PipelineSync:
				return nil
			case *pgconn.StatementDescription:
				o.columns, o.parameters = result.Fields, result.ParamOIDs
				continue
			case *pgconn.ResultReader:
				read := result.Read()
				o.plan = &plan{}
				for _, row := range read.Rows {
					o.plan.text += string(row[0])
				}
				err = read.Err
			case nil:
				return errors.New("the server's answers ended early")
			}
		}
		if err == nil {
			continue
		}
		failure, ok := errors.AsType[*pgconn.PgError](err)
		if !ok {
			return err
		}
		o.code, o.message = failure.Code, failure.Message
	}
}

// needed asks the server which of some tables' columns, or which other objects, a statement depends on: as the body of a function it is analysed as it
// would be run, and the server writes down what it stands on (PostgreSQL 14 and later). known is false where it would not take the statement as such.
// This is what tells a name that only looks alike from one that would silently mean something else, once the thing is gone.
func (p *prober) needed(ctx context.Context, sql string, parameters []uint32, targets []target) (stands []target, known bool, err error) {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return nil, false, server.Explain("ask what a statement stands on", err)
	}
	defer func() {
		if failed := tx.Rollback(context.WithoutCancel(ctx)); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	var types string
	const named = "SELECT coalesce(string_agg(format_type(o, NULL), ', ' ORDER BY n), '') FROM unnest($1::oid[]) WITH ORDINALITY AS parameter(o, n)"
	if err := tx.QueryRow(ctx, named, parameters).Scan(&types); err != nil {
		return nil, false, server.Explain("ask what a statement stands on", err)
	}
	body := strings.TrimRight(strings.TrimSpace(sql), ";")
	create := "CREATE FUNCTION pg_temp.segue_needs(" + types + ") RETURNS void LANGUAGE sql BEGIN ATOMIC " + body + "\n; END"
	if _, err := tx.Exec(ctx, create, pgx.QueryExecModeSimpleProtocol); err != nil {
		if refusal(err) != nil {
			return nil, false, nil
		}
		return nil, false, server.Explain("ask what a statement stands on", err)
	}
	classes, oids, columns := make([]uint32, len(targets)), make([]uint32, len(targets)), make([]string, len(targets))
	for i, t := range targets {
		classes[i], oids[i], columns[i] = t.class, t.oid, t.column
	}
	const standsOn = `SELECT t.n FROM unnest($1::oid[], $2::oid[], $3::text[]) WITH ORDINALITY AS t(class, oid, attname, n)
		WHERE EXISTS (SELECT FROM pg_depend d JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND f.proname = 'segue_needs' AND f.pronamespace = pg_my_temp_schema()
			WHERE d.refclassid = t.class AND d.refobjid = t.oid
			  AND (t.attname = '' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attname = t.attname)))`
	rows, err := tx.Query(ctx, standsOn, classes, oids, columns)
	if err != nil {
		return nil, false, server.Explain("ask what a statement stands on", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, n := range found {
		stands = append(stands, targets[n-1])
	}
	return stands, true, server.Explain("ask what a statement stands on", err)
}
