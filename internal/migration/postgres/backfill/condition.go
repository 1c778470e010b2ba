package backfill

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// differs is the condition that a row is not as assignments would have it. row is "", "NEW" or "OLD"; expressions name columns plainly.
func (t Table) differs(set []migration.Assignment, row string) (string, error) {
	parts := make([]string, len(set))
	for i, a := range set {
		c, err := t.column(a.Column)
		if err != nil {
			return "", err
		}
		parts[i] = c.of(row) + " IS DISTINCT FROM " + c.value(a.Expr)
	}
	return either(parts), nil
}

// untouched is the condition that columns are as they are by themselves: empty, or at their default.
func untouched(columns []Column, row string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.of(row) + " IS NULL"
		if c.Default != "" && c.steady() {
			parts[i] = "(" + parts[i] + " OR " + c.of(row) + " IS NOT DISTINCT FROM " + c.value(c.Default) + ")"
		}
	}
	return all(parts)
}

// absent is the condition that an INSERT did not name columns, as far as that can be told: a default that is another one each time could be any value.
func absent(columns []Column) string {
	var told []Column
	for _, c := range columns {
		if c.Default == "" || c.steady() {
			told = append(told, c)
		}
	}
	return untouched(told, "NEW")
}

// changed is the condition that an UPDATE gave one of the columns another value.
func changed(columns []Column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.of("NEW") + " IS DISTINCT FROM " + c.of("OLD")
	}
	return either(parts)
}

// todo is the condition that a backfill has to write a row. A row that is right already is not written again. Where triggers keep two forms in step, a row
// whose new form somebody has written is left alone, whatever the expression would make of its old form: the way there and back may lose something, and
// the new release's own value would be lost with it.
func (t Table) todo(b migration.Backfill) (string, error) {
	if b.Delete {
		return grouped(b.Where), nil
	}
	differs, err := t.differs(b.Set, "")
	if err != nil {
		return "", err
	}
	conditions := []string{differs}
	if b.Where != "" {
		conditions = append(conditions, grouped(b.Where))
	}
	if b.Sync != nil {
		columns, err := t.columns(targets(b.Sync.Forward))
		if err != nil {
			return "", err
		}
		conditions = append(conditions, untouched(columns, ""))
		if len(b.Sync.Reverse) > 0 {
			back, err := t.differs(b.Sync.Reverse, "")
			if err != nil {
				return "", err
			}
			if b.Violators != "" {
				back = either([]string{back, grouped(b.Violators)})
			}
			conditions = append(conditions, back)
		}
	}
	return all(conditions), nil
}

// violators is the condition that a row is not as it should be, "" where nothing can be said. Of a form that triggers keep in step and that has several
// columns, one may be empty because the new release wrote it so: only where all of them are is the row one that was missed.
func (t Table) violators(b migration.Backfill) (string, error) {
	if b.Violators == "" || b.Sync == nil || len(b.Sync.Forward) < 2 {
		return b.Violators, nil
	}
	columns, err := t.columns(targets(b.Sync.Forward))
	if err != nil {
		return "", err
	}
	return all([]string{grouped(b.Violators), untouched(columns, "")}), nil
}

func targets(set []migration.Assignment) []string {
	names := make([]string, len(set))
	for i, a := range set {
		names[i] = a.Column
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// grouped puts a condition of the team's into parentheses; an empty one holds for every row. A line comment at its end must not swallow them.
func grouped(condition string) string {
	if condition == "" {
		return "true"
	}
	return "(" + condition + "\n)"
}

func all(conditions []string) string {
	if len(conditions) == 0 {
		return "true"
	}
	return strings.Join(conditions, " AND ")
}

func either(conditions []string) string {
	if len(conditions) == 0 {
		return "false"
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}
