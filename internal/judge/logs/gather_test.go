package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a process's output that a gatherer follows.
type output struct {
	*io.PipeWriter
	done chan error
}

func follow(g *logs.Gatherer, server segue.ServerName, instance string) output {
	r, w := io.Pipe()
	o := output{PipeWriter: w, done: make(chan error, 1)}
	go func() { o.done <- g.Follow(logs.Output{Server: server, Instance: instance, Name: "stdout"}, r) }()
	synctest.Wait()
	return o
}

func (o output) say(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(o, format+"\n", args...); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (o output) end(t *testing.T) {
	t.Helper()
	o.Close()
	if err := <-o.done; err != nil {
		t.Fatal(err)
	}
}

// filled is the window of the last seconds.
func filled(g *logs.Gatherer, last time.Duration, servers ...segue.ServerName) judge.Evidence {
	now := time.Now()
	e := judge.Evidence{Since: now.Add(-last), Until: now}
	for _, name := range servers {
		e.Servers = append(e.Servers, judge.ServerEvidence{Server: name, Release: "v1"})
	}
	g.Fill(&e)
	return e
}

// said gives units and events by the template's text, per server.
func said(e judge.Evidence, texts map[string]string) map[segue.ServerName]map[string][2]int64 {
	for _, t := range e.Templates {
		texts[t.ID] = t.Text
	}
	all := map[segue.ServerName]map[string][2]int64{}
	for _, s := range e.Servers {
		for _, n := range s.Logs {
			if all[s.Server] == nil {
				all[s.Server] = map[string][2]int64{}
			}
			all[s.Server][texts[n.Template]] = [2]int64{n.Units, n.Events}
		}
	}
	return all
}

type saidBy = map[segue.ServerName]map[string][2]int64

func TestGatherCountsClosedSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, texts := logs.NewGatherer(), map[string]string{}
		one, two := follow(g, "web-1", "a"), follow(g, "web-2", "a")
		one.say(t, "ERROR order 1 refused")
		one.say(t, "ERROR order 2 refused")
		two.say(t, "ready on web-2")
		<-time.After(9 * time.Second)
		if got := said(filled(g, 9*time.Second, "web-1", "web-2"), texts); len(got) > 0 {
			t.Errorf("the slot is still open: %v", got)
		}
		<-time.After(2 * time.Second)
		one.say(t, "ERROR order 3 refused")
		first := filled(g, 2*time.Second, "web-1", "web-2")
		want := saidBy{"web-1": {"order <*> refused": {1, 2}}, "web-2": {"ready on <*>": {1, 1}}}
		if diff := cmp.Diff(want, said(first, texts)); diff != "" {
			t.Error(diff)
		}
		if !first.Servers[0].LogsRead || first.Templates[0].Severity != "error" || first.Templates[0].Born != 1 || first.Templates[0].Sample == "" {
			t.Errorf("%+v", first)
		}
		<-time.After(10 * time.Second)
		second := filled(g, 10*time.Second, "web-1", "web-2")
		if diff := cmp.Diff(saidBy{"web-1": {"order <*> refused": {1, 1}}}, said(second, texts)); diff != "" || len(second.Templates) > 0 {
			t.Errorf("%s %+v", diff, second.Templates)
		}
		one.end(t)
		two.end(t)
	})
}

func TestGatherTellsWhenNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := logs.NewGatherer()
		one := follow(g, "web-1", "a")
		<-time.After(10 * time.Second)
		read := func(last time.Duration) bool { return filled(g, last, "web-1").Servers[0].LogsRead }
		if !read(10*time.Second) || filled(g, time.Second, "web-9").Servers[0].LogsRead {
			t.Error("read and not read are not told apart")
		}
		one.end(t)
		<-time.After(10 * time.Second)
		if read(10*time.Second) || read(20*time.Second) {
			t.Error("a stream that ended counts as read")
		}
		again := follow(g, "web-1", "a")
		<-time.After(10 * time.Second)
		if !read(10*time.Second) || read(11*time.Second) {
			t.Error("a stream that is back does not count from then on")
		}
		again.end(t)
		<-time.After(time.Second)
		next := follow(g, "web-1", "b")
		<-time.After(time.Second)
		if !read(5 * time.Second) {
			t.Error("there was nothing to read between two processes")
		}
		next.CloseWithError(errors.New("reset"))
		if err := <-next.done; err == nil || !strings.Contains(err.Error(), "read stdout of web-1: reset") {
			t.Error(err)
		}
		last := follow(g, "web-1", "c")
		<-time.After(time.Second)
		if read(2*time.Second) || !read(time.Second) {
			t.Error("after a failure nobody knows what was missed")
		}
		last.end(t)
	})
}

