package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onTinyDisk runs a check in a folder on a file system of one megabyte, half of it taken by a file named ballast. The test that asks is run again
// for that, as a child in a mount namespace of its own, so that nothing of the mount is left. It is skipped where that is not allowed.
func onTinyDisk(t *testing.T, check func(t *testing.T, disk string)) {
	t.Helper()
	const mark = "SEGUE_TEST_NAMESPACE"
	if os.Getenv(mark) == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		command.Env = append(os.Environ(), mark+"=1")
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := command.CombinedOutput()
		switch {
		case errors.Is(err, syscall.EPERM):
			t.Skipf("no mount namespace here: %v", err)
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		case !strings.Contains(string(out), "--- PASS"):
			t.Skipf("not run in its namespace:\n%s", out)
		}
		return // the child has done it
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("make mounts private: %v", err)
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, disk)
}
