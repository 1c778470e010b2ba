package process_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/process"
)

// BenchmarkStartStop measures what the driver adds to an instance's own boot and end: a worker that is up at once and ends at once.
func BenchmarkStartStop(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	project := b.TempDir()
	if err := os.MkdirAll(filepath.Join(project, "releases/v1"), 0o755); err != nil {
		b.Fatal(err)
	}
	d, err := process.New(process.Options{StateDir: b.TempDir(), Self: []string{self, "shim"}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	config := process.Config{
		Command: []string{"/bin/sleep", "1000"}, Artifact: "./releases/{release}", Dir: project, Worker: true,
		Ready: process.Ready{Command: []string{"/bin/true"}},
	}
	digest, _, err := d.Digest(b.Context(), config, "v1")
	if err != nil {
		b.Fatal(err)
	}
	release := segue.Release{Service: "web", Name: "v1", Digest: digest}
	if err := d.Stage(b.Context(), config, release); err != nil {
		b.Fatal(err)
	}
	var start, ready, stop time.Duration
	for i := 0; b.Loop(); i++ {
		launch := launchOf(release, config, segue.RolloutID(i))
		t0 := time.Now()
		if _, err := d.Start(b.Context(), launch); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := d.AwaitReady(b.Context(), launch.ID); err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		if err := d.Stop(b.Context(), launch.ID); err != nil {
			b.Fatal(err)
		}
		start, ready, stop = start+t1.Sub(t0), ready+t2.Sub(t1), stop+time.Since(t2)
	}
	for name, total := range map[string]time.Duration{"ms/start": start, "ms/ready": ready, "ms/stop": stop} {
		b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), name)
	}
}

// BenchmarkDigest measures the digest of a folder with many files.
func BenchmarkDigest(b *testing.B) {
	project := b.TempDir()
	text := make([]byte, 10<<10)
	for i := range 10000 {
		path := filepath.Join(project, "releases/v1", string(rune('a'+i%26)), "file"+itoa(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	d, err := process.New(process.Options{StateDir: b.TempDir(), Self: []string{"/bin/true"}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	config := process.Config{Command: []string{"./releases/{release}/x"}, Dir: project}
	b.SetBytes(10000 * 10 << 10)
	for b.Loop() {
		if _, _, err := d.Digest(b.Context(), config, "v1"); err != nil {
			b.Fatal(err)
		}
	}
}