// What the instance before wrote is not the new one's, not even in the same slot; the history has both.
func TestGatherTellsInstancesApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, texts := logs.NewGatherer(), map[string]string{}
		old := follow(g, "web-1", "a")
		<-time.After(time.Minute)
		old.say(t, "ERROR shutting down in haste")
		old.say(t, "INFO both say this")
		old.end(t)
		fresh := follow(g, "web-1", "b")
		fresh.say(t, "INFO both say this")
		fresh.say(t, "INFO a new one begins")
		<-time.After(10 * time.Second)
		want := saidBy{"web-1": {"both say this": {1, 1}, "a new one begins": {1, 1}}}
		if diff := cmp.Diff(want, said(filled(g, 10*time.Second, "web-1"), texts)); diff != "" {
			t.Error(diff)
		}
		before := g.Begin(time.Time{}, time.Now(), []judge.ServerEvidence{{Server: "web-1", Release: "v1"}})
		want["web-1"]["both say this"] = [2]int64{1, 2}
		want["web-1"]["shutting down in haste"] = [2]int64{1, 1}
		if len(before) != 1 {
			t.Fatalf("%+v", before)
		}
		if diff := cmp.Diff(want, said(before[0], texts)); diff != "" {
			t.Error(diff)
		}
		fresh.end(t)
	})
}

func TestGatherLeavesOutLastWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, texts := logs.NewGatherer(), map[string]string{}
		old := follow(g, "web-1", "a")
		g.Await(map[segue.ServerName]string{"web-1": "a", "web-2": "a"})
		<-time.After(11 * time.Second)
		old.say(t, "ERROR interrupted while stopping")
		old.end(t)
		g.Await(map[segue.ServerName]string{"web-1": "b"})
		<-time.After(10 * time.Second)
		between := filled(g, 10*time.Second, "web-1")
		if got := said(between, texts); len(got) > 0 || between.Servers[0].LogsRead {
			t.Errorf("the instance before said %v, read %v", got, between.Servers[0].LogsRead)
		}
		next := follow(g, "web-1", "b")
		next.say(t, "ERROR no such table")
		<-time.After(10 * time.Second)
		want := saidBy{"web-1": {"no such table": {1, 1}}}
		if diff := cmp.Diff(want, said(filled(g, 10*time.Second, "web-1"), texts)); diff != "" {
			t.Error(diff)
		}
		next.end(t)
	})
}

func TestGatherKeepsAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := logs.NewGatherer()
		one := follow(g, "web-1", "a")
		for range 90 * 3 {
			one.say(t, "INFO tick")
			<-time.After(20 * time.Second)
		}
		servers := []judge.ServerEvidence{{Server: "web-1", Release: "v1", Started: time.Now()}}
		before := g.Begin(time.Time{}, time.Now(), servers)
		if len(before) != 60 {
			t.Fatalf("%d slices", len(before))
		}
		for i, e := range before {
			s := e.Servers[0]
			if len(s.Logs) != 1 || s.Logs[0].Events != 3 || s.Logs[0].Units != 3 || !s.LogsRead || s.Release != "v1" || e.Length() != time.Minute {
				t.Errorf("slice %d: %+v", i, e)
			}
			if (len(e.Templates) > 0) != (i == 0) {
				t.Errorf("slice %d tells of %v", i, e.Templates)
			}
		}
		g.End()
		if again := g.Begin(time.Time{}, time.Now(), servers); len(again[0].Templates) != 1 {
			t.Error("a second rollout is told nothing")
		}
		g.End()
		if short := g.Begin(time.Now().Add(-9*time.Minute), time.Now(), servers); len(short) != 9 || len(short[0].Templates) != 1 {
			t.Errorf("after a rollout that ended 9 minutes ago: %+v", short)
		}
		g.End()
		none := g.Begin(time.Now(), time.Now(), servers)
		one.say(t, "INFO tick")
		<-time.After(20 * time.Second)
		if now := filled(g, 20*time.Second, "web-1"); len(none) != 0 || len(now.Templates) != 1 {
			t.Errorf("right after a rollout, %d slices of the past; then %+v", len(none), now)
		}
		one.end(t)
	})
}

