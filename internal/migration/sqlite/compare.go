package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// finding is what became of a statement on a copy.
type finding struct {
	// columns of its result, where it works.
	columns []string
	// broken says why it does not.
	broken string
}

// find tries a statement on a copy: what SQLite says when it reads it, and what it would only say when it runs: that a column must be given.
func find(ctx context.Context, s *scratch, statement string) (finding, error) {
	columns, err := s.prepare(statement)
	if err != nil {
		return finding{broken: plain(err)}, ctx.Err()
	}
	omitted, err := omits(ctx, s, statement)
	if err != nil {
		return finding{}, err
	}
	if len(omitted) > 0 {
		return finding{broken: fmt.Sprintf("it does not give %s, which may not be NULL and has no default", strings.Join(omitted, ", "))}, nil
	}
	return finding{columns: columns}, nil
}

// omits lists columns that an INSERT has to give and does not.
func omits(ctx context.Context, s *scratch, statement string) ([]string, error) {
	shape := parse(statement)
	if shape.Kind != sqltext.KindInsert || len(shape.Columns) == 0 {
		// Of one without a list of columns SQLite itself says when the number is wrong.
		return nil, nil
	}
	t, found, err := s.table(ctx, shape.Table.Name)
	if err != nil || !found || t.view {
		return nil, err
	}
	var omitted []string
	for _, name := range t.required() {
		if !slices.ContainsFunc(shape.Columns, func(given string) bool { return strings.EqualFold(given, name) }) {
			omitted = append(omitted, name)
		}
	}
	return omitted, nil
}

// against says how a statement that worked before does now; nil is as well as before.
func (f finding) against(before finding, query migration.Query) *migration.Misfit {
	switch {
	case f.broken != "":
		return &migration.Misfit{Query: query, Message: f.broken}
	case !slices.EqualFunc(f.columns, before.columns, strings.EqualFold):
		return &migration.Misfit{Query: query, Shape: true, Message: fmt.Sprintf("its result has the columns %s instead of %s",
			strings.Join(f.columns, ", "), strings.Join(before.columns, ", "))}
	}
	return nil
}

// broken gives the views and triggers that work on one copy and not on the other.
func brokenDependents(ctx context.Context, before, after *scratch) ([]string, error) {
	objects, err := after.objects(ctx)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, o := range objects {
		for _, probe := range probes(ctx, after, o) {
			if _, err := before.prepare(probe); err != nil {
				continue
			}
			if _, err := after.prepare(probe); err != nil {
				broken = append(broken, fmt.Sprintf("%s %s would not work any more: %s", o.kind, o.name, plain(err)))
				break
			}
		}
	}
	return broken, nil
}

// probes are statements that SQLite cannot read without reading a view, or the triggers of a table.
func probes(ctx context.Context, s *scratch, o object) []string {
	switch o.kind {
	case "view":
		return []string{"SELECT * FROM " + quote(o.name)}
	case "trigger":
		t, found, err := s.table(ctx, o.table)
		if err != nil || !found {
			return nil
		}
		var set []string
		for _, c := range t.columns {
			if !c.hidden {
				set = append(set, fmt.Sprintf("%s = %[1]s", quote(c.name)))
			}
		}
		name := quote(t.name)
		return []string{"DELETE FROM " + name, "INSERT INTO " + name + " DEFAULT VALUES", "UPDATE " + name + " SET " + strings.Join(set, ", ")}
	}
	return nil
}
