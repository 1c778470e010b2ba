package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJudgesOfAProjectAreTried plays rollouts before the judges that a file asks for.
func TestJudgesOfAProjectAreTried(t *testing.T) {
	t.Parallel()
	const project = `project: shop
services:
  web:
    workload: {driver: process, servers: 4, artifact: "./{release}", command: ["{artifact}", --listen, "{address}"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
  quiet:
    workload: {driver: process, servers: 4, artifact: "./{release}", command: ["{artifact}", --listen, "{address}"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8081"}
    judges: {budget: off, latency: off}
`
	const caveats = `caveats:
  - {id: broken, match: "nothing that is generated", owner: ana, reason: none, expires: 2020-01-31}
`
	dir := t.TempDir()
	for name, text := range map[string]string{"segue.yaml": project, "caveats.yaml": caveats} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for service, want := range map[string]float64{"web": 2, "quiet": 0} {
		var out, errs bytes.Buffer
		args := []string{
			"judges", "try", service, "-f", filepath.Join(dir, "segue.yaml"), "--fault", "stack-trace-x30", "--runs", "2", "--for", "10m", "--history", "30m", "--json",
		}
		if code := Main(t.Context(), args, Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		var report struct {
			Judges struct{ Failed struct{ Rollouts float64 } }
			Naive  struct{ Failed struct{ Rollouts float64 } }
		}
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		if report.Judges.Failed.Rollouts != want || report.Naive.Failed.Rollouts != 2 {
			t.Errorf("%s: %s", service, out.String())
		}
	}
}
