package template_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/template"
	"github.com/segue-deploy/segue/internal/judge/template/templatetest"
)

var start = time.Unix(1_700_000_000, 0)

func mask(tb testing.TB, event string) (string, template.Line) {
	tb.Helper()
	var line template.Line
	template.NewParser().Parse([]byte(event), &line)
	return line.String(), line
}

func TestMask(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"took 12 ms of 3.5 GB at 45%", "took <*> of <*> at <*>"},
		{"id 550e8400-e29b-41d4-a716-446655440000 hash deadbeefcafe ok", "id <*> hash <*> ok"},
		{"peer 10.0.0.1:8080 and fe80::1%eth0 and [::1]:443", "peer <*> and <*> and <*>"},
		{"mac aa:bb:cc:dd:ee:ff up", "mac <*> up"},
		{"on Sun Jul 17 14:03:07 2005 it rained", "on <*> it rained"},
		{"at 2026-01-02T03:04:05.123+01:00 done", "at <*> done"},
		{"get https://a.example.com/x/y?z=1&w=2, failed", "get <*> failed"},
		{"read /var/lib/x.log and C:\\Windows\\x.dll twice", "read <*> and <*> twice"},
		{`relation "foo bar" does not exist`, "relation <*> does not exist"},
		{"user=bob, state=Token{a b} tail", "user <*> state <*> tail"},
		{"logname= uid=0 euid=0", "logname <*> uid <*> euid <*>"},
		{"steps 1##2##3 and a1|b2|c3 end", "steps <*> and <*> end"},
		{"list [1, 2, 3] and [a,b,c] and []", "list <*> and <*> and <*>"},
		{"mail to bob@example.com sent", "mail to <*> sent"},
		{"acls of web,db,cache and of web,db", "acls of <*> and of <*>"},
		{"state unknown,think it is on", "state unknown think it is on"},
		{"on=true,policy=3,level=x off", "on <*> off"},
		{"labels map[a:x b:yes] of User{id x} and Rect(a, 0 - b) gone", "labels map <*> of User <*> and Rect <*> gone"},
		{"called by a.b.Cart.load:12 a.b.Main.run:4 a.b.X.y:7", "called by <*>"},
		{"device <0a18a985 5073ac17 fefc> gone", "device <*> gone"},
		{"job (1/2) at anna@web.example.com:22 done", "job <*> at <*> done"},
		{"can't open it's file", "can't open it's file"},
		{"größe überschritten 🎉", "größe überschritten 🎉"},
		{"1 file removed", "<*> file removed"},
		{"2 files removed", "<*> files removed"},
		{"value is null or <nil> or true", "value is <*> or <*> or <*>"},
		{`{"level":"warn","msg":"disk /dev/sda1 at 93%","x":1}`, "disk <*> at <*>"},
		{`ts=1 level=error msg="no route to 10.0.0.1" err="dial failed"`, "no route to <*> dial failed"},
		{"Jan  2 03:04:05 myhost sshd[12]: hello world", "<*> sshd <*> hello world"},
		{"2026-01-02 03:04:05 ERROR [IPC Server handler 2 on 9000] a.B: gone", "<*> a.B gone"},
		{"2026-01-02 03:04:05 INFO [RMCommunicator Allocator] a.B: gone", "<*> a.B gone"},
		{"2026-01-02 03:04:05 INFO [main] a.B: gone", "<*> a.B gone"},
		{"INFO  [GossipStage:1] 2026-01-02 a.B: gone", "<*> a.B gone"},
		{"[2026-01-02 03:04:05,000: INFO/MainProcess] mail sent", "<*> mail sent"},
		{"2026-01-02 03:04:05 INFO [cache hit] key 3", "<*> cache hit key <*>"},
		{"routing 0000:00:1d.2[C] to unknown[10.0.0.1] and db-1[10.0.0.2]", "routing <*> to <*> and <*>"},
		{"parity check......0 and byte order.....................1", "parity check <*> and byte order <*>"},
		{"start proc 2243:com.acme.mail:sync/u0a35 for user", "start proc <*> for user"},
		{"denied for user 'root'@'localhost' now", "denied for user <*> now"},
		{"served / in 3 ms", "served <*> in <*>"},
		{"listening on :: port 22", "listening on <*> port <*>"},
		{"pod \"6f814\" returns, pod \"a814f\" returns", "pod <*> returns pod <*> returns"},
		{`I0102 03:04:05.000000 1 a.go:10] "Starting controller" name="endpoint"`, "<*> Starting controller name <*>"},
		{`web_1  | time="2026-01-02T03:04:05Z" level=info msg="going down" n=1`, "going down"},
		{"Jan  2 03:04:05 myhost prometheus[12]: ts=1 level=warn msg=\"going down\" n=1", "going down"},
		{"2026-01-02\tINFO\tmain.go:3\torder lost\t{\"id\": 3}", "<*> order lost <*>"},
		{`2026-01-02T03:04:05.000000Z stdout F {"level":"error","msg":"boom"}`, "boom"},
		{"type=CWD msg=audit(1700000000.123:45): cwd=\"/\"", "type <*> msg <*> cwd <*>"},
	} {
		if got, _ := mask(t, test.in); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.in, got, test.want)
		}
	}
}

