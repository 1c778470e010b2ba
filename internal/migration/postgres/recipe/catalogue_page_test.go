package recipe

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/migration"
)

// lastMeasured is the newest major version that operations were measured on.
const lastMeasured = 18

// pageSections order the page, by the beginnings of what operations are called in the matrix; the first that fits takes one.
var pageSections = []struct {
	title string
	of    []string
}{
	{"Adding a column", []string{"add_col", "part_addcol"}},
	{"Changing or dropping a column", []string{"drop_col", "rename_col", "set_", "drop_", "add_nn_nv", "val_nn", "add_identity", "multi_alter"}},
	{"Changing a type", []string{"ty_"}},
	{"Constraints", []string{"chk", "fk", "uq", "pk", "excl", "con_"}},
	{"Indexes", []string{"idx", "reindex", "cic", "dic", "ric"}},
	{"Partitions", []string{"part_"}},
	{"Tables", []string{"tab_", "lock_t", "vacuum"}},
	{"Rows", []string{"upd_", "del_"}},
	{"Views", []string{"view", "matview"}},
	{"Types, domains, sequences", []string{"enum", "dom", "seq"}},
	{"The rest", []string{""}},
}

// pageOmits are operations that say nothing to a reader that another one does not.
var pageOmits = []string{
	"ty_fk_col",      // int to bigint once more
	"tab_tablespace", // to the tablespace that the table is in
}

// before corrects names: the matrix was read afterwards, with new names of what was renamed, with what was made, and without what was dropped.
var before = map[string]struct {
	named   map[string]string // after and before; "" for what nobody knew, or what says nothing to a reader
	dropped string
	emptied bool // no rewrite, but a new file with nothing in it
}{
	"tab_create":     {named: map[string]string{"nt": "", "nt_pkey": ""}},
	"tab_rename":     {named: map[string]string{"t_new": "t"}},
	"tab_unlogged":   {named: map[string]string{"emp": ""}}, // the empty one of two
	"tab_drop":       {dropped: "emp"},
	"tab_drop_fk":    {dropped: "t2"},
	"tab_drop_casc":  {dropped: "t"},
	"tab_trunc":      {emptied: true},
	"tab_trunc_casc": {emptied: true},
	"idx_rename":     {named: map[string]string{"t_a2": "t_a"}},
	"matview":        {named: map[string]string{"mv": ""}},
	"part_create":    {named: map[string]string{"pt3": ""}},
	"part_drop":      {dropped: "pt1"},
	"view_drop":      {dropped: "vw"},
}

// aloneFacts are of what runs outside of transactions, whose locks are gone with it: the oracle's tests look at them while it runs.
var aloneFacts = map[string]migration.Facts{
	"cic":         {Locks: map[string]migration.Lock{"t": migration.LockShareUpdateExclusive}, Scanned: []string{"t"}, Built: []string{"i1"}},
	"cic_part":    {Error: "partitioned tables have no such thing"},
	"dic":         {Locks: map[string]migration.Lock{"t": migration.LockShareUpdateExclusive}},
	"ric":         {Locks: map[string]migration.Lock{"t": migration.LockShareUpdateExclusive}, Scanned: []string{"t"}, Built: []string{"t_a"}},
	"vacuum":      {Locks: map[string]migration.Lock{"t": migration.LockShareUpdateExclusive}, Scanned: []string{"t"}},
	"vacuum_full": {Locks: map[string]migration.Lock{"t": migration.LockAccessExclusive}, Rewritten: []string{"t"}, Built: []string{"t_a"}},
}

// The page for people is the catalogue as it is.
func TestPageIsFresh(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join("..", "..", "..", "..", "..", "docs", "database-catalogue.md"), page(t))
	if t.Failed() {
		t.Log("`make gen` writes it anew")
	}
}

// The catalogue says of every operation what the oracle's matrix says, on every version.
func TestCatalogueIsMeasured(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "oracle", "testdata", "pg_lock_matrix.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Ops []struct {
			ID    string
			Since map[string]struct {
				Locks              map[string]string
				Rewritten, Scanned []string
				Error              string
			}
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	own := map[string]operation{}
	for _, o := range readMatrix(t).Operations {
		own[o.ID] = o
	}
	for _, o := range m.Ops {
		versions := slices.Sorted(maps.Keys(o.Since))
		latest, facts := o.Since[versions[len(versions)-1]], own[o.ID].Facts
		if got := fmt.Sprint(own[o.ID].since()); got != versions[len(versions)-1] {
			t.Errorf("%s: since %s, and was measured since %s", o.ID, got, versions[len(versions)-1])
		}
		locks := map[string]string{}
		for name, lock := range facts.Locks {
			locks[name] = strings.ReplaceAll(lock.String(), " ", "")
		}
		for name, lock := range latest.Locks {
			latest.Locks[name] = strings.ToLower(lock)
		}
		for _, diff := range []string{
			cmp.Diff(len(latest.Locks), len(locks)), cmp.Diff(sorted(latest.Rewritten), sorted(facts.Rewritten)), cmp.Diff(sorted(latest.Scanned), sorted(facts.Scanned)),
			cmp.Diff(latest.Error != "", facts.Error != ""),
		} {
			if diff != "" {
				t.Errorf("%s (- oracle, + here):\n%s", o.ID, diff)
			}
		}
		for name, lock := range locks {
			if latest.Locks[name] != lock {
				t.Errorf("%s: %s is locked %q, and was measured %q", o.ID, name, lock, latest.Locks[name])
			}
		}
	}
}

func sorted(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), " ") }

func page(t *testing.T) string {
	t.Helper()
	byVersion := map[int][]Entry{}
	for major := firstMeasured; major <= lastMeasured; major++ {
		entries, err := Catalogue(major * 10000)
		if err != nil {
			t.Fatal(err)
		}
		byVersion[major] = entries
	}
	m := readMatrix(t)
	sections := make([][]row, len(pageSections))
	var all []row
	for i, entry := range byVersion[lastMeasured] {
		if slices.Contains(pageOmits, entry.ID) {
			continue
		}
		made := newRow(entry, relationsOf(m, m.Operations[i]))
		made.plan = plans(byVersion, i)
		at := slices.IndexFunc(pageSections, func(s struct {
			title string
			of    []string
		},
		) bool {
			return slices.ContainsFunc(s.of, func(prefix string) bool { return strings.HasPrefix(entry.ID, prefix) })
		})
		sections[at] = append(sections[at], made)
		all = append(all, made)
	}
	var b strings.Builder
	b.WriteString(intro(all))
	for i, rows := range sections {
		slices.SortStableFunc(rows, func(a, b row) int { return a.rank - b.rank })
		fmt.Fprintf(&b, "\n## %s\n\n| change | lock | who waits | for how long | what Segue does |\n|---|---|---|---|---|\n", pageSections[i].title)
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.change, r.lock, r.waits, r.time, r.plan)
		}
	}
	return b.String()
}
