package oracle

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/segue-deploy/segue/internal/migration"
)

// testOrder: statements see what those before them left, roles included, and none of what they do to roles stays on the server.
func testOrder(t *testing.T, address string) {
	t.Helper()
	type facts = migration.Facts
	steps := []struct {
		sql  string
		want facts
	}{
		{"ALTER TABLE t ADD COLUMN c int", facts{Locks: locks{"t": ax}}},
		{"CREATE INDEX CONCURRENTLY t_c ON t (c)", facts{Locks: locks{"t": sux}, Scanned: []string{"t"}, Built: []string{"t_c"}, Alone: true}},
		{"ALTER INDEX t_c RENAME TO t_cc", facts{Locks: locks{"t_c": sux}}},
		{"CREATE INDEX CONCURRENTLY k ON kept (id)", facts{
			Locks: locks{"kept": sh, "kept_1": sh, "kept_rest": sh}, Scanned: []string{"kept_1", "kept_rest"}, Alone: true,
			Built: []string{"kept_1_id_idx", "kept_rest_id_idx"}, Error: `cannot create index on partitioned table "kept" concurrently`,
		}},
		{"ALTER INDEX k RENAME TO kk", facts{Locks: locks{"k": sux}}},
		{"DEALLOCATE ALL", facts{}},
		{"CREATE ROLE segue_oracle_app", facts{}},
		{"GRANT SELECT ON t TO segue_oracle_app", facts{}},
		{"ALTER TABLE t OWNER TO segue_oracle_app", facts{Locks: locks{"t": ax, "t_a": ax, "t_cc": ax, "t_pkey": ax}}},
		{"CREATE POLICY own ON t TO segue_oracle_app USING (true)", facts{Locks: locks{"t": ax}}},
		{"ALTER POLICY own ON t USING (false)", facts{Locks: locks{"t": ax}}},
		{"ALTER TABLE t ALTER COLUMN c TYPE bigint", facts{
			Locks: locks{"t": ax, "t_a": ax, "t_cc": ax, "t_pkey": ax}, Rewritten: []string{"t"}, Scanned: []string{"t"}, Built: []string{"t_a", "t_cc", "t_pkey"},
		}},
		{"CREATE ROLE segue_oracle_app", facts{Error: `role "segue_oracle_app" already exists`}},
		{"DROP TABLE t", facts{Locks: locks{"t": ax, "t_a": ax, "t_cc": ax, "t_pkey": ax}}},
		{"GRANT SELECT ON kept TO segue_oracle_app", facts{}},
		{"SET LOCAL search_path = far", facts{}},
		{"DROP TABLE away", facts{Locks: locks{"away": ax, "away_pkey": ax}}},
	}
	statements := make([]string, len(steps))
	for i, step := range steps {
		statements[i] = step.sql
	}
	for i, got := range classify(t, copyOf(t, address), statements...) {
		if diff := gocmp.Diff(steps[i].want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(migration.Facts{}, "Effects")); diff != "" {
			t.Errorf("%s (- want, + got)\n%s", steps[i].sql, diff)
		}
	}
	if left := query[string](t, connect(t, address), "SELECT rolname::text FROM pg_roles WHERE rolname ~ '^segue_oracle'"); len(left) > 0 {
		t.Errorf("%s is left on the server", strings.Join(left, ", "))
	}
}

// testDeletes: what a DELETE does in tables that refer to its own.
func testDeletes(t *testing.T, address string) {
	t.Helper()
	scratch := copyOf(t, address)
	below := locks{"shop": rx, "shop_pkey": rx, "item": rx, "item_pkey": rx, "item_shop": rx, "piece": rx, "note": rs, "note_text": rs}
	for sql, want := range map[string]migration.Facts{
		"DELETE FROM shop WHERE id = 1":                                   {Locks: below, Scanned: []string{"note", "piece"}},
		"WITH gone AS (DELETE FROM shop RETURNING id) SELECT FROM gone":   {Locks: below, Scanned: []string{"note", "piece", "shop"}},
		"DELETE FROM piece USING item WHERE item.id = piece.item":         {Locks: locks{"piece": rx}, Scanned: []string{"piece"}},
		"UPDATE shop SET id = id WHERE id = 1":                            {Locks: locks{"shop": rx, "shop_pkey": rx}},
		`INSERT INTO shop VALUES (1) ON CONFLICT (id) DO UPDATE SET id=2`: {Locks: locks{"shop": rx, "shop_pkey": rx}},
	} {
		got := classify(t, scratch, sql)[0]
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(migration.Facts{}, "Effects")); diff != "" {
			t.Errorf("%s (- want, + got)\n%s", sql, diff)
		}
	}
}
