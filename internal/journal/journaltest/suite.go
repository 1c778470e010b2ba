// Package journaltest holds what every journal driver must pass (Suite) and a fault injector to put before one (Faulty).
package journaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// Open makes an empty journal that takes its times from now (nil: the clock) and is closed at the test's end.
type Open func(t *testing.T, now func() time.Time) journal.Journal

// Suite checks a driver against the contract.
func Suite(t *testing.T, open Open) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Open){
		"empty":                checkEmpty,
		"numbers without gap":  checkNumbers,
		"round trip":           checkRoundTrip,
		"keeps copies":         checkCopies,
		"all or nothing":       checkAllOrNothing,
		"time never goes back": checkTime,
		"entries from":         checkFrom,
		"entries as of call":   checkSnapshot,
		"append while reading": checkReentrant,
		"entries of rollout":   checkByRollout,
		"canceled":             checkCanceled,
		"closed":               checkClosed,
		"concurrent appends":   checkConcurrent,
		"watch":                checkWatch,
		"slow watcher":         checkSlowWatch,
		"watch ends":           checkWatchEnds,
	} {
		t.Run(name, func(t *testing.T) { check(t, open) })
	}
}

func note(n int) segue.Event {
	return segue.Event{Kind: segue.EventSample, Service: "web", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
}

func notes(n int) []segue.Event {
	events := make([]segue.Event, n)
	for i := range events {
		events[i] = note(i + 1)
	}
	return events
}

func mustAppend(t *testing.T, j journal.Journal, events ...segue.Event) []segue.Entry {
	t.Helper()
	entries, err := j.Append(t.Context(), events...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if len(entries) != len(events) {
		t.Fatalf("append of %d events gave %d entries", len(events), len(entries))
	}
	return entries
}

func collect(t *testing.T, j journal.Journal, from int64) []segue.Entry {
	t.Helper()
	var entries []segue.Entry
	for entry, err := range j.Entries(t.Context(), from) {
		if err != nil {
			t.Fatalf("entries: %v", err)
		}
		entries = append(entries, entry)
	}
	return entries
}

func wantLast(t *testing.T, j journal.Journal, want int64) {
	t.Helper()
	if got, err := j.Last(t.Context()); err != nil || got != want {
		t.Fatalf("Last() = %d, %v; want %d", got, err, want)
	}
}

func checkEmpty(t *testing.T, open Open) {
	j := open(t, nil)
	wantLast(t, j, 0)
	if got := collect(t, j, 1); len(got) != 0 {
		t.Fatalf("an empty journal gave %d entries", len(got))
	}
	if entries, err := j.Append(t.Context()); err != nil || len(entries) != 0 {
		t.Fatalf("append of nothing = %v, %v", entries, err)
	}
	wantLast(t, j, 0)
}

func checkNumbers(t *testing.T, open Open) {
	j := open(t, nil)
	want := int64(1)
	for _, size := range []int{1, 3, 1, 300, 2} {
		for _, entry := range mustAppend(t, j, notes(size)...) {
			if entry.Index != want {
				t.Fatalf("index %d, want %d", entry.Index, want)
			}
			want++
		}
		wantLast(t, j, want-1)
	}
	for i, entry := range collect(t, j, 1) {
		if entry.Index != int64(i+1) {
			t.Fatalf("entry %d has index %d", i+1, entry.Index)
		}
	}
}

// full is an event with something in every field.
func full() segue.Event {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC)
	release := segue.Release{Service: "web", Name: "v2", Digest: "sha256:00", Artifact: "releases/v2", Config: "sha256:11", Breaking: true}
	service := segue.Service{
		Name: "web", Servers: []segue.Server{{Name: "web-1", Partition: "east"}},
		Strategy: segue.Strategy{Kind: segue.Rolling, Batches: []segue.Batch{{Servers: 1}, {Percent: 100}}, Bake: time.Minute, MaxUnavailable: 1},
		Timing:   segue.Timing{Ready: time.Second, Drain: time.Second, Grace: time.Second},
	}
	plan := segue.Plan{Service: "web", Goal: segue.GoalForward, To: "v2", Steps: []segue.Step{{ID: 1, Kind: segue.StepObserve, For: time.Minute, Why: "ü <&> \u2028"}}}
	instance := segue.Instance{ID: "web-1.v1.1", Server: "web-1", StartedAt: at, State: segue.InstanceRunning}
	return segue.Event{
		Kind: segue.EventOpened, Service: "web", Rollout: 7, Step: 1, Attempt: 2, Server: "web-1", Partition: "east", Instance: "web-1.v2.7",
		Rotation: segue.RotationIn,
		Opening: &segue.Opening{
			Settings: service, Candidate: release, Plan: plan, By: "ada",
			Fleet: segue.Fleet{Service: "web", Index: 3, Slots: []segue.Slot{{Server: service.Servers[0], Instance: instance, Ready: true}}},
		},
		Plan: &plan, Outcome: &segue.Outcome{Address: "127.0.0.1:1", Unavoidable: time.Second},
		Failure: &segue.Failure{Kind: segue.KindTimeout, Message: "no", Hint: "wait"},
		Verdict: &segue.Verdict{Ruling: segue.RulingFail, At: at, Findings: []segue.Finding{{Judge: "errors", Value: 0.25, At: at}}},
		Order:   &segue.Order{Verb: segue.VerbAbort, By: "ada", Servers: []segue.ServerName{"web-1"}},
		Release: &release, Settings: &service, Config: "sha256:22", Data: json.RawMessage(`{"a":[1,"x"]}`),
	}
}

func checkRoundTrip(t *testing.T, open Open) {
	j := open(t, nil)
	event := full()
	appended := mustAppend(t, j, event, note(1))
	if diff := cmp.Diff(event, appended[0].Event); diff != "" {
		t.Errorf("what Append gave differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(appended, collect(t, j, 1)); diff != "" {
		t.Errorf("what Entries gave differs from what Append gave (-append +entries):\n%s", diff)
	}
}

func checkCopies(t *testing.T, open Open) {
	j := open(t, nil)
	event := full()
	mustAppend(t, j, event)
	event.Opening.Plan.Steps[0].Why = "changed"
	event.Data[2] = 'z'
	if diff := cmp.Diff(full(), collect(t, j, 1)[0].Event); diff != "" {
		t.Errorf("an entry changed with the event that was appended (-want +got):\n%s", diff)
	}
}

func checkAllOrNothing(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, note(1))
	bad := note(3)
	bad.Data = json.RawMessage(`{"broken`)
	if _, err := j.Append(t.Context(), note(2), bad, note(4)); segue.KindOf(err) != segue.KindInvalid {
		t.Fatalf("append of an event that is no JSON = %v, want KindInvalid", err)
	}
	wantLast(t, j, 1)
	if entries := mustAppend(t, j, note(5)); entries[0].Index != 2 {
		t.Fatalf("after a refused append, index %d, want 2", entries[0].Index)
	}
}

func checkTime(t *testing.T, open Open) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 5, time.FixedZone("far", 3600))
	now := start
	j := open(t, func() time.Time { return now })
	var got []time.Time
	for _, step := range []time.Duration{0, time.Hour, -30 * time.Minute, -10 * time.Hour, 2 * time.Hour} {
		now = start.Add(step)
		got = append(got, mustAppend(t, j, note(1))[0].At)
	}
	for i, step := range []time.Duration{0, time.Hour, time.Hour, time.Hour, 2 * time.Hour} {
		if want := start.Add(step); !got[i].Equal(want) || got[i].Location() != time.UTC {
			t.Errorf("entry %d is of %v, want %v in UTC", i+1, got[i], want.UTC())
		}
	}
}

