package shim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
)

// logged is a log folder with three files of ten lines each.
func logged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for n := range 3 {
		var text strings.Builder
		for i := range 10 {
			fmt.Fprintf(&text, "line %d\n", (2-n)*10+i)
		}
		if err := os.WriteFile(logPath(dir, n), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTailCountsAcrossFiles(t *testing.T) {
	dir := logged(t)
	for tail, want := range map[int]struct {
		lines int
		first string
	}{
		-1: {30, "line 0"}, 0: {0, ""}, 1: {1, "line 29"}, 9: {9, "line 21"}, 10: {10, "line 20"}, 11: {11, "line 19"},
		25: {25, "line 5"}, 30: {30, "line 0"}, 1000: {30, "line 0"},
	} {
		log, err := OpenLog(t.Context(), dir, tail, false)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(log)
		if err != nil {
			t.Fatal(err)
		}
		log.Close()
		lines := strings.Fields(strings.ReplaceAll(string(text), "line ", "line_"))
		if len(lines) != want.lines || (want.lines > 0 && lines[0] != strings.ReplaceAll(want.first, " ", "_")) {
			t.Errorf("tail %d: %d lines from %.10q; want %d from %q", tail, len(lines), text, want.lines, want.first)
		}
	}
}

func TestTailOfALineThatIsNotOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(logPath(dir, 0), []byte("one\ntwo\nthr"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := LastLines(t.Context(), dir, 2); got != "two\nthr" {
		t.Errorf("the last two lines: %q", got)
	}
}

func TestFollowAcrossRotations(t *testing.T) {
	dir := t.TempDir()
	log, err := openLogFile(dir, 4096, 50)
	if err != nil {
		t.Fatal(err)
	}
	defer log.close()
	log.write([]byte("old\n"))
	reader, err := OpenLog(t.Context(), dir, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	const lines = 5000
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range lines {
			log.write(fmt.Appendf(nil, "line %d\n", i))
		}
	}()
	scanner := bufio.NewScanner(reader)
	for i := range lines {
		if !scanner.Scan() {
			t.Fatalf("it ends at line %d: %v", i, scanner.Err())
		}
		if want := fmt.Sprintf("line %d", i); scanner.Text() != want {
			t.Fatalf("%q, want %q", scanner.Text(), want)
		}
	}
	<-written
}

func TestFollowEnds(t *testing.T) {
	dir := logged(t)
	for name, end := range map[string]func(cancel func(), log io.Closer){
		"with its context": func(cancel func(), _ io.Closer) { cancel() },
		"when closed":      func(_ func(), log io.Closer) { log.Close() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		log, err := OpenLog(ctx, dir, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(log)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		go end(cancel, log)
		if _, err := lines.ReadString('\n'); !errors.Is(err, io.EOF) {
			t.Errorf("%s: it ends with %v", name, err)
		}
		cancel()
		log.Close()
	}
}

func TestNoLog(t *testing.T) {
	_, err := OpenLog(t.Context(), filepath.Join(t.TempDir(), "none"), 1, true)
	if segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("error %v, want not found", err)
	}
	// An instance that has not written yet is followed from its first line on.
	dir := t.TempDir()
	reader, err := OpenLog(t.Context(), dir, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log, err := openLogFile(dir, 4096, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer log.close()
	log.write([]byte("first\n"))
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("it reads %q, %v", line, err)
	}
}
