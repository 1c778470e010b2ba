package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/judge"
)

// TestEvidenceIsKeptForAMonthAndOfTheLatestRollouts lets rollouts end whose evidence has every age: what is old goes, but not of the latest fifty.
func TestEvidenceIsKeptForAMonthAndOfTheLatestRollouts(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	store := &controller.FileEvidence{Folder: t.TempDir()}
	name := func(id segue.RolloutID, part int) string {
		return filepath.Join(store.Folder, fmt.Sprintf("%d-%d.jsonl.gz", id, part))
	}
	aged := func(path string, age time.Duration) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	for id := segue.RolloutID(1); id <= 59; id++ {
		aged(name(id, 1), 40*day)
	}
	aged(name(2, 2), 29*day) // the end of what began before
	aged(name(3, 1), 31*day)
	aged(name(3, 2), 31*day)
	aged(name(4, 1), 29*day)
	others := filepath.Join(store.Folder, "5-1.jsonl.gz.saved")
	aged(others, 400*day)
	if err := store.Append(60, judge.Evidence{}); err != nil {
		t.Fatal(err)
	}
	if err := store.Done(60); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{name(2, 1): true, name(2, 2): true, name(4, 1): true, others: true}
	for id := segue.RolloutID(11); id <= 60; id++ {
		want[name(id, 1)] = true
	}
	left, err := filepath.Glob(filepath.Join(store.Folder, "*"))
	if err != nil || len(left) != len(want) {
		t.Errorf("%d files are left, want %d (%v)", len(left), len(want), err)
	}
	for _, path := range left {
		if !want[path] {
			t.Errorf("%s is still there", filepath.Base(path))
		}
	}
	for _, err := range store.Windows(3) {
		if segue.KindOf(err) != segue.KindNotFound {
			t.Errorf("evidence that is gone: %v", err)
		}
	}
	for _, err := range store.Windows(60) {
		if err != nil {
			t.Error(err)
		}
	}
}
