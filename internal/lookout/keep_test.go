package lookout_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/lookout"
)

// fleet is servers of a generated rollout, whose output lookouts may follow and read back while virtual time goes on.
type fleet struct {
	world   rehearsal.World
	servers []segue.ServerName

	mu      sync.Mutex
	written map[segue.InstanceID]*strings.Builder
	readers map[segue.InstanceID][]*io.PipeWriter
}

func newFleet(world rehearsal.World) *fleet {
	return &fleet{
		world: world, servers: world.Names(),
		written: map[segue.InstanceID]*strings.Builder{}, readers: map[segue.InstanceID][]*io.PipeWriter{},
	}
}

func (f *fleet) watched() []lookout.Watched {
	var all []lookout.Watched
	for _, name := range f.servers {
		f.written[segue.InstanceID(name)] = &strings.Builder{}
		all = append(all, lookout.Watched{Server: name, Release: rehearsal.Stable, Instance: segue.InstanceID(name), Started: time.Now().Add(-time.Hour)})
	}
	return all
}

// follow opens an output from now on.
func (f *fleet) follow(_ context.Context, id segue.InstanceID, _ int) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, w := io.Pipe()
	f.readers[id] = append(f.readers[id], w)
	return r, nil
}

// read gives an output as it is.
func (f *fleet) read(_ context.Context, id segue.InstanceID, _ int) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return io.NopCloser(strings.NewReader(f.written[id].String())), nil
}

func (f *fleet) say(id segue.InstanceID, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written[id].WriteString(line + "\n")
	for _, w := range f.readers[id] {
		_, _ = io.WriteString(w, line+"\n") // whoever has left hears nothing
	}
}

// speak lets servers say their lines until a time. Nobody says anything in the last seconds of a minute, so that all is said that was begun.
func (f *fleet) speak(ctx context.Context) {
	for line := range f.world.Written() {
		if line.At.Truncate(time.Minute).Add(57 * time.Second).Before(line.At) {
			continue
		}
		timer := time.NewTimer(time.Until(line.At))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		f.say(segue.InstanceID(line.Server), line.Line)
	}
}

// watch starts a lookout, which ends with stop. With back, it reads back what was written before.
func (f *fleet) watch(t *testing.T, file string, back bool, instances []lookout.Watched) (l *lookout.Lookout, stop func()) {
	t.Helper()
	options := lookout.Options{Logs: f.follow, File: file, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if back {
		options.Written = f.read
	}
	l = lookout.New(options)
	l.Recall(t.Context(), time.Time{})
	l.See(instances)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	l.Await(t.Context())
	return l, func() { cancel(); <-done }
}

// judged is what judges were given and said.
type judged struct {
	before  []judge.Evidence
	windows []judge.Evidence
	said    [][]segue.Finding
}

// play watches a rollout, with a restart of whoever watches after some minutes of the past; 0 for none.
func play(t *testing.T, world rehearsal.World, restart int) (told judged) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		world.Start = time.Now().Add(world.History)
		f := newFleet(world)
		instances := f.watched()
		file := filepath.Join(t.TempDir(), "past", "web.jsonl.gz")
		l, stop := f.watch(t, file, false, instances)
		defer func() { stop() }()
		speaking, silence := context.WithCancel(t.Context())
		defer silence()
		go f.speak(speaking)
		judges, minutes := []judge.Judge{logs.New(logs.Config{}), metrics.New(metrics.Config{})}, 0
		for window := range world.Windows() {
			for _, minute := range window.Before {
				<-time.After(time.Until(minute.Until))
				synctest.Wait()
				l.Remember(bare(minute))
				if minutes++; minutes == restart {
					stop()
					l, stop = f.watch(t, file, false, instances)
					synctest.Wait()
				}
			}
			if window.Before != nil {
				told.before = l.Begin(window.Since, bare(window).Servers)
			}
			<-time.After(time.Until(window.Until))
			synctest.Wait()
			window = bare(window)
			if l.Fill(&window); len(told.windows) == 0 {
				window.Before = told.before
			}
			told.windows = append(told.windows, window)
			var said []segue.Finding
			for _, j := range judges {
				said = append(said, j.Weigh(window)...)
			}
			told.said = append(told.said, said)
		}
	})
	return told
}

// bare takes out of a generated window what a lookout adds.
func bare(e judge.Evidence) judge.Evidence {
	e.Before, e.Templates, e.Merged = nil, nil, nil
	e.Servers = append([]judge.ServerEvidence(nil), e.Servers...)
	for i := range e.Servers {
		e.Servers[i].Logs, e.Servers[i].LogsRead = nil, false
	}
	return e
}

// TestARestartChangesNoJudgment: what a lookout has kept gives the same evidence and the same judgments, to the last digit, as if it had never ended.
func TestARestartChangesNoJudgment(t *testing.T) {
	t.Parallel()
	styles, none := rehearsal.Styles(), cmpopts.EquateEmpty() // nothing counted is stored as nothing
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		world := rehearsal.World{
			Seed: seed, Servers: 2 + random.IntN(3), History: 25 * time.Minute, Length: 5 * time.Minute, Restarts: -1, Templates: 120,
			Style:   styles[random.IntN(len(styles))].Name,
			Changes: []rehearsal.Change{{Kind: rehearsal.NewLine, Size: 3, Severity: "error"}, {Kind: rehearsal.MoreErrors, Size: 3}},
		}
		restart := 1 + random.IntN(24)
		never, again := play(t, world, 0), play(t, world, restart)
		for _, differ := range []string{
			cmp.Diff(never.before, again.before, none), cmp.Diff(never.windows, again.windows, none), cmp.Diff(never.said, again.said, none),
		} {
			if differ != "" {
				t.Fatalf("seed %d, style %s, restart after %d min (-never +again):\n%.3000s", seed, world.Style, restart, differ)
			}
		}
		if len(never.before) < 25 || len(never.said) < 20 {
			t.Fatalf("seed %d: %d minutes before, %d windows", seed, len(never.before), len(never.said))
		}
	}
}

// TestWhatCannotBeUsedIsPassedOver: a file that is broken, of another version, of the future or old is no fault, and nothing of it counts.
func TestWhatCannotBeUsedIsPassedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "web.jsonl.gz")
		written := func() []byte {
			l := lookout.New(lookout.Options{File: file})
			l.Remember(judge.Evidence{Since: time.Now().Add(-time.Minute), Until: time.Now(), Servers: []judge.ServerEvidence{{Server: "web-1", Requests: 5}}})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			l.Run(ctx)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		known := func(clean time.Time) int {
			l := lookout.New(lookout.Options{File: file})
			l.Recall(t.Context(), clean)
			return len(l.Past(time.Now(), nil))
		}
		whole := written()
		if n := known(time.Time{}); n != 1 {
			t.Errorf("%d minutes are known, want 1", n)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file's mode: %v, %v", info.Mode(), err)
		}
		if n := known(time.Now()); n != 0 {
			t.Errorf("%d minutes are known of before a rollout ended", n)
		}
		for n := range whole {
			if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if n := known(time.Time{}); n != 0 {
				t.Fatalf("%d minutes are known of a file that is cut", n)
			}
			broken := append([]byte(nil), whole...)
			broken[n] ^= 0x10
			if err := os.WriteFile(file, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = known(time.Time{}) // a header's time may be another one: it does not matter
		}
		written()
		<-time.After(time.Hour)
		if n := known(time.Time{}); n != 0 {
			t.Errorf("%d minutes are known after an hour", n)
		}
	})
}
