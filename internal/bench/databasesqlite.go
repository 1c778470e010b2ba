package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/sqlite"
)

// sqliteYard makes SQLite databases in WAL mode, as an application opens them.
type sqliteYard struct {
	dir  string
	made int
}

// make implements yard.
func (y *sqliteYard) make(ctx context.Context, orders int) (d *database, err error) {
	model := filepath.Join(y.dir, fmt.Sprintf("orders-%d.db", orders))
	if _, missing := os.Stat(model); missing != nil {
		if err := y.model(ctx, model, orders); err != nil {
			return nil, err
		}
	}
	y.made++
	path := filepath.Join(y.dir, fmt.Sprintf("%d.db", y.made))
	if err := copyProgram(model, path); err != nil {
		return nil, err
	}
	app, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	return &database{
		orders: orders,
		app:    app,
		ask:    strings.NewReplacer("$1", "?", "$2", "?").Replace,
		open: func(ctx context.Context) (migration.Driver, error) {
			return sqlite.Open(ctx, sqlite.Config{Path: path})
		},
		drop: func() error { return errors.Join(app.Close(), os.Remove(path)) },
	}, nil
}

// model fills the database that the others are copies of.
func (y *sqliteYard) model(ctx context.Context, path string, orders int) error {
	db, err := openSQLite(path)
	if err != nil {
		return err
	}
	_, err = timed(ctx, db, "CREATE TABLE orders "+ordersTable, fmt.Sprintf(`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO orders (id, name, amount, customer, note) SELECT i, 'Order ' || i, i %% 100, 1 + i %% 1000, 'n' FROM n`, orders), "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(err, db.Close())
}

func openSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(writerCount + 1)
	return db, nil
}
