package shim

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// spooled is an output with a spool that the test writes to, as a command does.
func spooled(t *testing.T, bytes int64, files int) (o *output, command *os.File, logs string) {
	t.Helper()
	dir, logs := t.TempDir(), filepath.Join(t.TempDir(), "logs")
	o, err := openOutput(dir, Spec{LogDir: logs, LogBytes: bytes, LogFiles: files})
	if err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(filepath.Join(dir, spoolFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Close(); o.close() })
	return o, command, logs
}

func write(t *testing.T, file *os.File, text string) {
	t.Helper()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// all reads what a log folder has, oldest first.
func all(t *testing.T, dir string) string {
	t.Helper()
	log, err := OpenLog(t.Context(), dir, -1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var text strings.Builder
	if _, err := bufio.NewReader(log).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestOutputArrivesWhole(t *testing.T) {
	o, command, logs := spooled(t, 1<<20, 100)
	var want strings.Builder
	for i := range 2000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i%1500))
		want.WriteString(line)
		write(t, command, line)
		if i%100 == 0 {
			o.drain()
		}
	}
	o.drain()
	if got := all(t, logs); got != want.String() {
		t.Errorf("%d bytes arrived of %d", len(got), want.Len())
	}
	if entries, err := os.ReadDir(logs); err != nil || len(entries) < 2 {
		t.Errorf("there are %d files: it did not rotate; %v", len(entries), err)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(o.spool.Name(), &stat); err != nil {
		t.Fatal(err)
	}
	if used := stat.Blocks * 512; !o.noPunch && used > punchBytes+2*reserveBytes {
		t.Errorf("the spool takes %d bytes of the disk for %d that were read", used, stat.Size)
	}
}

func TestNextShimGoesOnAtTheCursor(t *testing.T) {
	dir, logs := t.TempDir(), t.TempDir()
	spec := Spec{LogDir: logs, LogBytes: 1 << 20, LogFiles: 2}
	first, err := openOutput(dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	command, err := os.OpenFile(filepath.Join(dir, spoolFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	write(t, command, "one\ntw")
	first.drain()
	first.close()
	write(t, command, "o\nthree\n")
	second, err := openOutput(dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	second.drain()
	second.close()
	if got := all(t, logs); got != "one\ntwo\nthree\n" {
		t.Errorf("the log has %q", got)
	}
}

func TestSpoolIsEmptiedBetweenCommands(t *testing.T) {
	o, command, logs := spooled(t, 1<<20, 2)
	write(t, command, "one\n")
	o.reset() // not drained: nothing may be lost
	o.drain()
	o.reset()
	if info, err := o.spool.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the spool's size: %v, %v", info.Size(), err)
	}
	write(t, command, "two\n")
	o.drain()
	if got := all(t, logs); got != "one\ntwo\n" {
		t.Errorf("the log has %q", got)
	}
}

// TestSpoolWithoutPunching is for file systems that cannot give room back.
func TestSpoolWithoutPunching(t *testing.T) {
	o, command, logs := spooled(t, 64<<20, 2)
	o.noPunch = true
	line := strings.Repeat("x", 1<<20-1) + "\n"
	for range truncateBytes>>20 + 1 {
		write(t, command, line)
		o.drain()
	}
	if info, err := o.spool.Stat(); err != nil || info.Size() > truncateBytes {
		t.Errorf("the spool's size: %v, %v", info.Size(), err)
	}
	if got := all(t, logs); len(got) != (truncateBytes>>20+1)<<20 {
		t.Errorf("%d bytes arrived", len(got))
	}
}

func TestLogFilesEndWithALine(t *testing.T) {
	o, command, logs := spooled(t, 4096, 3)
	for i := range 1000 {
		write(t, command, fmt.Sprintf("this is line %d\n", i))
	}
	o.drain()
	for n := range 3 {
		text, err := os.ReadFile(logPath(logs, n))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 || len(text) > 4096 || text[len(text)-1] != '\n' || !strings.HasPrefix(string(text), "this is line") {
			t.Errorf("file %d: %d bytes, begins %.20q", n, len(text), text)
		}
	}
	if _, err := os.Stat(logPath(logs, 3)); err == nil {
		t.Error("there is a file too many")
	}
	// A line longer than a file is broken, and nothing of it is lost.
	write(t, command, strings.Repeat("y", 9000)+"\nshort\n")
	o.drain()
	if got := all(t, logs); strings.Count(got, "y") != 9000 || !strings.HasSuffix(got, "y\nshort\n") {
		t.Errorf("%d bytes of the long line arrived", strings.Count(got, "y"))
	}
}

func TestFullDiskDropsAndCounts(t *testing.T) {
	o, command, logs := spooled(t, 1<<20, 2)
	write(t, command, "before\n")
	o.drain()
	real := o.log.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	o.log.file = full
	write(t, command, "lost\n")
	o.drain()
	if got := o.droppedBytes(); got != 5 {
		t.Errorf("%d bytes are counted, want 5", got)
	}
	o.log.file = real
	write(t, command, "after\n")
	o.drain()
	want := "before\n[segue: 5 bytes of output dropped here: no room for the log]\nafter\n"
	if got := all(t, logs); got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// TestFullDiskDoesNotReachTheCommand fills a small file system for real.
func TestFullDiskDoesNotReachTheCommand(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small file system is needed: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	o, err := openOutput(dir, Spec{LogDir: filepath.Join(dir, "logs"), LogBytes: 64 << 10, LogFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	command, err := os.OpenFile(filepath.Join(dir, spoolFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	hog, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4096); ; {
		if _, err := hog.Write(chunk); err != nil {
			break
		}
	}
	hog.Close()
	// Much more than is free: what was read makes room for what comes.
	line := strings.Repeat("z", 1023) + "\n"
	for i := range 4000 {
		if _, err := command.WriteString(line); err != nil {
			t.Fatalf("write %d of the command fails: %v", i, err)
		}
		if i%100 == 99 {
			o.drain()
		}
	}
	if o.droppedBytes() == 0 {
		t.Error("nothing is counted as dropped")
	}
	if err := os.Remove(filepath.Join(dir, "hog")); err != nil {
		t.Fatal(err)
	}
	write(t, command, "room again\n")
	o.drain()
	if got := all(t, filepath.Join(dir, "logs")); !strings.Contains(got, "bytes of output dropped here") || !strings.HasSuffix(got, "room again\n") {
		t.Errorf("the log ends with %q", got[max(0, len(got)-200):])
	}
}

func TestLogFolderRemovedWhileRunning(t *testing.T) {
	o, command, logs := spooled(t, 4096, 2)
	write(t, command, strings.Repeat("a", 4000)+"\n")
	o.drain()
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	write(t, command, strings.Repeat("b", 4000)+"\n")
	o.drain()
	write(t, command, "again\n")
	o.drain()
	if got := all(t, logs); !strings.HasSuffix(got, "again\n") {
		t.Errorf("the log has %d bytes", len(got))
	}
}

func TestOutputRunsUntilTheEnd(t *testing.T) {
	o, command, logs := spooled(t, 1<<20, 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.run(ctx) }()
	log, err := OpenLog(t.Context(), logs, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	write(t, command, "seen\n")
	if line, err := bufio.NewReader(log).ReadString('\n'); err != nil || line != "seen\n" {
		t.Errorf("the log says %q, %v", line, err)
	}
	write(t, command, "last\n")
	cancel()
	<-done
	if got := all(t, logs); got != "seen\nlast\n" {
		t.Errorf("the log has %q", got)
	}
}
