package runner

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// Trigger functions of tables whose columns this transaction has changed. xmin is of the transaction that wrote a row of the catalogue.
const selectStale = `SELECT DISTINCT p.oid::regprocedure::text, p.procost::text, pg_has_role(p.proowner, 'USAGE')
	FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
	WHERE t.tgrelid = ANY ($1) AND NOT t.tgisinternal
		AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.tgrelid AND a.attnum > 0 AND a.xmin = pg_current_xact_id()::xid)
	ORDER BY 1`

// renew makes sessions forget what they have prepared of trigger functions, where the columns of a table were changed. A session that has fired one before
// keeps the types that the row had ("type of parameter 18 (bigint) does not match that when preparing the plan"), and would fail every write from then on,
// until it ends. A row of pg_proc that is written anew, with nothing else in it, makes it read the function again.
func (r *run) renew(ctx context.Context, tx pgx.Tx, locks []tableLock) error {
	var tables []uint32
	for _, lock := range locks {
		if lock.mode == migration.LockAccessExclusive {
			tables = append(tables, lock.oid)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, selectStale, tables)
	if err != nil {
		return err
	}
	var statements, strangers []string
	var name, cost string
	var mine bool
	_, err = pgx.ForEachRow(rows, []any{&name, &cost, &mine}, func() error {
		if mine {
			statements = append(statements, "ALTER FUNCTION "+name+" COST "+cost)
		} else {
			strangers = append(strangers, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(strangers) > 0 {
		r.cost.Note = "sessions that have fired " + strings.Join(strangers, ", ") + " may have to connect again: another role owns it"
	}
	if len(statements) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, strings.Join(statements, "; "), pgx.QueryExecModeSimpleProtocol)
	return err
}
