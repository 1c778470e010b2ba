package journaltest_test

import (
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal/journaltest"
	"github.com/segue-deploy/segue/internal/journal/memory"
)

func TestFaulty(t *testing.T) {
	inner := memory.New(nil)
	faulty := journaltest.NewFaulty(inner)
	event := segue.Event{Kind: segue.EventSample}
	add := func() segue.Kind {
		t.Helper()
		entries, err := faulty.Append(t.Context(), event)
		if (err == nil) != (len(entries) == 1) {
			t.Fatalf("append gave %v, %v", entries, err)
		}
		if err == nil {
			return -1
		}
		return segue.KindOf(err)
	}
	holds := func(want int64) {
		t.Helper()
		if got, err := inner.Last(t.Context()); err != nil || got != want {
			t.Fatalf("the journal behind it holds %d (%v), want %d", got, err, want)
		}
	}
	const fine = segue.Kind(-1)
	faulty.Fail(2, journaltest.Refuse)
	for i, want := range []segue.Kind{fine, segue.KindConflict, fine} {
		if got := add(); got != want {
			t.Errorf("append %d: %v, want %v", i+1, got, want)
		}
	}
	holds(2)
	for _, c := range []struct {
		failure journaltest.Failure
		last    int64
	}{{journaltest.BreakBefore, 2}, {journaltest.BreakAfter, 3}} {
		faulty.Fail(1, c.failure)
		for range 2 {
			if got := add(); got != segue.KindUnavailable {
				t.Errorf("append to a broken journal: %v", got)
			}
		}
		if _, err := faulty.Last(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("Last of a broken journal = %v", err)
		}
		for _, err := range faulty.Entries(t.Context(), 1) {
			if segue.KindOf(err) != segue.KindUnavailable {
				t.Errorf("Entries of a broken journal = %v", err)
			}
		}
		holds(c.last)
		faulty.Repair()
	}
	if got := add(); got != fine {
		t.Errorf("append after repair: %v", got)
	}
	holds(4)
	if got := faulty.Appends(); got != 6 {
		t.Errorf("%d appends, want 6", got)
	}
}
