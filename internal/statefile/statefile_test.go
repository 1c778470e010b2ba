package statefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
)

type note struct {
	Text string `json:"text"`
}

func TestReadGivesWhatWriteGot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "note.json")
	for _, text := range []string{"first", "second, with <html> & unicode ü"} {
		if err := statefile.Write(path, note{text}); err != nil {
			t.Fatal(err)
		}
		var got note
		if err := statefile.Read(path, &got); err != nil || got.Text != text {
			t.Errorf("Read = %q, %v; want %q", got.Text, err, text)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temp files left: %v, %v", left, err)
	}
}

func TestReadNamesCorruptedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "note.json")
	if err := statefile.Write(path, note{"hello"}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut short": string(good[:len(good)/2]),
		"changed":   strings.Replace(string(good), "hello", "hullo", 1),
		"empty":     "",
		"binary":    "\x00\x01\x02",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var got note
			err := statefile.Read(path, &got)
			if segue.KindOf(err) != segue.KindCorrupt || !strings.Contains(err.Error(), path) {
				t.Errorf("Read = %v, want a corrupt error that names the file", err)
			}
		})
	}
}

func TestReadOfNothing(t *testing.T) {
	err := statefile.Read(filepath.Join(t.TempDir(), "none.json"), &note{})
	if segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("Read = %v, want not found", err)
	}
}

func TestWriteLeavesOldContentWhenItCannot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing-folder", "note.json")
	if err := statefile.Write(path, note{"x"}); err == nil {
		t.Error("Write into a missing folder gave no error")
	}
}