func TestSeverity(t *testing.T) {
	for _, test := range []struct {
		in   string
		want template.Severity
	}{
		{"2026-01-02 03:04:05 ERROR x failed", template.Error},
		{"[warn] x", template.Warn},
		{"I0102 03:04:05.0 1 a.go:1] x", template.Info},
		{"E0102 03:04:05.0 1 a.go:1] x", template.Error},
		{"<11>Jan 2 x", template.Error},
		{"CRITICAL:root:x", template.Fatal},
		{"no error here", template.Unknown},
		{`1.2.3.4 - - [x] "GET / HTTP/1.1" 503 1`, template.Error},
		{`{"level":50,"msg":"x"}`, template.Error},
		{`{"severity":"Warning","message":"x"}`, template.Warn},
		{"level=debug msg=x", template.Debug},
	} {
		if _, line := mask(t, test.in); line.Severity != test.want {
			t.Errorf("%s: %s, want %s", test.in, line.Severity, test.want)
		}
	}
}

// traces are one event each; line numbers and texts differ between the two versions.
func traces(n int) map[string]string {
	return strings2map(n, map[string]string{
		"java":   "2026-01-02 ERROR oops N\njava.lang.IllegalStateException: id N\n\tat a.B.c(B.java:N)\n\tat a.D.lambda$x$N(D.java:N)\n\t... N more\nCaused by: java.io.IOException: N\n\tat a.E.f(E.java:N)",
		"python": "ERROR:root:failed N\nTraceback (most recent call last):\n  File \"/srv/a.py\", line N, in run\n    go(N)\n  File \"/srv/b.py\", line N, in go\n    raise X\nValueError: bad N\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/srv/a.py\", line N, in main\n    x\nKeyError: 'N'",
		"go":     "panic: runtime error: index out of range [N] with length N\n\ngoroutine N [running]:\nmain.f(0xN)\n\t/src/x.go:N +0x1d\nmain.main()\n\t/src/x.go:N +0x20\nexit status 2",
		"node":   "TypeError: Cannot read properties of undefined (reading 'N')\n    at load (/srv/a.js:N:N)\n    at async Server.handle (/srv/b.js:N:N)",
		"dotnet": "Unhandled exception. System.InvalidOperationException: N\n   at Shop.Orders.Load(Int32 id) in /src/Orders.cs:line N\n   at Shop.Program.Main(String[] args) in /src/Program.cs:line N",
		"rust":   "thread 'main' panicked at src/main.rs:N:5:\nindex out of bounds: the len is N but the index is N\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/N/library/std/src/panicking.rs:N:5\n   1: app::load\n             at ./src/main.rs:N:13\nnote: run with `RUST_BACKTRACE=full`",
		"php":    "PHP Fatal error:  Uncaught RuntimeException: bad cart N in /srv/a.php:N\nStack trace:\n#0 /srv/b.php(N): Cart->load(N)\n#1 /srv/index.php(N): main()\n#2 {main}\n  thrown in /srv/a.php on line N",
		"elixir": "03:04:05.123 [error] GenServer Shop.Cart terminating\n** (RuntimeError) bad cart N\n    (shop 0.1.0) lib/shop/cart.ex:N: Shop.Cart.load/1\n    (stdlib 4.2) gen_server.erl:N: :gen_server.try_handle_call/4",
		"goerr":  "ERROR load cart N: refused\ngithub.com/acme/shop.(*Cart).Load\n\t/src/cart.go:N\nmain.main\n\t/src/main.go:N\nruntime.main\n\t/usr/local/go/src/runtime/proc.go:N",
		"gohttp": "2026/01/02 03:04:05 http: panic serving 127.0.0.1:N: runtime error: invalid memory address or nil pointer dereference\ngoroutine N [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/local/go/src/net/http/server.go:N +0xN\npanic({0xN?, 0xN?})\n\t/usr/local/go/src/runtime/panic.go:N +0xN\nmain.handler({0xN, 0xN}, 0xN)\n\t/src/main.go:N +0xN",
		"group":  "2026-01-02 03:04:05 ERROR failed N\n  + Exception Group Traceback (most recent call last):\n  |   File \"/srv/a.py\", line N, in main\n  |     raise ExceptionGroup\n  | ExceptionGroup: many (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: N\n    +---------------- 2 ----------------\n    | KeyError: N\n    +------------------------------------",
		"ruby":   "/srv/a.rb:N:in `load': bad N (ArgumentError)\n\tfrom /srv/a.rb:N:in `run'\n\tfrom /srv/a.rb:N:in `<main>'",
	})
}

