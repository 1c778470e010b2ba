package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
	"github.com/segue-deploy/segue/internal/journal/journaltest"
	"github.com/segue-deploy/segue/internal/journal/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, now func() time.Time) journal.Journal {
	t.Helper()
	j := memory.New(now)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestConformance(t *testing.T) { journaltest.Suite(t, open) }

func TestFaultyConformance(t *testing.T) {
	journaltest.Suite(t, func(t *testing.T, now func() time.Time) journal.Journal {
		t.Helper()
		return journaltest.NewFaulty(open(t, now))
	})
}

func TestCloneIsTheJournalAsItWas(t *testing.T) {
	j := memory.New(nil)
	for n := range 5 {
		if _, err := j.Append(t.Context(), segue.Event{Kind: segue.EventRotation, Attempt: n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range int64(7) {
		clone := j.Clone(n)
		if last, err := clone.Last(t.Context()); err != nil || last != min(n, 5) {
			t.Fatalf("Clone(%d).Last() = %d, %v", n, last, err)
		}
	}
	one, other := j.Clone(3), j.Clone(3)
	if _, err := one.Append(t.Context(), segue.Event{Kind: segue.EventSample}); err != nil {
		t.Fatal(err)
	}
	if last, _ := other.Last(t.Context()); last != 3 {
		t.Errorf("appending to one clone changed the other: %d entries", last)
	}
}

func TestWatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := memory.New(nil)
		var times []time.Duration
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for entry, err := range j.Watch(t.Context(), 1) {
				if err != nil {
					return
				}
				times = append(times, entry.At.Sub(start))
			}
		}()
		for range 3 {
			<-time.After(time.Hour)
			if _, err := j.Append(t.Context(), segue.Event{Kind: segue.EventSample}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if len(times) != 3 || times[2] != 3*time.Hour {
			t.Errorf("entries at %v, want after 1, 2 and 3 hours", times)
		}
	})
}
