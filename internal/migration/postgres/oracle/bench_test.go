package oracle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// BenchmarkClassify is what a statement costs on the copy of a schema of fifty tables with two hundred indexes: as one of a file with every sort, and for
// single sorts, each with the one that takes it back. The copy itself, which a plan needs once, is apart.
func BenchmarkClassify(b *testing.B) {
	address := database(b, start(b, ""), shopSchema(50))
	kinds := []struct{ name, statements string }{
		{"column", "ALTER TABLE %[1]s ADD COLUMN z int; ALTER TABLE %[1]s DROP COLUMN z"},
		{"type", "ALTER TABLE %[1]s ALTER COLUMN amount TYPE bigint; ALTER TABLE %[1]s ALTER COLUMN amount TYPE int"},
		{"not_null", "ALTER TABLE %[1]s ALTER COLUMN state SET NOT NULL; ALTER TABLE %[1]s ALTER COLUMN state DROP NOT NULL"},
		{"index", "CREATE INDEX z ON %[1]s (note); DROP INDEX z"},
		{"index_concurrently", "CREATE INDEX CONCURRENTLY z ON %[1]s (note); DROP INDEX CONCURRENTLY z"},
		{"check", "ALTER TABLE %[1]s ADD CONSTRAINT z CHECK (amount > 0) NOT VALID; ALTER TABLE %[1]s VALIDATE CONSTRAINT z; ALTER TABLE %[1]s DROP CONSTRAINT z"},
		{"foreign_key", "ALTER TABLE %[1]s ADD CONSTRAINT z FOREIGN KEY (amount) REFERENCES s0; ALTER TABLE %[1]s DROP CONSTRAINT z"},
		{"table", "CREATE TABLE z (id int PRIMARY KEY, other int REFERENCES %[1]s); DROP TABLE z"},
		{"rows", "UPDATE %[1]s SET amount = 1 WHERE note IS NULL; DELETE FROM %[1]s WHERE amount = 2"},
	}
	var all []string
	for _, kind := range kinds {
		all = append(all, kind.statements)
	}
	bench := func(name, statements string) {
		b.Run(name, func(b *testing.B) {
			scratch := copyOf(b, address)
			files := make([][]string, 50)
			for i := range files {
				files[i] = strings.Split(fmt.Sprintf(strings.Repeat(statements+"; ", 10), fmt.Sprintf("s%d", i)), "; ")
				files[i] = files[i][:len(files[i])-1]
			}
			for i := 0; b.Loop(); i++ {
				for n, fact := range classify(b, scratch, files[i%len(files)]...) {
					if fact.Error != "" {
						b.Fatal(files[i%len(files)][n], fact.Error)
					}
				}
			}
			spent := float64(b.Elapsed()) / float64(b.N*len(files[0]))
			b.ReportMetric(spent, "ns/statement")
			b.ReportMetric(1e9/spent, "statements/s")
			b.ReportMetric(0, "ns/op") // leaves it out
		})
	}
	bench("mix", strings.Join(all, "; "))
	for _, kind := range kinds {
		bench(kind.name, kind.statements)
	}
	b.Run("copy", func(b *testing.B) {
		s, err := server.Open(b.Context(), server.Config{URL: address})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		for b.Loop() {
			scratch, err := s.Scratch(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if err := scratch.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// shopSchema has tables that refer to the one before, with four indexes each.
func shopSchema(tables int) string {
	var b strings.Builder
	for i := range tables {
		fmt.Fprintf(&b, `CREATE TABLE s%[1]d (
  id int PRIMARY KEY, before int REFERENCES s%[2]d, name text NOT NULL, state text, amount int CHECK (amount >= 0), price numeric(10, 2), note text,
  made timestamptz NOT NULL DEFAULT now(), tags text[], extra jsonb);
CREATE INDEX ON s%[1]d (before); CREATE UNIQUE INDEX ON s%[1]d (name); CREATE INDEX ON s%[1]d (state, made);
`, i, max(i-1, 0))
	}
	return b.String()
}
