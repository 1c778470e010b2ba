package journaltest

import (
	"context"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

// patience bounds the wait for what must come.
const patience = 10 * time.Second

// checkWatch sees what was there and then what comes, by several watchers at once.
func checkWatch(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, notes(2)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const watchers = 3
	seen := make(chan int64, 64)
	ended := make(chan error, watchers)
	for range watchers {
		go func() {
			want := int64(2)
			for entry, err := range j.Watch(ctx, 2) {
				if err != nil {
					ended <- err
					return
				}
				if entry.Index != want {
					ended <- segue.Errorf(segue.KindFault, "entry %d, want %d", entry.Index, want)
					return
				}
				want++
				seen <- entry.Index
				if entry.Index == 5 {
					break
				}
			}
			ended <- nil
		}()
	}
	for range watchers {
		<-seen
	}
	mustAppend(t, j, note(3))
	mustAppend(t, j, notes(2)...)
	for range watchers {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if ctx.Err() != nil {
		t.Fatal("the watchers did not see all entries in time")
	}
}

// checkSlowWatch appends far more than a watcher takes: it must miss nothing, and hold nobody up.
func checkSlowWatch(t *testing.T, open Open) {
	j := open(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	mustAppend(t, j, note(1))
	want := int64(1)
	for entry, err := range j.Watch(ctx, 1) {
		if err != nil || entry.Index != want {
			t.Fatalf("entry %d (%v), want %d", entry.Index, err, want)
		}
		if want++; entry.Index == 1 {
			// The watcher stands still here.
			for range 5 {
				mustAppend(t, j, notes(200)...)
			}
		}
		if entry.Index == 1001 {
			return
		}
	}
	t.Fatalf("the watch ended at %d", want)
}

// checkWatchEnds checks both ways in which a waiting watch ends: its context, and the journal's end.
func checkWatchEnds(t *testing.T, open Open) {
	j := open(t, nil)
	mustAppend(t, j, note(1))
	watch := func(ctx context.Context) (first chan struct{}, end chan error) {
		first, end = make(chan struct{}), make(chan error, 1)
		go func() {
			var last error
			for _, err := range j.Watch(ctx, 1) {
				if last = err; err == nil {
					close(first)
				}
			}
			end <- last
		}()
		return first, end
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, end := watch(ctx)
	<-first
	cancel()
	if err := await(t, end); err != nil {
		t.Errorf("a watch whose context is done ended with %v", err)
	}
	first, end = watch(t.Context())
	<-first
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, end); segue.KindOf(err) != segue.KindCanceled {
		t.Errorf("a watch of a journal that was closed ended with %v, want KindCanceled", err)
	}
}

func await(t *testing.T, end <-chan error) error {
	t.Helper()
	select {
	case err := <-end:
		return err
	case <-time.After(patience):
		t.Fatal("the watch did not end")
		return nil
	}
}