func strings2map(n int, in map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range in {
		out[name] = strings.ReplaceAll(text, "N", fmt.Sprint(n))
	}
	return out
}

func TestStackTracesAreOneEventAndKnownByTypeAndFrames(t *testing.T) {
	other := traces(77)
	seen := map[template.ID]string{}
	for name, text := range traces(12) {
		tree := template.NewTree(template.Options{})
		var ids []template.ID
		for _, version := range []string{text, other[name]} {
			var events []string
			var lines template.Assembler
			emit := func(e template.Event) { events = append(events, string(e.Text)) }
			lines.Write([]byte("2026 INFO before\n"+version+"\n2026 INFO after\n"), start, emit)
			lines.Close(start, emit)
			if len(events) != 3 {
				t.Fatalf("%s: %d events: %q", name, len(events), events)
			}
			_, line := mask(t, events[1])
			if line.Kind != template.Trace || line.Severity < template.Error {
				t.Errorf("%s: kind %s, severity %s", name, line.Kind, line.Severity)
			}
			ids = append(ids, tree.Learn(&line, nil, start).ID)
		}
		if ids[0] != ids[1] {
			t.Errorf("%s: two templates: %v", name, tree.Templates())
		}
		if twin, ok := seen[ids[0]]; ok {
			t.Errorf("%s and %s are alike", name, twin)
		}
		seen[ids[0]] = name
	}
}

func TestLinesAreBoundedAndSafe(t *testing.T) {
	var lines template.Assembler
	var events []template.Event
	emit := func(e template.Event) {
		e.Text = []byte(string(e.Text))
		events = append(events, e)
	}
	huge := strings.Repeat("x1 ", 1<<20)
	for i := 0; i < len(huge); i += 1000 {
		lines.Write([]byte(huge[i:min(i+1000, len(huge))]), start, emit)
	}
	lines.Write([]byte("\n\x1b[31mred\x1b[0m \x00\x01\xff\xfe end\r\nlast"), start, emit)
	lines.Close(start, emit)
	if len(events) != 3 || !events[0].Cut || len(events[0].Text) > 1<<16 {
		t.Fatalf("%d events, the first of %d bytes", len(events), len(events[0].Text))
	}
	if got := string(events[1].Text); got != "red \uFFFD end" {
		t.Errorf("got %q", got)
	}
	if got := string(events[2].Text); got != "last" {
		t.Errorf("got %q", got)
	}
}

