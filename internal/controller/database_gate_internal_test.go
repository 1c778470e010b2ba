package controller

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/migration"
)

// gates answers for each change by name, and keeps what was put before it.
type gates struct {
	migration.Driver

	answers map[migration.ChangeID]migration.Answer
	asked   []migration.Change
}

func (g *gates) Gate(_ context.Context, request migration.GateRequest) (migration.Gate, error) {
	g.asked = append(g.asked, request.Change)
	gate := migration.Gate{Change: request.Change.ID, Grounds: []migration.Ground{{Answer: g.answers[request.Change.ID], Text: "so it is"}}}
	gate.Settle()
	return gate, nil
}

// A constraint that is to be validated is not there before it is added: what comes after an owed change is tried behind it, and waits where that one waits.
func TestGateOfWhatComesAfterAnother(t *testing.T) {
	t.Parallel()
	add := migration.Change{ID: "2#1", Title: "add check", Phase: migration.PhaseContract, Actions: []migration.Action{{SQL: "ADD"}}}
	validate := migration.Change{
		ID: "2#1.validate", Phase: migration.PhaseContract, After: []migration.ChangeID{add.ID, "2#0"}, Actions: []migration.Action{{SQL: "VALIDATE"}},
	}
	expand := migration.Change{ID: "2#0", Phase: migration.PhaseExpand, Actions: []migration.Action{{SQL: "EXPAND"}}}
	for _, test := range []struct {
		name   string
		status migration.Status
		first  migration.Answer
		want   migration.Answer
		text   string
		tried  []string
	}{
		{"the one before is safe", migration.StatusOwed, migration.AnswerSafe, migration.AnswerSafe, "so it is", []string{"ADD", "VALIDATE"}},
		{"the one before must wait", migration.StatusOwed, migration.AnswerUnsafe, migration.AnswerUnsafe, "it comes after 2#1 (add check), which must wait", []string{"ADD"}},
		{"the one before is not known", migration.StatusOwed, migration.AnswerUnknown, migration.AnswerUnknown, "it comes after 2#1 (add check), which must wait", []string{"ADD"}},
		{"the one before is done", migration.StatusDone, migration.AnswerUnsafe, migration.AnswerSafe, "so it is", []string{"VALIDATE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			driver := &gates{answers: map[migration.ChangeID]migration.Answer{add.ID: test.first, validate.ID: migration.AnswerSafe}}
			o := outlook{desk: &desk{driver: driver}, gates: map[migration.ChangeID]migration.Gate{}, plan: migration.Plan{Changes: []migration.Change{expand, add, validate}}}
			o.state.Changes = []migration.ChangeState{{Change: add, Status: test.status}}
			gate, err := o.ask(t.Context(), validate, "v2", presences{})
			if err != nil {
				t.Fatal(err)
			}
			if gate.Answer != test.want || gate.Grounds[0].Text != test.text {
				t.Errorf("got %s (%s), want %s (%s)", gate.Answer, gate.Grounds[0].Text, test.want, test.text)
			}
			var tried []string
			for _, action := range driver.asked[len(driver.asked)-1].Actions {
				tried = append(tried, action.SQL)
			}
			if diff := cmp.Diff(test.tried, tried); diff != "" {
				t.Errorf("tried on the copy (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClockSaysTheDayWhereItIsNotToday(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 15, 58, 37, 0, time.Local)
	for at, want := range map[time.Time]string{
		now.Add(time.Hour):       "16:58:37",
		now.Add(24 * time.Hour):  "2026-11-22 15:58:37",
		now.AddDate(1, 0, 0):     "2027-11-21 15:58:37",
		now.UTC().Add(time.Hour): "16:58:37",
	} {
		if got := clock(at, now); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFaultsOfFilesThatAreAppliedAreOver(t *testing.T) {
	t.Parallel()
	at := func(path string) migration.Fault { return migration.Fault{At: migration.Position{Path: path}} }
	faults := []migration.Fault{at("1.sql"), at("2.go"), at("3.sql"), at("")}
	files := []migration.FileState{{Path: "1.sql", Status: migration.FileApplied}, {Path: "2.go", Status: migration.FileApplied}, {Path: "3.sql", Status: migration.FilePartly}}
	if diff := cmp.Diff([]migration.Fault{at("3.sql"), at("")}, faultsLeft(faults, files)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
