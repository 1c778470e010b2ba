package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib" // "pgx", for the application's connections

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
)

// postgresDatabases does what is done with PostgreSQL, on a throw-away server; nothing, and says so, where none is installed.
func postgresDatabases(ctx context.Context, t *Table, full bool) error {
	settings := map[string]string{"shared_buffers": "256MB", "max_wal_size": "2GB"}
	server, err := cluster.Start(ctx, cluster.Options{Settings: settings})
	if nouns.KindOf(err) == nouns.KindUnavailable {
		t.Say("PostgreSQL is left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer server.Stop(context.WithoutCancel(ctx)) //nolint:errcheck // a throw-away server
	y := &postgresYard{server: server}
	sizes := []int{smallTable, upper(full)}
	if full {
		sizes = append(sizes, hugeTable)
	}
	t.Say("PostgreSQL is a server of its own with fsync off: rows per second are higher than on a disk that syncs, ratios are not.")
	if err := (backfillBench{table: t, label: "databases.postgres", yard: y, unpaced: full}).measure(ctx, sizes...); err != nil {
		return err
	}
	if err := measureLocks(ctx, t, y, upper(full)); err != nil {
		return err
	}
	return measureQuestions(ctx, t, y)
}

// postgresYard makes databases on one server.
type postgresYard struct {
	server *cluster.Cluster
	made   int
}

// make implements yard.
func (y *postgresYard) make(ctx context.Context, orders int) (*database, error) {
	admin, err := sql.Open("pgx", y.server.URL("postgres"))
	if err != nil {
		return nil, err
	}
	model := fmt.Sprintf("orders_%d", orders)
	var there bool
	if err := admin.QueryRowContext(ctx, "SELECT count(*) > 0 FROM pg_database WHERE datname = $1", model).Scan(&there); err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	if !there {
		if err := y.model(ctx, admin, model, orders); err != nil {
			return nil, errors.Join(err, admin.Close())
		}
	}
	y.made++
	name := fmt.Sprintf("bench_%d", y.made)
	if _, err := timed(ctx, admin, "CREATE DATABASE "+name+" TEMPLATE "+model, "CHECKPOINT"); err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	app, err := sql.Open("pgx", y.server.URL(name))
	if err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	app.SetMaxIdleConns(writerCount + 1)
	return &database{
		orders: orders,
		app:    app,
		ask:    func(statement string) string { return statement },
		open: func(ctx context.Context) (migration.Driver, error) {
			return postgres.Open(ctx, postgres.Config{URL: y.server.URL(name)})
		},
		drop: func() error {
			closed := app.Close()
			_, err := timed(context.WithoutCancel(ctx), admin, "DROP DATABASE "+name+" WITH (FORCE)")
			return errors.Join(closed, err, admin.Close())
		},
	}, nil
}

// model fills the database that the others are copies of.
func (y *postgresYard) model(ctx context.Context, admin *sql.DB, name string, orders int) error {
	if _, err := timed(ctx, admin, "CREATE DATABASE "+name); err != nil {
		return err
	}
	db, err := sql.Open("pgx", y.server.URL(name))
	if err != nil {
		return err
	}
	_, err = timed(ctx, db, "CREATE TABLE orders "+ordersTable, "CREATE TABLE customers (id integer PRIMARY KEY)", "INSERT INTO customers SELECT generate_series(1, 1000)",
		fmt.Sprintf(`INSERT INTO orders (id, name, amount, customer, note) SELECT i, 'Order ' || i, i %% 100, 1 + i %% 1000, 'n' FROM generate_series(1, %d) i`, orders),
		"VACUUM ANALYZE orders", "VACUUM ANALYZE customers")
	return errors.Join(err, db.Close())
}
