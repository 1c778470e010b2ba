package sqlite

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
)

// big is an event of about a megabyte.
func big() segue.Event {
	event := sample(1)
	event.Data = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	return event
}

// wantStopped checks a journal whose disk gave out: nothing of the append is there, and nothing more is taken until it is opened again.
func wantStopped(t *testing.T, j *Journal, err error) {
	t.Helper()
	if segue.KindOf(err) != segue.KindUnavailable || segue.HintOf(err) == "" {
		t.Fatalf("append on a full disk = %v (hint %q), want KindUnavailable with a hint", err, segue.HintOf(err))
	}
	if _, err := j.Append(t.Context(), sample(1)); segue.KindOf(err) != segue.KindUnavailable || !strings.Contains(err.Error(), "opened again") {
		t.Errorf("the next append = %v, want a refusal", err)
	}
	if _, err := j.Last(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("Last = %v, want a refusal", err)
	}
	if _, err := readAll(t.Context(), j); segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("Entries = %v, want a refusal", err)
	}
}

func TestFullDatabaseWritesNothingByHalves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openAt(t, path, nil)
	fill(t, j, 3)
	if _, err := j.write.ExecContext(t.Context(), "PRAGMA max_page_count = 40"); err != nil {
		t.Fatal(err)
	}
	ended, watching := make(chan error, 1), make(chan struct{})
	go func() {
		var last error
		for entry, err := range j.Watch(t.Context(), 1) {
			if last = err; entry.Index == 3 {
				close(watching)
			}
		}
		ended <- last
	}()
	<-watching
	_, err := j.Append(t.Context(), sample(4), big(), sample(6))
	wantStopped(t, j, err)
	if err := <-ended; segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("a watch of it ended with %v, want a refusal", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, nil)
	if last, err := again.Last(t.Context()); err != nil || last != 3 {
		t.Fatalf("opened again, Last() = %d, %v; want 3", last, err)
	}
	fill(t, again, 1)
}

// A real disk that is really full.
func TestFullDisk(t *testing.T) { onTinyDisk(t, checkFullDisk) }

func checkFullDisk(t *testing.T, disk string) {
	t.Helper()
	path := filepath.Join(disk, "journal.db")
	j := openAt(t, path, nil)
	written := 0
	var err error
	for range 10_000 {
		if _, err = j.Append(t.Context(), sample(written+1)); err != nil {
			break
		}
		written++
	}
	if err == nil || written < 10 {
		t.Fatalf("%d entries on a disk of a megabyte: %v", written, err)
	}
	wantStopped(t, j, err)
	if err := j.Close(); err != nil && segue.KindOf(err) != segue.KindUnavailable {
		t.Fatal(err)
	}
	// Somebody makes room.
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, nil)
	entries, err := readAll(t.Context(), again)
	if err != nil || len(entries) != written && len(entries) != written+1 {
		t.Fatalf("%d entries of %d, %v", len(entries), written, err)
	}
	fill(t, again, 1)
}
