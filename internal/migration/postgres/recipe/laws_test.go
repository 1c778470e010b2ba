package recipe

import (
	"slices"
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
)

// fataler is a test or a rapid one.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
}

var _ fataler = (*testing.T)(nil)

// check are the laws of every plan.
func check(t fataler, request Request, changes []migration.Change, faults []migration.Fault) {
	t.Helper()
	seen := map[migration.ChangeID]migration.Phase{}
	origins := map[migration.StatementID]bool{}
	p := newPlanner(request)
	for _, c := range changes {
		if _, twice := seen[c.ID]; twice {
			t.Errorf("change %s is there twice", c.ID)
		}
		for _, id := range c.After {
			phase, before := seen[id]
			if !before {
				t.Errorf("%s comes after %s, which does not come before it", c.ID, id)
			}
			if phase == migration.PhaseContract && c.Phase != migration.PhaseContract && c.Phase != migration.PhaseBreaking {
				t.Errorf("%s (%s) comes after the contract %s", c.ID, c.Phase, id)
			}
		}
		seen[c.ID] = c.Phase
		for _, id := range c.Origin {
			origins[id] = true
		}
		if !slices.ContainsFunc(c.Caveats, func(text string) bool { return text == "it is expand because a comment in the file says so" }) {
			checkChange(t, p, c)
		}
	}
	for _, file := range request.Files {
		for _, s := range file.Statements {
			if !origins[s.ID] && !slices.ContainsFunc(faults, func(f migration.Fault) bool { return f.At == s.At }) {
				t.Errorf("statement %s (%s) is neither in a change nor at fault", s.ID, s.SQL)
			}
		}
	}
}

func checkChange(t fataler, p *planner, c migration.Change) {
	t.Helper()
	switch {
	case c.Title == "" || len(c.Origin) == 0:
		t.Errorf("%s has no title or no origin", c.ID)
	case c.Phase == migration.PhaseContract && len(c.Removes) == 0:
		t.Errorf("contract %s (%s) removes nothing", c.ID, c.Title)
	case c.Phase == migration.PhaseBreaking && c.Split == "":
		t.Errorf("breaking %s (%s) has no split", c.ID, c.Title)
	case c.Phase == migration.PhaseBackfill && (c.Backfill == nil || len(c.Actions) > 0):
		t.Errorf("backfill %s (%s) has none, or actions", c.ID, c.Title)
	case c.Phase != migration.PhaseContract && c.Carried:
		t.Errorf("%s is carried and no contract", c.ID)
	}
	if c.Phase == migration.PhaseExpand && c.Assumed == "" && !spared(p.held(c.Facts)) {
		t.Errorf("expand %s (%s) would %s", c.ID, c.Title, p.burden(c.Facts))
	}
	for _, a := range c.Actions {
		if a.SQL == "" {
			t.Errorf("%s (%s) has an empty action", c.ID, c.Title)
		}
		if a.Repair != "" && a.Leaves == "" {
			t.Errorf("%s (%s) repairs what it does not name", c.ID, c.Title)
		}
	}
}
