package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/recipe"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// oldRelease is a session of a release that knows nothing of a change, and what its statements gave before it.
type oldRelease struct {
	*testing.T
	conn   *pgx.Conn
	before []string
}

// newOldRelease opens the session, prepares its statements, and sees that all of them work.
func newOldRelease(t *testing.T, address string) *oldRelease {
	t.Helper()
	r := &oldRelease{T: t, conn: connect(t, address)}
	for i, sql := range oldStatements {
		if !strings.Contains(sql, ";") {
			r.exec(fmt.Sprintf("PREPARE old%d AS %s", i, sql))
		}
	}
	r.exec("BEGIN")
	r.before = r.tell()
	r.exec("ROLLBACK")
	for i, told := range r.before {
		if strings.HasPrefix(told, "error: ") {
			t.Fatalf("%s: %s", oldStatements[i/2], told)
		}
	}
	return r
}

// tell runs every old statement, as it is and as it was prepared, and takes it back. It writes down what each gave: columns with their types and rows, or
// the error. Those up to one that fails go to the server together.
func (r *oldRelease) tell() (told []string) {
	r.Helper()
	var scripts []string
	for i, sql := range oldStatements {
		prepared := fmt.Sprint("EXECUTE old", i)
		if strings.Contains(sql, ";") {
			prepared = "SELECT"
		}
		scripts = append(scripts, sql, prepared)
	}
	for len(told) < len(scripts) {
		var all strings.Builder
		for _, sql := range scripts[len(told):] {
			all.WriteString("SAVEPOINT one; SET LOCAL ROLE app; " + sql + "; ROLLBACK TO one; RELEASE one;")
		}
		results, err := r.conn.PgConn().Exec(r.Context(), all.String()).ReadAll()
		from := 0
		for i, result := range results {
			if result.CommandTag.String() == "ROLLBACK" {
				told, from = append(told, written(results[from:i])), i+1
			}
		}
		if err != nil {
			told = append(told, "error: "+err.Error())
			r.exec("ROLLBACK TO one; RELEASE one")
		}
	}
	return told
}

func written(results []*pgconn.Result) string {
	var told strings.Builder
	for _, result := range results { // those of SAVEPOINT and the like have nothing
		for _, field := range result.FieldDescriptions {
			fmt.Fprintf(&told, "%s:%d:%d ", field.Name, field.DataTypeOID, field.TypeModifier)
		}
		for _, row := range result.Rows {
			fmt.Fprintf(&told, "%q", row)
		}
	}
	return told.String()
}

func (r *oldRelease) exec(sql string) {
	r.Helper()
	if _, err := r.conn.PgConn().Exec(context.WithoutCancel(r.Context()), sql).ReadAll(); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
}

// harm is what old statements met after a change: failed ones were refused, replanned ones only as prepared ones, once; differing ones gave other columns
// or rows.
type harm struct{ failed, replanned, differing []string }

func (h harm) any() bool { return len(h.failed)+len(h.replanned)+len(h.differing) > 0 }

func (h harm) String() string {
	return strings.Join(slices.Concat(h.failed, h.replanned, h.differing), "\n")
}

// after runs statements, and the old ones then, and takes all of it back. The error is the server's, that it does not run them.
func (r *oldRelease) after(statements []string) (found harm, ran error) {
	r.Helper()
	r.exec("BEGIN")
	defer r.exec("ROLLBACK")
	for _, sql := range statements {
		if _, err := r.conn.PgConn().Exec(r.Context(), sql).ReadAll(); err != nil {
			return harm{}, fmt.Errorf("%s: %w", sql, err)
		}
	}
	for i, told := range r.tell() {
		line := oldStatements[i/2] + "\n  was " + r.before[i] + "\n  now " + told
		switch {
		case told == r.before[i]:
		case strings.Contains(told, "cached plan must not change result type"):
			found.replanned = append(found.replanned, line)
		case strings.HasPrefix(told, "error: "):
			found.failed = append(found.failed, line)
		default:
			found.differing = append(found.differing, line)
		}
	}
	return found, nil
}

