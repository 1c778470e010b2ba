package gate

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// dependents reads what stands on the targets and would keep the server from removing them: views, parsed bodies of functions, generated columns,
// policies, foreign keys of other tables. What goes with them unasked (own indexes, own constraints) is said as a ground.
func (a *asking) dependents(ctx context.Context) (blocking []string, err error) {
	if a.related, err = relatedNames(ctx, a.prober.conn, a.targets); err != nil {
		return nil, err
	}
	var along []string
	for _, t := range a.gone() {
		rows, err := a.prober.conn.Query(ctx, `SELECT regexp_replace(pg_describe_object(d.classid, d.objid, d.objsubid), '^rule \S+ on ', ''), bool_or(d.deptype IN ('a', 'i', 'P', 'S'))
			FROM pg_depend d LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refclassid = $4::oid
			WHERE d.refclassid = $1::oid AND d.refobjid = $2::oid AND ($3 = '' OR a.attname = $3)
			  AND NOT (d.classid = d.refclassid AND d.objid = d.refobjid AND d.objsubid = 0)
			  AND NOT EXISTS (SELECT FROM pg_depend own WHERE own.classid = d.classid AND own.objid = d.objid AND own.refclassid = d.refclassid AND own.refobjid = d.refobjid
				AND own.deptype IN ('a', 'i') AND $3 = '' AND own.objid <> d.refobjid)
			  AND d.classid <> 'pg_type'::regclass AND NOT (d.classid = 'pg_attrdef'::regclass AND d.deptype IN ('a', 'i')) GROUP BY 1 ORDER BY 1`, t.class, t.oid, t.column, classRelation)
		if err != nil {
			return nil, server.Explain("read dependencies", err)
		}
		var text string
		var automatic bool
		if _, err := pgx.ForEachRow(rows, []any{&text, &automatic}, func() error {
			if automatic {
				along = append(along, text)
			} else {
				blocking = append(blocking, text)
			}
			return nil
		}); err != nil {
			return nil, server.Explain("read dependencies", err)
		}
	}
	if len(along) > 0 {
		slices.Sort(along)
		a.ground(checkDependencies, migration.AnswerSafe, "%s goes with it", strings.Join(slices.Compact(along), ", "))
	}
	slices.Sort(blocking)
	return slices.Compact(blocking), nil
}

// gone are the targets that are not there any more afterwards.
func (a *asking) gone() []target {
	return slices.DeleteFunc(slices.Clone(a.targets), func(t target) bool {
		switch t.object.Kind {
		case migration.ObjectWrite, migration.ObjectDefault, migration.ObjectIndex, migration.ObjectConstraint, migration.ObjectTrigger:
			return true
		default:
			return false
		}
	})
}

// cascaded says what CASCADE takes along that the change did not own up to.
func (a *asking) cascaded(dependents []string) {
	cascade := slices.ContainsFunc(a.request.Change.Actions, func(action migration.Action) bool { return read(action.SQL).names("cascade") })
	found := false
	for _, text := range dependents {
		owned := slices.ContainsFunc(a.request.Change.Removes, func(o migration.Object) bool {
			return read(text).names(o.Name[strings.LastIndex(o.Name, ".")+1:])
		})
		if cascade && !owned {
			found = true
			a.ground(checkDependencies, migration.AnswerUnsafe, "%s needs it, and CASCADE would take it along", text)
		}
	}
	if !found {
		a.ground(checkDependencies, migration.AnswerSafe, "no view, function, policy or constraint keeps the server from it")
	}
}

// relatedNames gives the names of views that read the targets, over any number of steps.
func relatedNames(ctx context.Context, conn querier, targets []target) (map[string]bool, error) {
	names := map[string]bool{}
	for _, t := range targets {
		if t.class != classRelation {
			continue
		}
		rows, err := conn.Query(ctx, `WITH RECURSIVE above(oid) AS (SELECT $1::oid
				UNION SELECT r.ev_class FROM above a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid AND d.classid = 'pg_rewrite'::regclass
					JOIN pg_rewrite r ON r.oid = d.objid)
			SELECT c.relname::text FROM above JOIN pg_class c USING (oid) WHERE c.oid <> $1::oid`, t.oid)
		if err != nil {
			return nil, server.Explain("read views", err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, server.Explain("read views", err)
		}
		for _, name := range found {
			names[name] = true
		}
	}
	return names, nil
}

// slots looks at those who read the table's changes: consumers of logical replication, which no statement shows, and standbys, whose statements another
// server counts.
func (a *asking) slots(ctx context.Context) error {
	pool := a.config.Server.Pool()
	readers := []string{}
	for _, t := range a.gone() {
		if t.class != classRelation {
			continue
		}
		// A plugin other than pgoutput asks no publication: it reads every table.
		const query = `WITH published AS (SELECT pubname::text AS name FROM pg_publication_tables WHERE schemaname = $1 AND tablename = $2)
			SELECT DISTINCT 'slot ' || s.slot_name || coalesce(' by publication ' || p.name, '') FROM pg_replication_slots s
				LEFT JOIN published p ON s.plugin = 'pgoutput' WHERE s.slot_type = 'logical' AND s.database = current_database() AND (s.plugin <> 'pgoutput' OR p.name IS NOT NULL)`
		rows, err := pool.Query(ctx, query, t.schema, t.name)
		if err != nil {
			return server.Explain("look at replication slots", err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return server.Explain("look at replication slots", err)
		}
		readers = append(readers, found...)
		var named int
		const lists = `SELECT count(*) FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
			WHERE d.classid = 'pg_publication_rel'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass($1) AND a.attname = $2`
		if err := pool.QueryRow(ctx, lists, server.Identifier(t.schema, t.name), t.column).Scan(&named); err != nil {
			return server.Explain("look at publications", err)
		}
		if named > 0 {
			a.ground(checkSlots, migration.AnswerUnsafe, "a publication names %s.%s", t.full(), t.column)
		}
	}
	slices.Sort(readers)
	answer := a.config.Slots
	if answer == "" {
		answer = migration.AnswerUnknown
	}
	for _, reader := range slices.Compact(readers) {
		a.ground(checkSlots, answer, "changes of the table are read by %s", reader)
	}
	if len(readers) == 0 {
		a.ground(checkSlots, migration.AnswerSafe, "no logical replication reads it")
	}
	return nil
}

// replicas reads what standbys were asked.
func (a *asking) replicas(ctx context.Context) error {
	var standbys int
	const query = `SELECT count(*) FROM pg_stat_replication WHERE application_name NOT IN ('pg_basebackup', 'pg_receivewal')
		AND pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL)`
	if err := a.config.Server.Pool().QueryRow(ctx, query).Scan(&standbys); err != nil {
		return server.Explain("look for replicas", err)
	}
	if missing := standbys - len(a.config.Replicas); missing > 0 {
		a.ground(checkReplicas, migration.AnswerUnknown, "%d of %d replicas cannot be asked: what is sent to them is not seen from here", missing, standbys)
	}
	for i, url := range a.config.Replicas {
		name := replicaName(i)
		statistics, err := a.readReplica(ctx, name, url)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			a.ground(checkReplicas, migration.AnswerUnknown, "%s does not answer: %v", name, err)
			continue
		}
		a.silence(checkReplicas, name+": ", statistics)
	}
	return nil
}
