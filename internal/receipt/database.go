package receipt

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Work is what a database step measured: times in nanoseconds on the wire, as its driver reported them.
type Work struct {
	// Tries for locks, and LockWait, the time Segue waited for them.
	Tries    int           `json:"tries,omitempty"`
	LockWait time.Duration `json:"lock_wait,omitempty"`
	// Held is the longest time that a lock was held which keeps others waiting, and Lock is which.
	Held time.Duration `json:"held,omitempty"`
	Lock string        `json:"lock,omitempty"`
	// Caused is the longest wait of somebody else that was seen behind it, Waiters how many were seen.
	Caused  time.Duration `json:"caused,omitempty"`
	Waiters int           `json:"waiters,omitempty"`
	// Rows that a backfill looked at, Changed those it wrote, in Batches.
	Rows    int64 `json:"rows,omitempty"`
	Changed int64 `json:"changed,omitempty"`
	Batches int64 `json:"batches,omitempty"`
}

// workOf reads what a step measured; nil where it measured nothing.
func workOf(outcome segue.Outcome) *Work {
	if len(outcome.Work) == 0 {
		return nil
	}
	var work Work
	if json.Unmarshal(outcome.Work, &work) != nil {
		return nil
	}
	return &work
}

// databaseStep says whether a step works on a database.
func databaseStep(kind segue.StepKind) bool {
	return kind == segue.StepExpand || kind == segue.StepBackfill || kind == segue.StepContract
}

// databaseSteps are those of the receipt that worked on a database.
func (r Receipt) databaseSteps() []Step {
	var steps []Step
	for _, s := range r.Steps {
		if databaseStep(s.Kind) {
			steps = append(steps, s)
		}
	}
	return steps
}

// words says what a database step came to.
func (s Step) words() string {
	clauses := []string{"took " + s.Duration.String()}
	if w := s.Work; w != nil {
		if w.Rows > 0 {
			clauses = append(clauses, fmt.Sprintf("%s of %s rows written", count(w.Changed), count(w.Rows)))
		}
		if w.Lock != "" && w.Lock != "none" && w.Held > 0 {
			clauses = append(clauses, fmt.Sprintf("%s lock held %s at most", w.Lock, Seconds(w.Held)))
		}
		switch {
		case w.Waiters > 0:
			clauses = append(clauses, fmt.Sprintf("%s of the application waited, %s at most", count(int64(w.Waiters)), Seconds(w.Caused)))
		case w.Lock != "" && w.Lock != "none":
			clauses = append(clauses, "nobody was seen to wait")
		}
		if w.Tries > 1 {
			clauses = append(clauses, fmt.Sprintf("%d tries", w.Tries))
		}
	}
	if s.Owed != "" {
		clauses = append(clauses, "stays owed: "+s.Owed)
	}
	if s.Status == StepFailed {
		clauses = append(clauses, "failed: "+s.Note)
	}
	return strings.Join(clauses, ", ")
}

// database writes what was done to databases.
func (t *text) database() {
	var rows []string
	for _, s := range t.r.databaseSteps() {
		mark := t.paint(good, "✓")
		switch {
		case s.Status == StepFailed:
			mark = t.paint(bad, "✗")
		case s.Owed != "" || s.Status != StepDone:
			mark = t.paint(warn, "○")
		}
		head := fmt.Sprintf("%s %s %s", mark, printable(string(s.Kind)), printable(s.Title))
		rows = append(rows, clip(head, t.o.Width))
		for _, row := range t.prose("  " + s.words()) {
			rows = append(rows, t.paint(faint, row))
		}
	}
	t.section("database", rows)
}

// databaseRow is a line of the page about one step.
type databaseRow struct {
	Tone, Kind, Database, Title, Text string
}

func databaseRows(r Receipt) []databaseRow {
	rows := make([]databaseRow, 0, len(r.databaseSteps()))
	for _, s := range r.databaseSteps() {
		row := databaseRow{Tone: "good", Kind: string(s.Kind), Database: string(s.Database), Title: s.Title, Text: s.words()}
		switch {
		case s.Status == StepFailed:
			row.Tone = "bad"
		case s.Owed != "" || s.Status != StepDone:
			row.Tone = "warn"
		}
		rows = append(rows, row)
	}
	return rows
}
