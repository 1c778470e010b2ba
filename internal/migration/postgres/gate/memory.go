package gate

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// TableMemory keeps snapshots in a table of Segue's own schema, which must be there.
type TableMemory struct{ Server *server.Server }

// Load implements Memory.
func (m TableMemory) Load(ctx context.Context, name string) (snapshot Snapshot, err error) {
	var there bool
	if err := m.Server.Pool().QueryRow(ctx, "SELECT to_regclass('segue.snapshot') IS NOT NULL").Scan(&there); err != nil || !there {
		return snapshot, server.Explain("load snapshot", err)
	}
	err = m.Server.Pool().QueryRow(ctx, `SELECT body FROM "segue"."snapshot" WHERE name = $1`, name).Scan(&snapshot)
	if errors.Is(err, pgx.ErrNoRows) {
		return Snapshot{}, nil
	}
	return snapshot, server.Explain("load snapshot", err)
}

// Save implements Memory.
func (m TableMemory) Save(ctx context.Context, name string, snapshot Snapshot) error {
	const create = `CREATE TABLE IF NOT EXISTS "segue"."snapshot" (name text PRIMARY KEY, body jsonb NOT NULL)`
	if _, err := m.Server.Pool().Exec(ctx, create); err != nil {
		return server.Explain("save snapshot", err)
	}
	const save = `INSERT INTO "segue"."snapshot" (name, body) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = excluded.body`
	_, err := m.Server.Pool().Exec(ctx, save, name, snapshot)
	return server.Explain("save snapshot", err)
}
