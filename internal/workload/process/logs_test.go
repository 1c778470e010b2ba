package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-deploy/segue/internal/workload/process"
)

func TestLogsAreFollowedAcrossRotations(t *testing.T) {
	r := newRig(t)
	config := r.web("")
	config.Log = process.Log{MaxBytes: 16 << 10, Files: 100}
	instance := r.ready(config)
	log := r.lines(instance.ID, true)
	const lines = 5000
	r.get(instance.Address, "/log", "text", "a line of output", "times", fmt.Sprint(lines))
	r.line(log, "a line of output 0")
	for i := 1; i < lines; i++ {
		if !log.Scan() || log.Text() != fmt.Sprintf("a line of output %d", i) {
			t.Fatalf("line %d is %q, %v", i, log.Text(), log.Err())
		}
	}
	files, err := filepath.Glob(filepath.Join(r.state, "logs/web", string(instance.ID), "output.log*"))
	if err != nil || len(files) < 5 {
		t.Errorf("there are %d files, %v: it did not rotate", len(files), err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 16<<10 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

func TestLogsAreBounded(t *testing.T) {
	r := newRig(t)
	config := r.web("")
	config.Log = process.Log{MaxBytes: 4096, Files: 2}
	instance := r.ready(config)
	r.get(instance.Address, "/log", "text", "a line of output", "times", "5000")
	r.get(instance.Address, "/log", "text", "the end")
	r.line(r.lines(instance.ID, true), "the end")
	total := int64(0)
	files, err := filepath.Glob(filepath.Join(r.state, "logs/web", string(instance.ID), "output.log*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			total += info.Size()
		}
	}
	if err != nil || len(files) != 2 || total > 8192 {
		t.Errorf("%d files of %d bytes, %v", len(files), total, err)
	}
	// The spool's room was given back, too; what is left of it is reserved for the next writes.
	log, err := r.driver.Logs(r.ctx, instance.ID, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var last [64]byte
	if n, err := log.Read(last[:]); err != nil || string(last[:n]) != "the end 0\n" {
		t.Errorf("the last line is %q, %v", last[:n], err)
	}
}
