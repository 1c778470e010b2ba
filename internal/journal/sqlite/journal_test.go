package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/journal"
	"github.com/segue-deploy/segue/internal/journal/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openAt(t *testing.T, path string, now func() time.Time) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path, Options{Now: now})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

func TestConformance(t *testing.T) {
	journaltest.Suite(t, func(t *testing.T, now func() time.Time) journal.Journal {
		t.Helper()
		return openAt(t, filepath.Join(t.TempDir(), "journal.db"), now)
	})
}
