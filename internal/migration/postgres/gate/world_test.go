package gate

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a database with the schema of testdata/world.sql, and a gate of it.
type world struct {
	*testing.T
	url  string
	conn *pgx.Conn
	gate *Gatekeeper
}

// newWorld makes one on a server of its own, with settings.
func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	return openWorld(t, clustertest.Start(t, "", settings...))
}

func openWorld(t *testing.T, c *cluster.Cluster) *world {
	t.Helper()
	w := &world{T: t, url: clustertest.Database(t, c)}
	w.conn = w.connect(w.url)
	schema, err := os.ReadFile("testdata/world.sql")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(string(schema))
	w.gate = w.keeper(Config{})
	return w
}

// keeper makes another gate of the database.
func (w *world) keeper(config Config) *Gatekeeper {
	w.Helper()
	s, err := server.Open(w.Context(), server.Config{URL: w.url})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(s.Close)
	config.Server = s
	return New(config)
}

func (w *world) connect(url string) *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), url)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.Context())) })
	return conn
}

func (w *world) exec(statements ...string) {
	w.Helper()
	for _, statement := range statements {
		if _, err := w.conn.Exec(w.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			w.Fatalf("%.200s: %v", statement, err)
		}
	}
}

// until asks a question of the database until the answer is yes.
func (w *world) until(query string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := w.conn.QueryRow(ctx, query).Scan(&yes); err != nil {
			w.Fatalf("waiting for %s: %v", query, err)
		}
		if yes {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("never true: %s", query)
		}
	}
}