// remember reads the schema once: all that is tried is taken back.
func (s *session) remember(t *testing.T) {
	t.Helper()
	tx, err := s.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.known, err = readFacets(t.Context(), tx, nil, state{}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// classified is what becomes of a change.
type classified struct {
	changes []migration.Change
	faults  []migration.Fault
}

// classifyOn plans statements, each tried after those before it, and leaves the copy as it was.
func classifyOn(t *testing.T, s *session, catalog server.Catalog, statements []string) (c classified) {
	t.Helper()
	file := recipe.File{Version: "1"}
	for i, sql := range statements {
		facts, _, err := s.try(t.Context(), newText(sql), statements[:i], false)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		file.Statements = append(file.Statements, recipe.Statement{
			Statement: migration.Statement{ID: migration.MakeStatementID("1", i+1), SQL: sql}, Shape: sqltext.Parse(sqltext.Postgres, sql), Facts: facts,
		})
	}
	c.changes, c.faults, _ = recipe.Plan(recipe.Request{Files: []recipe.File{file}, Catalog: catalog, Release: "v2", Running: []segue.ReleaseName{"v1"}})
	return c
}

// verdict is the worst phase, "told" where it is expand with a caveat, "refused" for faults.
func (c classified) verdict() string {
	if len(c.faults) > 0 {
		return "refused"
	}
	worst := "expand"
	for _, change := range c.changes {
		told := slices.ContainsFunc(change.Caveats, func(caveat string) bool { return !strings.HasPrefix(caveat, "it is run as written: by its size") })
		switch {
		case change.Phase == migration.PhaseBreaking:
			return "breaking"
		case change.Phase == migration.PhaseContract:
			worst = "contract"
		case told && worst == "expand":
			worst = "told"
		}
	}
	return worst
}

// expansion is what runs while older releases do, in a form that a transaction can hold.
func (c classified) expansion() (statements []string) {
	for _, change := range c.changes {
		if change.Phase != migration.PhaseExpand {
			continue
		}
		for _, a := range change.Actions {
			statements = append(statements, strings.ReplaceAll(a.SQL, "CONCURRENTLY ", ""))
		}
	}
	return statements
}

func (c classified) String() string {
	var told strings.Builder
	for _, change := range c.changes {
		fmt.Fprintf(&told, "%s %s: %s (%s) %q\n", change.ID, change.Phase, change.Title, change.Why, change.Caveats)
	}
	return told.String() + fmt.Sprint(c.faults)
}

// TestOldReleasesLiveWithExpand holds the classification against the truth: for each change, what runs before the new release must not refuse anything that
// the old one sends, and what gives it other answers must be told. The other way round, what harms nobody should not be called breaking.
func TestOldReleasesLiveWithExpand(t *testing.T) {
	t.Parallel()
	address := database(t, clustertest.Start(t, ""), compatSchema)
	s, err := server.Open(t.Context(), server.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	catalog, err := s.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copied, old := &session{conn: scratchConn(t, copyOf(t, address))}, newOldRelease(t, address)
	copied.remember(t)
	strict, harmless := 0, 0
	for _, test := range compatCases() {
		name, want, _ := strings.Cut(test[0], ": ")
		statements := test[1:]
		c := classifyOn(t, copied, catalog, statements)
		got := c.verdict()
		if got != want {
			t.Errorf("%s: %s, want %s\n%s", name, got, want, c)
		}
		whole, refused := old.after(statements)
		found := whole
		switch expansion := c.expansion(); {
		case len(expansion) == 0:
			found = harm{}
		case !slices.Equal(expansion, statements):
			if found, err = old.after(expansion); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(found.failed) > 0 || found.any() && got == "expand" {
			t.Errorf("%s is %s, and harms an old release:\n%s\n%s", name, got, found, c)
		}
		if refused == nil && !whole.any() {
			harmless++
			if got == "breaking" || got == "refused" {
				strict++
				t.Logf("%s harms none of these statements, and is %s", name, got)
			}
		}
	}
	t.Logf("%d changes, %d of them harmless, %d of those breaking", len(compatCases()), harmless, strict)
	if strict*20 > harmless {
		t.Errorf("%d of %d harmless changes are called breaking", strict, harmless)
	}
}
