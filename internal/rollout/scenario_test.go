package rollout_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

var update = flag.Bool("update", false, "write the expected traces of testdata/*.txt anew")

// TestScenarios plays the files in testdata. A file is a list of blocks: commands, one per line, then "----", then the whole trace that
// they must give, up to an empty line. Lines that begin with # are for people. See scenario.do for the commands.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{world: newWorld(), settings: settingsOf(nil), check: true}
	var got strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		got.WriteString(commands + "\n")
		if !onlyComments(commands) {
			got.WriteString("----\n" + s.play(t, commands))
		}
		got.WriteString("\n")
	}
	result := strings.TrimRight(got.String(), "\n") + "\n"
	if s.check {
		for _, violation := range s.verify(s.settings.Balanced) {
			t.Error(violation)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(result), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), result); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func onlyComments(block string) bool {
	for line := range strings.SplitSeq(block, "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// scenario is a world that is played by lines of text.
type scenario struct {
	*world
	settings segue.Service
	// check is off in files that tell the journal what never happened in the world.
	check bool
	last  segue.Event
	was   string
	out   strings.Builder
}

func (s *scenario) play(t *testing.T, commands string) string {
	t.Helper()
	s.out.Reset()
	for line := range strings.SplitSeq(commands, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.do(strings.Fields(line)); err != nil {
			fmt.Fprintf(&s.out, "%s: %v\n", segue.KindOf(err), err)
			if hint := segue.HintOf(err); hint != "" {
				fmt.Fprintf(&s.out, "  hint: %s\n", hint)
			}
		}
	}
	return s.out.String()
}

// do carries one line out.
func (s *scenario) do(words []string) error {
	rest := words[1:]
	switch words[0] {
	case "service": // service servers=4 min=3 batches=1,50% bake=10m surge ...
		s.settings = settingsOf(rest)
		s.feed(segue.Event{Kind: segue.EventServiceConfigured, Service: "web", Settings: &s.settings, Config: "sha256:c"})
	case "fleet": // fleet v1: every server runs it, and it is stable
		s.found(segue.ReleaseName(rest[0]))
	case "deploy": // deploy v2 [breaking] [queued]
		return s.deploy(rest)
	case "done", "fail", "verdict": // see answer.go
		return s.reply(words[0], rest)
	case "run": // answer everything well, in order, until only observations are left, or a word matches a command
		s.runOn(rest)
	case "order":
		return s.give(rest)
	case "down", "up", "join", "leave", "stray", "rotation":
		s.happen(words[0], rest)
	case "again": // the last event once more
		s.show(s.feed(s.last))
	case "tick":
		d, err := time.ParseDuration(rest[0])
		s.now = s.now.Add(d)
		return err
	case "crash": // fold the journal again, from its beginning
		return s.crash()
	case "fleet?":
		s.showFleet()
	case "sentence":
		s.showSentence()
	case "unchecked":
		s.check = false
	default:
		return fmt.Errorf("no such line: %q", words)
	}
	return nil
}

func settingsOf(options []string) segue.Service {
	service := segue.Service{
		Name: "web", MinReady: 0, Balanced: true, RollbackWindow: time.Hour,
		Strategy: segue.Strategy{Kind: segue.Rolling, Bake: 10 * time.Minute, MaxUnavailable: 1, OnFailure: segue.FailRollback},
		Timing:   segue.Timing{Ready: 30 * time.Second, Drain: time.Minute, Grace: 10 * time.Second},
	}
	servers, partitions := 2, 1
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch key {
		case "servers":
			servers = n
		case "partitions":
			partitions = n
		case "min":
			service.MinReady = n
		case "width":
			service.Strategy.MaxUnavailable = n
		case "bake":
			service.Strategy.Bake = d
		case "bake-each":
			service.Strategy.BakeEach = true
		case "approve":
			service.Strategy.Approve = true
		case "surge":
			service.Strategy.Surge, service.CanSurge = true, true
		case "parallel":
			service.Strategy.Kind, service.Strategy.Surge, service.CanSurge = segue.Parallel, true, true
			service.Judging.Mirror = &segue.Mirror{Share: 0.1, For: time.Minute}
		case "workers":
			service.Balanced = false
		case "all-at-once":
			service.Strategy.Kind = segue.AllAtOnce
		case "hold":
			service.Strategy.OnFailure = segue.FailHold
		case "crashes":
			service.Limits.Crashes = n
		case "wait":
			service.Limits.Wait = d
		}
	}
	for i := range servers {
		server := segue.Server{Name: segue.ServerName(fmt.Sprintf("web-%d", i+1))}
		if partitions > 1 {
			server.Partition = segue.PartitionName(rune('a' + i*partitions/servers))
		}
		service.Servers = append(service.Servers, server)
	}
	return service
}

func release(name string) segue.Release {
	return segue.Release{Service: "web", Name: segue.ReleaseName(name), Digest: segue.Digest("sha256:" + name), Config: "sha256:c"}
}

// found makes every server run a release, by way of a first deploy that the journal tells.
func (s *scenario) found(name segue.ReleaseName) {
	if _, err := s.open(s.settings, segue.Release{}, release(string(name)), false); err != nil {
		panic(err)
	}
	for len(s.pending) > 0 {
		s.answer(s.take(0))
	}
}

func (s *scenario) deploy(rest []string) error {
	candidate := release(rest[0])
	queued := false
	for _, word := range rest[1:] {
		candidate.Breaking = candidate.Breaking || word == "breaking"
		queued = queued || word == "queued"
	}
	commands, err := s.open(s.settings, s.ledger.Services["web"].Stable, candidate, queued)
	s.last = s.entries[len(s.entries)-1].Event
	s.show(commands)
	return err
}

// crash forgets the ledger, folds the journal again and is handed what was outstanding.
func (s *scenario) crash() error {
	var again rollout.Ledger
	for _, entry := range s.entries {
		again, _ = again.Apply(entry)
	}
	if diff := differ(s.ledger, again); diff != "" {
		return fmt.Errorf("the journal gives another state (-before +after): %s", diff)
	}
	s.ledger, s.pending = again, again.Outstanding()
	fmt.Fprintf(&s.out, "handed out again:\n")
	s.show(s.pending)
	return nil
}
