package gate

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// TableMemory keeps snapshots in a table of Segue's own schema. Before that is there, nothing is kept.
type TableMemory struct{ Server *server.Server }

// Load implements Memory.
func (m TableMemory) Load(ctx context.Context, name string) (snapshot Snapshot, err error) {
	if there, err := m.there(ctx, "segue.snapshot"); err != nil || !there {
		return snapshot, err
	}
	err = m.Server.Pool().QueryRow(ctx, `SELECT body FROM "segue"."snapshot" WHERE name = $1`, name).Scan(&snapshot)
	if errors.Is(err, pgx.ErrNoRows) {
		return Snapshot{}, nil
	}
	return snapshot, server.Explain("load snapshot", err)
}

// Save implements Memory.
func (m TableMemory) Save(ctx context.Context, name string, snapshot Snapshot) error {
	there, err := m.there(ctx, "segue.snapshot")
	if err == nil && !there {
		if made, err := m.make(ctx); err != nil || !made {
			return err
		}
	}
	if err != nil {
		return err
	}
	const save = `INSERT INTO "segue"."snapshot" (name, body) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = excluded.body`
	_, err = m.Server.Pool().Exec(ctx, save, name, snapshot)
	return server.Explain("save snapshot", err)
}

// make makes the table, if there is a schema for it.
func (m TableMemory) make(ctx context.Context) (made bool, err error) {
	var schema bool
	if err := m.Server.Pool().QueryRow(ctx, "SELECT to_regnamespace('segue') IS NOT NULL").Scan(&schema); err != nil || !schema {
		return false, server.Explain("save snapshot", err)
	}
	// Two at once can both find it missing: IF NOT EXISTS is no lock.
	const create = `BEGIN; SELECT pg_advisory_xact_lock(hashtext('segue.snapshot')); CREATE TABLE IF NOT EXISTS "segue"."snapshot" (name text PRIMARY KEY, body jsonb NOT NULL); COMMIT`
	if _, err := m.Server.Pool().Exec(ctx, create, pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, server.Explain("save snapshot", err)
	}
	return true, nil
}

func (m TableMemory) there(ctx context.Context, table string) (there bool, err error) {
	err = m.Server.Pool().QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there)
	return there, server.Explain("look for snapshots", err)
}