func TestTemplatesAreTheSameForTheSameStreamAndBlindToServers(t *testing.T) {
	run := func(names ...segue.ServerName) []template.Template {
		m := template.NewMiner(template.Options{}, nil)
		for _, style := range templatetest.Styles() {
			for i, line := range style.Generate(3, 300, func(int) bool { return true }) {
				m.Add([]byte(line.Text), names[i%len(names)], start, start)
			}
		}
		var all []template.Template
		m.Look(func(tree *template.Tree, _ *template.Counter) { all = tree.Templates() })
		return all
	}
	if diff := cmp.Diff(run("a", "b", "c"), run("z")); diff != "" {
		t.Error(diff)
	}
}

func TestPinnedTemplatesStayAndOthersAgeOut(t *testing.T) {
	const size = 100
	m := template.NewMiner(template.Options{Templates: size}, nil)
	word := func(i int) string { return fmt.Sprintf("%c%c%c", 'g'+i%20, 'g'+i/20%20, 'g'+i/400%20) }
	event := func(i int) []byte { return []byte(word(i) + " " + word(i+1) + " " + word(i*7) + " happened") }
	first := m.Add(event(0), "a", start, start)
	m.Look(func(tree *template.Tree, _ *template.Counter) {
		if !first.New || !tree.Pin(first.ID) {
			t.Fatal("not pinned")
		}
	})
	second := m.Add(event(1), "a", start, start)
	for i := 2; i < 5000; i++ {
		m.Add(event(i), "a", start.Add(time.Duration(i)*time.Second), start.Add(time.Duration(i)*time.Second))
	}
	m.Look(func(tree *template.Tree, _ *template.Counter) {
		if _, ok := tree.Get(first.ID); !ok || tree.Len() > size {
			t.Errorf("pinned kept: %v, %d of %d", ok, tree.Len(), size)
		}
		if _, ok := tree.Get(second.ID); ok {
			t.Error("the other did not age out")
		}
	})
	if again := m.Add(event(1), "a", start, start); again.ID != second.ID || !again.New || !again.Returned {
		t.Errorf("returned as %+v, was %v", again, second.ID)
	}
	overflow := 0
	for i := 5000; i < 6000; i++ {
		match := m.Add(event(i), "a", start, start)
		if match.ID == template.Overflow {
			overflow++
			continue
		}
		m.Look(func(tree *template.Tree, _ *template.Counter) { tree.Pin(match.ID) })
	}
	if overflow == 0 {
		t.Error("all pinned: nothing went to the overflow")
	}
}

func TestNamesMergeAndOldIDsStay(t *testing.T) {
	m := template.NewMiner(template.Options{}, nil)
	var ids []template.ID
	for i, name := range []string{"anna", "bob", "carla", "dora"} {
		ids = append(ids, m.Add([]byte("session opened for user "+name+" by nobody"), "a", start.Add(time.Duration(i)*10*time.Second), start.Add(time.Duration(i)*10*time.Second)).ID)
	}
	m.Look(func(tree *template.Tree, counts *template.Counter) {
		for _, id := range ids {
			if got, ok := tree.Get(id); !ok || got.ID != ids[0] || got.Count != 4 || got.Text != "session opened for user <*> by nobody" {
				t.Errorf("%v: %+v", id, got)
			}
		}
		if slots, events := counts.Between(ids[0], "a", start, start.Add(time.Minute)); slots != 4 || events != 4 {
			t.Errorf("%d slots, %d events", slots, events)
		}
	})
}

