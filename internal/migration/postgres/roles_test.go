package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/migration/postgres"
)

// A release logs in as itself, may do what the group may, and its login goes with it.
func TestLoginPerRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE ROLE shop NOLOGIN`, `CREATE TABLE carts (id int PRIMARY KEY)`, `GRANT ALL ON carts TO shop`)
	driver := w.open(postgres.Config{Group: "shop", Prefix: "demo"})
	credentials, err := driver.Credentials(t.Context(), "v1.2")
	if err != nil {
		t.Fatal(err)
	}
	if credentials.Role != "demo_v1.2" {
		t.Errorf("the role is %q", credentials.Role)
	}
	conn, err := pgx.Connect(t.Context(), credentials.URL)
	if err != nil {
		t.Fatalf("log in as the release: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO carts VALUES (1)`); err != nil {
		t.Errorf("what the group may: %v", err)
	}
	if err := driver.Retire(t.Context(), "v1.2"); segue.KindOf(err) != segue.KindConflict {
		t.Errorf("retire while it is logged in: %v", err)
	}
	again, err := w.open(postgres.Config{Group: "shop", Prefix: "demo"}).Credentials(t.Context(), "v1.2")
	if err != nil || again != credentials {
		t.Errorf("the next controller gives other credentials: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	w.until(`SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'demo_v1.2'`)
	if err := driver.Retire(t.Context(), "v1.2"); err != nil {
		t.Error(err)
	}
	if w.get(`SELECT count(*) FROM pg_roles WHERE rolname = 'demo_v1.2'`) != "0" {
		t.Error("the role is still there")
	}
	w.exec(`DROP OWNED BY shop`, `DROP ROLE shop`)
}

// Of a role that may not make roles, the fault names the statement that would help.
func TestLoginWithoutPrivilege(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE ROLE shop NOLOGIN`, `CREATE ROLE deployer LOGIN PASSWORD 'x' CREATEDB`, `GRANT CREATE ON DATABASE `+w.database()+` TO deployer`)
	defer w.exec(`DROP OWNED BY deployer`, `DROP ROLE deployer`, `DROP ROLE shop`)
	driver := w.open(postgres.Config{Group: "shop"}, "deployer", "x")
	_, err := driver.Credentials(t.Context(), "v1")
	if err == nil || !strings.Contains(segue.HintOf(err), `ALTER ROLE "deployer" CREATEROLE`) {
		t.Errorf("error %v, hint %q", err, segue.HintOf(err))
	}
	server, err := driver.Inspect(t.Context())
	if err != nil || !strings.Contains(faultsOf(server.Faults), "CREATEROLE") {
		t.Errorf("%v, %v", server.Faults, err)
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
}

// What a contract removes is hidden from the applications' roles and from nobody else, and is there again in the moment in which it is asked for.
func TestBrownOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE ROLE shop LOGIN PASSWORD 'x'`, `CREATE TABLE customers (id int PRIMARY KEY, name text, email text)`, `GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO shop`)
	defer w.exec(`DROP OWNED BY shop`, `DROP ROLE shop`)
	app := w.connectAs("shop", "x")
	defer func() { _ = app.Close(context.WithoutCancel(t.Context())) }()
	driver := w.open(postgres.Config{})
	lease, err := driver.Lease(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := driver.Plan(t.Context(), migration.PlanRequest{Files: []migration.File{migrationtest.File("1", `ALTER TABLE customers DROP COLUMN email`)}, Release: "v2"})
	if err != nil || len(plan.Changes) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if err := lease.Record(t.Context(), "v2", plan); err != nil {
		t.Fatal(err)
	}
	id := plan.Changes[0].ID
	asker := lease.(interface {
		Asked(ctx context.Context, id migration.ChangeID) (string, error)
	})
	if err := lease.BrownOut(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if who, err := asker.Asked(t.Context(), id); who != "" || err != nil {
		t.Errorf("asked by %q, %v", who, err)
	}
	for statement, works := range map[string]bool{
		`SELECT id, name FROM customers`: true, `INSERT INTO customers (id, name) VALUES (1, 'a')`: true, `UPDATE customers SET name = 'b'`: true,
		`SELECT email FROM customers`: false, `SELECT * FROM customers`: false, `UPDATE customers SET email = ''`: false,
	} {
		if _, err := app.Exec(t.Context(), statement); (err == nil) != works {
			t.Errorf("%s: %v", statement, err)
		}
	}
	_, _ = app.Exec(t.Context(), `SELECT email FROM customers`)
	if who, err := asker.Asked(t.Context(), id); who == "" || err != nil {
		t.Errorf("somebody asked, and it is not seen: %q, %v", who, err)
	}
	if err := lease.Restore(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`SELECT * FROM customers`, `UPDATE customers SET email = ''`, `DELETE FROM customers`} {
		if _, err := app.Exec(t.Context(), statement); err != nil {
			t.Errorf("shown again, %s: %v", statement, err)
		}
	}
	if got := w.get(`SELECT count(*) FROM information_schema.column_privileges WHERE table_name = 'customers' AND grantee = 'shop'`); got != "9" {
		t.Errorf("%s column privileges of shop, want those that the table's give", got)
	}
	if err := lease.BrownOut(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Run(t.Context(), id, migration.RunOptions{}, func(migration.Progress) {}); err != nil {
		t.Error(err)
	}
	// What was given for the table is given for it again, and so for columns to come.
	w.exec(`ALTER TABLE customers ADD COLUMN phone text`)
	if _, err := app.Exec(t.Context(), `UPDATE customers SET phone = '1'`); err != nil {
		t.Errorf("a column that came later: %v", err)
	}
}
