package tap_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/tap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTapHearsWhatIsSent(t *testing.T) {
	t.Parallel()
	server := clustertest.Start(t, "")
	opened, err := tap.Listen(t.Context(), clustertest.Database(t, server))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	conn, err := pgx.Connect(t.Context(), opened.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE customers (id int, name text)"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO customers VALUES ($1, $2)", 1, "secret of a customer"); err != nil {
		t.Fatal(err)
	}
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT name FROM customers WHERE id = $1", 1).Scan(&name); err != nil || name != "secret of a customer" {
		t.Fatalf("through the tap: %q, %v", name, err)
	}
	heard, lost := opened.Statements()
	for _, want := range []string{"INSERT INTO customers VALUES ($1, $2)", "SELECT name FROM customers WHERE id = $1"} {
		if !slices.Contains(heard, want) {
			t.Errorf("not heard: %q; heard %q", want, heard)
		}
	}
	if lost != 0 || slices.ContainsFunc(heard, func(text string) bool { return text == "secret of a customer" }) {
		t.Errorf("heard %q, lost %d", heard, lost)
	}
}

func TestTapRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	if _, err := tap.Listen(t.Context(), "postgres://u:secret@host:port/x"); err == nil || slices.Contains([]byte(err.Error()), '@') {
		t.Errorf("error %v", err)
	}
}