func checkFrom(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, notes(600)...)
	for from, want := range map[int64]int{-5: 600, 0: 600, 1: 600, 2: 599, 256: 345, 257: 344, 600: 1, 601: 0, 1 << 40: 0} {
		got := collect(t, j, from)
		if len(got) != want {
			t.Errorf("from %d: %d entries, want %d", from, len(got), want)
		}
		if len(got) > 0 && got[0].Index != max(from, 1) {
			t.Errorf("from %d: the first is %d", from, got[0].Index)
		}
	}
	for entry, err := range j.Entries(t.Context(), 1) {
		if err != nil || entry.Index > 3 {
			t.Fatalf("entry %d, %v after a break at 3", entry.Index, err)
		}
		if entry.Index == 3 {
			break
		}
	}
}

func checkSnapshot(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, notes(2)...)
	entries := j.Entries(t.Context(), 1)
	mustAppend(t, j, notes(2)...)
	count := 0
	for _, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != 2 {
		t.Errorf("entries as of the call: %d, want 2", count)
	}
}

func checkReentrant(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, notes(3)...)
	for entry, err := range j.Entries(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, j, note(int(entry.Index)))
		wantLast(t, j, 3+entry.Index)
	}
	wantLast(t, j, 6)
}

func checkByRollout(t *testing.T, open Open) {
	j := open(t, nil)
	for n := range 700 {
		event := note(n)
		event.Rollout = segue.RolloutID(n % 2)
		mustAppend(t, j, event)
	}
	for rollout, want := range map[segue.RolloutID]int{1: 350, 2: 0} {
		count := 0
		for entry, err := range journal.EntriesOf(t.Context(), j, rollout) {
			if err != nil || entry.Event.Rollout != rollout {
				t.Fatalf("entry of rollout %d among those of %d (%v)", entry.Event.Rollout, rollout, err)
			}
			count++
		}
		if count != want {
			t.Errorf("rollout %d: %d entries, want %d", rollout, count, want)
		}
	}
}

func checkCanceled(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, note(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, note(2)); segue.KindOf(err) != segue.KindCanceled {
		t.Errorf("append with a context that is done = %v, want KindCanceled", err)
	}
	for _, err := range j.Entries(ctx, 1) {
		if segue.KindOf(err) != segue.KindCanceled {
			t.Errorf("entries with a context that is done: %v, want KindCanceled", err)
		}
	}
	wantLast(t, j, 1)
	mustAppend(t, j, note(2))
}

func checkClosed(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, note(1))
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if _, err := j.Append(t.Context(), note(2)); segue.KindOf(err) != segue.KindCanceled {
		t.Errorf("append to a closed journal = %v, want KindCanceled", err)
	}
	if _, err := j.Last(t.Context()); err == nil {
		t.Error("Last of a closed journal gave no error")
	}
	for _, err := range j.Entries(t.Context(), 1) {
		if err == nil {
			t.Error("a closed journal gave an entry")
		}
	}
}

func checkConcurrent(t *testing.T, open Open) {
	const writers, each = 4, 25
	j := open(t, nil)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if _, err := j.Append(t.Context(), note(1), note(2)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	group.Wait()
	entries := collect(t, j, 1)
	if len(entries) != writers*each*2 {
		t.Fatalf("%d entries, want %d", len(entries), writers*each*2)
	}
	for i := 0; i < len(entries); i += 2 {
		if a, b := string(entries[i].Event.Data), string(entries[i+1].Event.Data); a != `{"n":1}` || b != `{"n":2}` {
			t.Fatalf("the events of one append are apart: %s, %s at %d", a, b, i+1)
		}
	}
}
