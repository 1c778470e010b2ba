package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
)

func sample(n int) segue.Event {
	return segue.Event{Kind: segue.EventSample, Service: "web", Rollout: 1, Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
}

func fill(t *testing.T, j *Journal, n int) {
	t.Helper()
	for i := range n {
		if _, err := j.Append(t.Context(), sample(i+1)); err != nil {
			t.Fatalf("append %d: %v", i+1, err)
		}
	}
}

func readAll(ctx context.Context, j *Journal) (entries []segue.Entry, err error) {
	for entry, err := range j.Entries(ctx, 1) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// closed makes a journal with n entries and closes it.
func closed(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, n)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// edit changes a journal file with SQL, as a fault would.
func edit(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// wantRefused opens a journal and reads it, and wants an error of a kind, with the file and a hint in it.
func wantRefused(t *testing.T, path string, kind segue.Kind, text string) {
	t.Helper()
	j, err := Open(t.Context(), path, Options{})
	if err == nil {
		_, err = readAll(t.Context(), j)
		defer j.Close()
	}
	if err == nil || segue.KindOf(err) != kind {
		t.Fatalf("got %v (%s), want %s", err, segue.KindOf(err), kind)
	}
	for _, part := range []string{path, text} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if segue.HintOf(err) == "" {
		t.Errorf("%q has no hint", err)
	}
}

func TestEntriesSurviveReopening(t *testing.T) {
	path := closed(t, 300)
	j := openAt(t, path, nil)
	entries, err := readAll(t.Context(), j)
	if err != nil || len(entries) != 300 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	added, err := j.Append(t.Context(), sample(301))
	if err != nil || added[0].Index != 301 {
		t.Fatalf("append gave %v, %v", added, err)
	}
}

// A process that is killed leaves its -wal file: what Append returned is in it.
func TestEntriesSurviveACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openAt(t, path, nil)
	fill(t, j, 5)
	copied := filepath.Join(t.TempDir(), "journal.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := openAt(t, copied, nil)
	want, _ := readAll(t.Context(), j)
	got, err := readAll(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 5 {
		t.Errorf("after a crash it differs (-want +got):\n%s", diff)
	}
}

// A crash in the middle of a write leaves a torn last frame: the entries before it stay.
func TestTornWriteIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openAt(t, path, nil)
	fill(t, j, 5)
	copied := filepath.Join(t.TempDir(), "journal.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if suffix == "-wal" {
			text = text[:len(text)-100]
		}
		if err := os.WriteFile(copied+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := openAt(t, copied, nil)
	if last, err := again.Last(t.Context()); err != nil || last != 4 {
		t.Fatalf("Last() = %d, %v; want 4", last, err)
	}
	fill(t, again, 1)
}

func TestNewerFormatIsRefused(t *testing.T) {
	path := closed(t, 1)
	edit(t, path, "PRAGMA user_version = 99")
	wantRefused(t, path, segue.KindInvalid, "written by a newer segue (format 99, this one knows up to 1)")
}

// damage is one way in which a journal's file is not what it should be.
type damage struct {
	text string
	// statement is SQL; otherwise bytes are written at an offset, or the file is cut off there.
	statement string
	at        int64
	bytes     string
}

func (d damage) inflict(t *testing.T, path string) {
	t.Helper()
	if d.statement != "" {
		edit(t, path, d.statement)
		return
	}
	if d.bytes == "" {
		if err := os.Truncate(path, d.at); err != nil {
			t.Fatal(err)
		}
		return
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(d.bytes), d.at); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	for name, d := range map[string]damage{
		"no database":       {text: "no SQLite database", bytes: strings.Repeat("just text\n", 10_000)},
		"of something else": {text: "a database of something else", statement: "PRAGMA application_id = 7"},
		"header":            {text: "no SQLite database", bytes: "XXXXXXXX"},
		"page":              {text: "damaged", at: 4096, bytes: strings.Repeat("\xff", 4096)},
		"cut off":           {text: "damaged", at: 4096},
		"entry missing":     {text: "entries are missing", statement: "DELETE FROM entries WHERE idx = 2"},
		"first missing":     {text: "entries are missing", statement: "DELETE FROM entries WHERE idx = 1"},
		"body":              {text: "the checksum of entry 2 does not match", statement: `UPDATE entries SET body = replace(body, '"n":2', '"n":7') WHERE idx = 2`},
		"form": {text: "entry 2 is not readable", statement: fmt.Sprintf(
			`UPDATE entries SET body = '{"kind": 5}', sum = %d WHERE idx = 2`, checksum([]byte(`{"kind": 5}`)))},
	} {
		t.Run(name, func(t *testing.T) {
			path := closed(t, 3)
			d.inflict(t, path)
			wantRefused(t, path, segue.KindCorrupt, d.text)
		})
	}
}

func TestMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "journal.db")
	wantRefused(t, path, segue.KindNotFound, "no such file")
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20 d.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fill(t, openAt(t, path, nil), 1)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode().Perm())
		}
	}
}

// Nothing below but the journal writes to the file; a second writer is found out.
func TestSecondWriterIsFoundOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	one, other := openAt(t, path, nil), openAt(t, path, nil)
	fill(t, one, 1)
	if _, err := other.Append(t.Context(), sample(9)); segue.KindOf(err) != segue.KindConflict || segue.HintOf(err) == "" {
		t.Fatalf("append by a second writer = %v, want KindConflict", err)
	}
	fill(t, one, 1)
	if entries, err := readAll(t.Context(), one); err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// The clock was set back between two lives of the journal.
func TestTimeNeverGoesBackAcrossReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	start := time.Date(2030, 1, 1, 0, 0, 0, 7, time.UTC)
	j, err := Open(t.Context(), path, Options{Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 1)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, func() time.Time { return start.Add(-time.Hour) })
	added, err := again.Append(t.Context(), sample(2))
	if err != nil || !added[0].At.Equal(start) {
		t.Errorf("the second entry is of %v (%v), want %v", added, err, start)
	}
}

// An entry that goes missing while the journal is open is missed where it was.
func TestMissingEntryIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openAt(t, path, nil)
	fill(t, j, 600)
	for _, index := range []int{600, 300, 1} {
		edit(t, path, fmt.Sprintf("DELETE FROM entries WHERE idx = %d", index))
		entries, err := readAll(t.Context(), j)
		if want := fmt.Sprintf("entry %d is missing", index); segue.KindOf(err) != segue.KindCorrupt || !strings.Contains(err.Error(), want) {
			t.Errorf("after %d entries: %v, want %q", len(entries), err, want)
		}
	}
}