func TestGatherMerges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := logs.NewGatherer()
		one := follow(g, "web-1", "a")
		one.say(t, "INFO loaded plugin alpha from disk in order")
		<-time.After(10 * time.Second)
		first := filled(g, 10*time.Second, "web-1")
		for _, name := range []string{"bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"} {
			one.say(t, "INFO loaded plugin %s from disk in order", name)
			<-time.After(10 * time.Second)
			filled(g, 10*time.Second, "web-1")
		}
		one.say(t, "INFO loaded plugin juliet from disk in order")
		<-time.After(10 * time.Second)
		last := filled(g, 10*time.Second, "web-1")
		if logs := last.Servers[0].Logs; len(logs) != 1 || logs[0].Template != first.Templates[0].ID {
			t.Errorf("%+v does not count under %+v", logs, first.Templates)
		}
		one.end(t)
	})
}

// Whatever comes, nothing breaks: long lines, rubbish, no newline at the end, readers of all kinds.
func TestGatherSurvives(t *testing.T) {
	t.Parallel()
	g, random := logs.NewGatherer(), rand.New(rand.NewPCG(1, 2))
	rubbish := make([]byte, 300_000)
	for i := range rubbish {
		rubbish[i] = byte(random.Uint32())
	}
	inputs := []io.Reader{
		strings.NewReader("ERROR " + strings.Repeat("long ", 250_000) + "\nINFO after\n"), strings.NewReader(string(rubbish)),
		iotest.OneByteReader(strings.NewReader("one byte at a time\n")), iotest.DataErrReader(strings.NewReader("no newline")),
	}
	e := judge.Evidence{}
	var running sync.WaitGroup
	for i, r := range inputs {
		server := segue.ServerName(fmt.Sprint("web-", i))
		e.Servers = append(e.Servers, judge.ServerEvidence{Server: server})
		running.Go(func() {
			if err := g.Follow(logs.Output{Server: server, Name: "stdout"}, r); err != nil {
				t.Error(err)
			}
		})
	}
	if err := g.Follow(logs.Output{Server: "web-9"}, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if err := g.Follow(logs.Output{Server: "web-9"}, stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
	running.Wait()
	e.Since, e.Until = time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	g.Fill(&e)
	for i, want := range []int64{2, 1, 1, 1} {
		events := int64(0)
		for _, n := range e.Servers[i].Logs {
			events += n.Events
		}
		// The long line comes faster than a megabyte can be taken in, so it may be among the lost.
		if lost := e.Servers[i].LogsLost; events+lost < want || i != 1 && events > want || i > 1 && lost > 0 {
			t.Errorf("%s: %d lines, %+v", e.Servers[i].Server, events, e.Servers[i])
		}
	}
}

// Many templates need no more memory than what is kept.
func TestGatherBoundsMemory(t *testing.T) {
	g := logs.NewGatherer()
	var many bytes.Buffer
	for i := range 8_000 {
		letters := []byte("xxxxxxxx")
		for k, n := 0, i*7919; k < len(letters); k, n = k+1, n/13 {
			letters[k] = 'a' + byte(n%13)
		}
		fmt.Fprintf(&many, "INFO %s did %s\n", letters, letters[3:])
	}
	if err := g.Follow(logs.Output{Server: "web-1"}, &many); err != nil {
		t.Fatal(err)
	}
	many = bytes.Buffer{}
	e := judge.Evidence{Since: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Minute), Servers: []judge.ServerEvidence{{Server: "web-1"}}}
	g.Fill(&e)
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d templates, %d lines lost, %d MB in use", len(e.Templates), e.Servers[0].LogsLost, memory.HeapAlloc>>20)
	if len(e.Templates) == 0 || len(e.Templates) > 5000 || memory.HeapAlloc > 100<<20 {
		t.Errorf("%d templates and %d MB are kept", len(e.Templates), memory.HeapAlloc>>20)
	}
	runtime.KeepAlive(g)
}

// stuck gives nothing, for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// A flood is read as fast as it comes; each of its lines is counted or lost.
func TestGatherCountsWhatItLoses(t *testing.T) {
	t.Parallel()
	const lines = 400_000
	g := logs.NewGatherer()
	flood := strings.NewReader(strings.Repeat("INFO the same line 12 again and again 34\n", lines))
	if err := g.Follow(logs.Output{Server: "web-1"}, flood); err != nil {
		t.Fatal(err)
	}
	e := judge.Evidence{Since: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Minute), Servers: []judge.ServerEvidence{{Server: "web-1"}}}
	g.Fill(&e)
	counted := int64(0)
	for _, n := range e.Servers[0].Logs {
		counted += n.Events
	}
	lost := e.Servers[0].LogsLost
	t.Logf("%d counted, %d lost", counted, lost)
	if counted == 0 || counted+lost < lines || counted+lost > lines+lines/100 || len(e.Templates) != 1 {
		t.Errorf("%d counted and %d lost of %d, templates %+v", counted, lost, lines, e.Templates)
	}
}
