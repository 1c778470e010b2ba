package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/cli"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/spec"
)

// stubborn fails or passes whatever it sees.
type stubborn struct{ ruling segue.Ruling }

func (s stubborn) Name() string { return "stubborn" }

func (s stubborn) Weigh(e judge.Evidence) []segue.Finding {
	text := "saw requests"
	for _, one := range e.Servers {
		if len(one.Gauges) > 0 {
			text = "saw gauges"
		}
	}
	return []segue.Finding{{Judge: "stubborn", Ruling: s.ruling, Server: "web-1", Text: text}}
}

// runJudges runs a command line with such judges, in a folder without a project's file unless one is given.
func runJudges(t *testing.T, ruling segue.Ruling, interrupted bool, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	d := cli.Dependencies{
		Stdio: cli.Stdio{In: strings.NewReader(""), Out: &stdout, Err: &stderr},
		Panel: func(*spec.Project, spec.Service) (func() []judge.Judge, error) {
			return func() []judge.Judge { return []judge.Judge{stubborn{ruling}} }, nil
		},
	}
	if interrupted {
		d.Interrupts = func() (<-chan os.Signal, func()) {
			signals := make(chan os.Signal, 1)
			signals <- os.Interrupt
			return signals, func() {}
		}
	}
	code = cli.Run(t.Context(), args, d)
	return code, stdout.String(), stderr.String()
}

func TestJudgesTryCounts(t *testing.T) {
	t.Parallel()
	base := []string{"judges", "try", "--runs", "3", "--for", "2m", "--history", "0s", "--json", "--fault"}
	for _, one := range []struct {
		fault  string
		ruling segue.Ruling
		faulty bool
		notes  int
	}{
		{"new-line", segue.RulingFail, true, 0},
		{"none", segue.RulingPass, false, 0},
		{"wording", segue.RulingHold, false, 0},
		{"leak-x0.1", segue.RulingInconclusive, true, 1},
		{"wrong-field-status", segue.RulingPass, true, 1},
	} {
		t.Run(one.fault, func(t *testing.T) {
			t.Parallel()
			code, out, errs := runJudges(t, one.ruling, false, append(slices.Clone(base), one.fault)...)
			var got struct {
				Faulty   bool
				Defaults bool
				Notes    []string
				Judges   map[string]any
				First    *struct{ Finding segue.Finding }
				Rollouts []struct {
					Seed   uint64
					Ruling segue.Ruling
					Style  string
				}
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
			}
			word := map[segue.Ruling]string{segue.RulingFail: "failed", segue.RulingHold: "held", segue.RulingPass: "passed", segue.RulingInconclusive: "inconclusive"}[one.ruling]
			if n := got.Judges[word].(map[string]any)["rollouts"]; n != 3.0 {
				t.Errorf("%v %s, want 3", n, word)
			}
			if got.Faulty != one.faulty || !got.Defaults || len(got.Notes) != one.notes || len(got.Rollouts) != 3 || got.Rollouts[2].Seed != 3 || got.Rollouts[0].Style == "" {
				t.Errorf("report %+v", got)
			}
			decided := one.ruling == segue.RulingFail || one.ruling == segue.RulingHold
			if decided != (got.First != nil) || decided && got.First.Finding.Text != "saw requests" {
				t.Errorf("first %+v: metrics that the service does not read are none of its judges' business", got.First)
			}
		})
	}
}

// Ctrl-C ends it, and what was not played is not told as if it was.
func TestJudgesAreInterrupted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"judges", "try", "--runs", "10000", "--for", "24h"},
		{"judges", "sample", "--for", "24h", "--history", "24h", "--out", t.TempDir()},
		{"judges", "try", "--runs", "10000", "--for", "24h", "--json"},
	} {
		code, out, errs := runJudges(t, segue.RulingPass, true, args...)
		if code != 1 || !strings.HasPrefix(errs, "segue: stopped ") {
			t.Errorf("%s: exit code %d, %q", args, code, errs)
		}
		if strings.Contains(strings.Join(args, " "), "--json") && !strings.Contains(out, `"kind": "canceled"`) {
			t.Errorf("%s: printed %q", args, out)
		}
	}
}

// The files of a sample say what the generator says.
func TestJudgesSampleIsTheWorlds(t *testing.T) {
	t.Parallel()
	_, out, errs := runJudges(t, "", false, "judges", "sample", "--for", "1m", "--history", "1m", "--style", "docker-json", "--seed", "9", "--fault", "stack-trace-x60", "--json")
	world := rehearsal.World{
		Seed: 9, Servers: 4, Length: 60e9, History: 60e9, Style: "docker json", Changes: []rehearsal.Change{{Kind: rehearsal.StackTrace, Size: 60}},
	}
	decoder, servers := json.NewDecoder(strings.NewReader(out)), map[segue.ServerName]int{}
	for want := range world.Written() {
		var got rehearsal.Written
		if err := decoder.Decode(&got); err != nil || got.Line != want.Line || !got.At.Equal(want.At) || got.Server != want.Server || got.Release != want.Release {
			t.Fatalf("line %+v, want %+v: %v %s", got, want, err, errs)
		}
		servers[got.Server]++
	}
	if decoder.More() || len(servers) != 4 {
		t.Errorf("more lines than the world's, or not of all servers: %v", servers)
	}
}
