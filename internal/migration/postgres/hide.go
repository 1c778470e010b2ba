package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// hider takes privileges away from whoever is no superuser.
type hider struct{}

// Hide implements runner.Hider. A column is hidden by giving the privileges on the table for every other column instead. KindUnsupported when a change
// removes neither a column nor a table, or nobody could be kept from it.
func (hider) Hide(ctx context.Context, tx pgx.Tx, change migration.Change) (restore []string, err error) {
	columns := map[string][]string{}
	var tables []string
	for _, object := range change.Removes {
		switch object.Kind {
		case migration.ObjectColumn:
			if !slices.Contains(tables, object.Table) {
				columns[object.Table] = append(columns[object.Table], object.Name)
			}
		case migration.ObjectTable, migration.ObjectView:
			tables = append(tables, object.Name)
			delete(columns, object.Name)
		default:
		}
	}
	var hide []string
	for _, table := range tables {
		grants, err := grantsOn(ctx, tx, table)
		if err != nil {
			return nil, err
		}
		for _, g := range grants {
			hide = append(hide, fmt.Sprintf("REVOKE %s ON %s FROM %s", g.privilege, g.table, g.role))
			restore = append(restore, fmt.Sprintf("GRANT %s ON %s TO %s", g.privilege, g.table, g.role))
		}
	}
	for table, names := range columns {
		away, back, err := hideColumns(ctx, tx, table, names)
		if err != nil {
			return nil, err
		}
		hide, restore = append(hide, away...), append(restore, back...)
	}
	if len(hide) == 0 {
		return nil, unsupported("%s cannot be hidden first: only columns and tables can, from roles that are no superusers", change.Title)
	}
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '200ms'"); err != nil {
		return nil, err
	}
	for _, statement := range hide {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return nil, server.Explain("hide", err)
		}
	}
	return restore, nil
}

// grant is a privilege on a table, with names as SQL has them.
type grant struct{ table, role, privilege string }

// grantsOn gives the privileges that can be taken away from somebody.
func grantsOn(ctx context.Context, tx pgx.Tx, table string) ([]grant, error) {
	const list = `SELECT c.oid::regclass::text, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END, a.privilege_type
		FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a LEFT JOIN pg_roles r ON r.oid = a.grantee
		WHERE c.oid = to_regclass($1) AND NOT coalesce(r.rolsuper, false) AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES')
		ORDER BY 2, 3`
	rows, err := tx.Query(ctx, list, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (g grant, err error) {
		return g, row.Scan(&g.table, &g.role, &g.privilege)
	})
}

// hideColumns gives what hides columns of a table, and what shows them again.
func hideColumns(ctx context.Context, tx pgx.Tx, table string, names []string) (hide, restore []string, err error) {
	grants, err := grantsOn(ctx, tx, table)
	if err != nil {
		return nil, nil, err
	}
	var left string
	const others = `SELECT coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($2)`
	if err := tx.QueryRow(ctx, others, table, names).Scan(&left); err != nil {
		return nil, nil, err
	}
	for _, g := range grants {
		if g.privilege == "DELETE" {
			continue // it has no columns
		}
		hide = append(hide, fmt.Sprintf("REVOKE %s ON %s FROM %s", g.privilege, g.table, g.role))
		if left != "" {
			hide = append(hide, fmt.Sprintf("GRANT %s (%s) ON %s TO %s", g.privilege, left, g.table, g.role))
			restore = append(restore, fmt.Sprintf("REVOKE %s (%s) ON %s FROM %s", g.privilege, left, g.table, g.role))
		}
		restore = append(restore, fmt.Sprintf("GRANT %s ON %s TO %s", g.privilege, g.table, g.role))
	}
	return hide, restore, nil
}

// Restore implements migration.Lease. What could not be hidden cannot be shown.
func (l *lease) Restore(ctx context.Context, id migration.ChangeID) (err error) {
	if err := l.Lease.Restore(ctx, id); err != nil {
		return err
	}
	state, err := l.change(ctx, id)
	if err != nil {
		return err
	}
	tx, err := l.driver.server.Pool().Begin(ctx)
	if err != nil {
		return server.Explain("show "+string(id), err)
	}
	defer func() { err = errors.Join(err, rollback(ctx, tx)) }()
	if _, err := (hider{}).Hide(ctx, tx, state.Change); segue.KindOf(err) == segue.KindUnsupported {
		return err
	}
	return nil
}

func (l *lease) change(ctx context.Context, id migration.ChangeID) (migration.ChangeState, error) {
	journal, err := l.driver.runner.Read(ctx)
	if err != nil {
		return migration.ChangeState{}, err
	}
	i := slices.IndexFunc(journal.Changes, func(s migration.ChangeState) bool { return s.Change.ID == id })
	if i < 0 {
		return migration.ChangeState{}, segue.Errorf(segue.KindNotFound, "change %s is not recorded in the database", id)
	}
	return journal.Changes[i], nil
}

// Asked says who asked for what a change hides, since it is hidden: a session whose latest statement names it. "" for nobody. The server shows of each
// session the latest statement alone, so this is asked often, and what is missed fails at the application and is seen there.
func (l *lease) Asked(ctx context.Context, id migration.ChangeID) (who string, err error) {
	state, err := l.change(ctx, id)
	if err != nil || !state.Hidden {
		return "", err
	}
	// What names both a column and its table, in either order.
	var names []string
	for _, object := range state.Change.Removes {
		word := `\m` + regexp.QuoteMeta(object.Name) + `\M`
		switch table := object.Table[strings.LastIndexByte(object.Table, '.')+1:]; object.Kind {
		case migration.ObjectColumn:
			table = `\m` + regexp.QuoteMeta(table) + `\M`
			names = append(names, word+".*"+table, table+".*"+word)
		case migration.ObjectTable, migration.ObjectView:
			names = append(names, `\m`+regexp.QuoteMeta(object.Name[strings.LastIndexByte(object.Name, '.')+1:])+`\M`)
		default:
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	const latest = `SELECT coalesce(usename, '?') || ' from ' || coalesce(nullif(application_name, ''), host(client_addr), 'a local session')
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name NOT LIKE 'segue%'
		AND query_start >= $1 AND query ~* ANY ($2) LIMIT 1`
	rows, err := l.driver.server.Pool().Query(ctx, latest, state.Since.Add(-time.Millisecond), names)
	if err != nil {
		return "", server.Explain("look who asks for "+string(id), err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(found) == 0 {
		return "", server.Explain("look who asks for "+string(id), err)
	}
	return found[0], nil
}
