package cluster

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestSweepLeavesWhoBegins makes folders in two loops, as two starters do, each sweeping what others left: none may lose its own.
func TestSweepLeavesWhoBegins(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var starters sync.WaitGroup
	for range 2 {
		starters.Go(func() {
			for range 300 {
				c := &Cluster{}
				if err := c.makeFolders(""); err != nil {
					t.Error(err)
					return
				}
				sweep()
				if _, err := os.Stat(c.sockets); err != nil {
					t.Errorf("swept away while it is held: %v", err)
				}
				_ = c.lock.Close()
				if filepath.Dir(c.sockets) != c.dir {
					_ = os.RemoveAll(c.sockets)
				}
			}
		})
	}
	starters.Wait()
	sweep()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*")); len(left) > 0 {
		t.Errorf("left over, and not swept: %q", left)
	}
}

// TestHoldIsForOne takes the lock of a folder twice, and again when it is free.
func TestHoldIsForOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := hold(dir); err == nil {
		_ = second.Close()
		t.Error("two hold the same folder")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files, want the lock alone", len(files))
	}
}