func TestServersNamesAreNoWords(t *testing.T) {
	m := template.NewMiner(template.Options{}, nil)
	ids := map[template.ID]bool{}
	servers := []segue.ServerName{"alpha", "beta", "gamma"}
	for _, server := range servers {
		m.Stream(server)
	}
	for _, server := range servers {
		ids[m.Add([]byte("instance "+server+" is ready"), server, start, start).ID] = true
	}
	if len(ids) != 1 || len(m.Shared(servers)) != 1 {
		t.Errorf("%d templates", len(ids))
	}
}

func TestAFloodOfTemplatesIsBounded(t *testing.T) {
	m := template.NewMiner(template.Options{Templates: 1000, Cells: 5000}, nil)
	s := m.Stream("a")
	for i := range 6000 {
		s.Line(fmt.Appendf(nil, "%s %s %s went wrong", word(i*31), word(i*7), word(i*3)), time.Time{}, start.Add(time.Duration(i)*time.Second))
	}
	s.Close(start.Add(6000 * time.Second))
	m.Look(func(tree *template.Tree, _ *template.Counter) {
		if tree.Len() > 1000 {
			t.Errorf("%d templates", tree.Len())
		}
	})
}

func TestCounterKeepsItsBoundsAndCorrectsClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := template.NewCounter(template.Options{Slots: 6, Cells: 100})
		now := time.Now()
		c.Add(9, "ahead", now.Add(time.Hour), now)
		c.Add(9, "behind", now.Add(-time.Hour), now)
		for _, server := range []segue.ServerName{"ahead", "behind"} {
			if got := c.Series(9, server); len(got) != 1 || got[0].Slot != now.Unix()/10 {
				t.Errorf("%s: %v, want slot %d", server, got, now.Unix()/10)
			}
		}
		c.Add(9, "behind", now.Add(-2*time.Hour), now)
		if c.Lost().Late != 1 {
			t.Errorf("lost %+v", c.Lost())
		}
		for i := range 1000 {
			c.Add(template.ID(i), "a", time.Time{}, now.Add(time.Duration(i)*time.Second))
		}
		if c.Lost().Evicted > 1000 || len(c.Series(999, "a")) != 1 || len(c.Series(1, "a")) != 0 {
			t.Errorf("lost %+v", c.Lost())
		}
	})
}

func FuzzEvents(f *testing.F) {
	for _, style := range templatetest.Styles() {
		for _, line := range style.Generate(1, 20, func(int) bool { return true }) {
			f.Add([]byte(line.Text))
		}
	}
	for _, text := range traces(3) {
		f.Add([]byte(text))
	}
	f.Add([]byte("a=[{(\"'`<=:=>\\u12\n{\"msg\":\"\\u\n{\"err\":{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := template.NewMiner(template.Options{Templates: 50}, nil)
		s := m.Stream("a")
		s.Write(data, start)
		s.Close(start)
		again := m.Stream("a")
		again.Write(data, start)
		again.Close(start)
		parser := template.NewParser()
		var one, two template.Line
		parser.Parse(data, &one)
		template.NewParser().Parse(data, &two)
		if one.String() != two.String() {
			t.Errorf("not the same twice: %q, %q", one.String(), two.String())
		}
	})
}

func corpus() [][]byte {
	var all [][]byte
	for _, style := range templatetest.Styles() {
		for _, line := range style.Generate(1, 1000, func(int) bool { return true }) {
			if !strings.Contains(line.Text, "\n") {
				all = append(all, []byte(line.Text))
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// BenchmarkLine is mask and parse, and with the tree and the counter.
func BenchmarkLine(b *testing.B) {
	lines := corpus()
	rate := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("parse", func(b *testing.B) {
		parser := template.NewParser()
		var line template.Line
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			parser.Parse(lines[i%len(lines)], &line)
		}
		rate(b)
	})
	b.Run("mine", func(b *testing.B) {
		m := template.NewMiner(template.Options{}, nil)
		s := m.Stream("a")
		for _, line := range lines {
			s.Line(line, start, start)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.Line(lines[i%len(lines)], start, start)
		}
		rate(b)
	})
}
