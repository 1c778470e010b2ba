package postgres_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
)

// world is a database of its own, and the application's connections.
type world struct {
	*testing.T
	url string
	app *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, clustertest.Start(t, ""))
}

func newWorldOn(t *testing.T, c *cluster.Cluster) *world {
	t.Helper()
	w := &world{T: t, url: clustertest.Database(t, c)}
	var err error
	if w.app, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.app.Close)
	return w
}

// open gives a driver, under another login than the owner's where one is given.
func (w *world) open(config postgres.Config, login ...string) *postgres.Driver {
	w.Helper()
	config.URL = w.url
	if len(login) > 0 {
		config.URL = w.as(login[0], login[1])
	}
	driver, err := postgres.Open(context.Background(), config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = driver.Close() })
	return driver
}

// as is the database's address for another role.
func (w *world) as(role, password string) string {
	address, err := url.Parse(w.url)
	if err != nil {
		w.Fatal(err)
	}
	address.User = url.UserPassword(role, password)
	return address.String()
}

func (w *world) connectAs(role, password string) *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.as(role, password))
	if err != nil {
		w.Fatal(err)
	}
	return conn
}

func (w *world) exec(statements ...string) {
	w.Helper()
	for _, statement := range statements {
		if _, err := w.app.Exec(context.WithoutCancel(w.Context()), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			w.Errorf("%s: %v", statement, err)
		}
	}
}

func (w *world) get(query string) (text string) {
	w.Helper()
	if err := w.app.QueryRow(w.Context(), "SELECT ("+query+")::text").Scan(&text); err != nil {
		w.Errorf("%s: %v", query, err)
	}
	return text
}

// until waits for the database to say so.
func (w *world) until(query string) {
	w.Helper()
	for w.get(query) != "true" && !w.Failed() {
		w.exec("SELECT pg_sleep(0.01)")
	}
}

func (w *world) database() string { return w.get("SELECT quote_ident(current_database())") }

func faultsOf(faults []migration.Fault) string {
	var all strings.Builder
	for _, fault := range faults {
		all.WriteString(fault.Message + " " + fault.Hint + "\n")
	}
	return all.String()
}

func TestSuite(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	migrationtest.Suite(t, func(t *testing.T) migrationtest.Subject {
		t.Helper()
		w := newWorldOn(t, c)
		return migrationtest.Subject{
			Open: func(t *testing.T) migration.Driver { t.Helper(); return w.open(postgres.Config{}) },
			Steal: func(t *testing.T) {
				t.Helper()
				// A server that takes the holder for dead ends its connections.
				const end = `SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
				if _, err := w.app.Exec(t.Context(), end); err != nil {
					t.Fatal(err)
				}
				thief, err := w.open(postgres.Config{}).Lease(context.Background(), "thief")
				if err != nil {
					t.Fatal(err)
				}
				if err := thief.Release(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			Exec: func(ctx context.Context, statement string) error {
				_, err := w.app.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
				return err
			},
			Query: func(ctx context.Context, query string) (text string, err error) {
				err = w.app.QueryRow(ctx, "SELECT ("+strings.TrimSuffix(query, ";")+")::text").Scan(&text)
				return text, err
			},
			History: migration.History{Format: "dbmate", Table: "schema_migrations"},
			Applied: func(ctx context.Context) ([]string, error) {
				text := ""
				err := w.app.QueryRow(ctx, "SELECT coalesce(string_agg(version, ' ' ORDER BY version), '') FROM schema_migrations").Scan(&text)
				return strings.Fields(text), err
			},
		}
	})
}
