package metrics_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// fixed is a rollout in which every window is the same: 10 s, candidate on web-1.
type fixed struct {
	windows      int
	mine, theirs judge.ServerEvidence
	others       int
	age          time.Duration // of the candidate's process at the first window
	history      bool
	change       func(i int, e *judge.Evidence)
	before       func(i int, e *judge.Evidence)
}

// durations are spread around a middle, lognormal.
func durations(n int64, micros uint64) (all telemetry.Distribution) {
	before := int64(0)
	for z := -2.5; z < 3; z += 0.1 {
		to := int64(math.Round(float64(n) * (1 + math.Erf(z/math.Sqrt2)) / 2))
		at := uint64(float64(micros) * math.Exp(0.5*(z-0.05)))
		all = all.Add(telemetry.Distribution{SumMicros: (to - before) * int64(at), MaxMicros: int64(at), Buckets: []telemetry.Bucket{{Index: bucketOf(at), Count: to - before}}})
		before = to
	}
	return all
}

func asking(requests, errors int64) judge.ServerEvidence {
	return judge.ServerEvidence{Requests: requests, Errors: errors, Latency: durations(requests, 20_000), Ready: true}
}

func (f fixed) evidence() []judge.Evidence {
	var all, before []judge.Evidence
	one := func(at time.Time, length time.Duration, release segue.ReleaseName) judge.Evidence {
		e := judge.Evidence{Service: "shop", Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(length)}
		mine := f.mine
		mine.Server, mine.Release, mine.Started = "web-1", release, begun().Add(-f.age)
		e.Servers = append(e.Servers, mine)
		for i := range f.others {
			theirs := f.theirs
			theirs.Server, theirs.Release = segue.ServerName("web-"+string(rune('2'+i))), "v1"
			e.Servers = append(e.Servers, theirs)
		}
		return e
	}
	if f.history {
		for i := range 60 {
			e := one(begun().Add(time.Duration(i-60)*time.Minute), time.Minute, "v1")
			for s := range e.Servers {
				e.Servers[s].Requests, e.Servers[s].Errors, e.Servers[s].Latency = 600, int64(i%3), durations(600, 20_000)
				e.Servers[s].Routes = f.theirs.Routes // all servers were asked the same
			}
			if f.before != nil {
				f.before(i, &e)
			}
			before = append(before, e)
		}
	}
	for i := range f.windows {
		e := one(begun().Add(time.Duration(i)*10*time.Second), 10*time.Second, "v2")
		if f.change != nil {
			f.change(i, &e)
		}
		all = append(all, e)
	}
	all[0].Before = before
	return all
}

// last feeds a judge and gives the findings of the last window.
func last(j judge.Judge, windows []judge.Evidence) (findings []segue.Finding) {
	for _, w := range windows {
		findings = j.Weigh(w)
	}
	return findings
}

// told gives the findings of a lane as "ruling: text".
func told(findings []segue.Finding, lane string) string {
	var lines []string
	for _, f := range findings {
		if f.Judge == lane {
			lines = append(lines, string(f.Ruling)+": "+f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

func TestJudge(t *testing.T) {
	t.Parallel()
	good, hour := asking(100, 0), time.Hour
	with := func(s judge.ServerEvidence, change func(*judge.ServerEvidence)) judge.ServerEvidence {
		change(&s)
		return s
	}
	routes := func(a, b int64) func(*judge.ServerEvidence) {
		return func(s *judge.ServerEvidence) { s.Routes = map[string]int64{"GET /": a, "POST /buy": b} }
	}
	gauge := func(name string) func(*judge.ServerEvidence) {
		return func(s *judge.ServerEvidence) { s.Gauges = map[string]float64{name: 3, "both": 1, "nan": math.NaN()} }
	}
	bare := func(_ int, e *judge.Evidence) {
		for s := range e.Servers {
			e.Servers[s].Gauges = nil
		}
	}
	for _, test := range []struct {
		name string
		fixed
		errors, latency, lane, also string
	}{
		{"no window with it", fixed{windows: 6, mine: good, theirs: good, others: 3, age: hour, change: func(_ int, e *judge.Evidence) { e.Servers = e.Servers[1:] }}, "inconclusive: no server runs v2", "inconclusive: no server runs v2", "", ""},
		{"no traffic", fixed{windows: 60, theirs: good, others: 3, age: hour, history: true}, "inconclusive: no traffic: web-1", "inconclusive: no traffic: web-1", "", ""},
		{"others without traffic", fixed{windows: 60, mine: good, others: 3, age: hour, history: true}, "inconclusive: web-1 is not compared yet", "inconclusive: web-1 is not compared", "", ""},
		{"no stable", fixed{windows: 60, mine: good, age: hour, history: true}, "inconclusive: no server with v1 is left", "inconclusive: no server with v1 is left", "", ""},
		{
			"stable goes",
			fixed{windows: 300, mine: good, theirs: good, others: 1, age: hour, history: true, change: func(i int, e *judge.Evidence) {
				if i > 290 {
					e.Servers = e.Servers[:1]
				}
			}},
			"inconclusive: no server with v1 is left", "inconclusive: no server with v1 is left", "", "",
		},
		{"few yet", fixed{windows: 6, mine: asking(3, 0), theirs: asking(3, 0), others: 3, age: hour, history: true}, "inconclusive: not enough data yet", "inconclusive: not enough data yet", "", ""},
		{"fine", fixed{windows: 60, mine: good, theirs: good, others: 3, age: hour, history: true}, "pass: 0.0 % of answers failed on v2, 0.0 % on the others", "pass: p", "", ""},
		{"fine, without history", fixed{windows: 60, mine: good, theirs: good, others: 3, age: hour}, "pass: 0.0 %", "pass: p", "", "less than 100 % slower"},
		{"cold", fixed{windows: 3, mine: asking(100, 9), theirs: good, others: 3, history: true}, "inconclusive: web-1 is not compared yet", "inconclusive: web-1 is not compared yet", "", ""},
		{"drastic, as soon as it is there", fixed{windows: 1, mine: asking(30, 15), theirs: asking(30, 0), others: 3, history: true}, "fail: 15 of 30 answers failed on web-1 and 0 of 90 on the others, more than any start excuses", "inconclusive", "", ""},
		{"drastic, but on all", fixed{windows: 3, mine: asking(30, 15), theirs: asking(30, 15), others: 3, history: true}, "inconclusive: web-1 is not compared yet", "inconclusive", "", ""},
		{"severe, before it is warm", fixed{windows: 5, mine: asking(100, 10), theirs: good, others: 3, history: true}, "fail: 20 answers failed on web-1 and 0 on the others", "inconclusive", "", ""},
		{"slow, before it is warm", fixed{windows: 6, mine: with(good, func(s *judge.ServerEvidence) { s.Latency = durations(100, 90_000) }), theirs: good, others: 3, history: true}, "inconclusive", "inconclusive: web-1 is not compared yet", "", ""},
		{"age is not known", fixed{windows: 5, mine: asking(100, 10), theirs: good, others: 3, history: true, change: func(_ int, e *judge.Evidence) { e.Servers[0].Started = time.Time{} }}, "fail: 20 answers failed", "inconclusive", "", ""},
		{"error rate", fixed{windows: 6, mine: asking(600, 6), theirs: asking(600, 1), others: 3, age: hour, history: true}, "fail: 1.0 % of answers failed on web-1, 0.2 % on the others; evidence", "pass", "", " of 219 needed"},
		{"errors, without history", fixed{windows: 60, mine: asking(600, 4), theirs: asking(600, 1), others: 3, age: hour}, "hold: 0.7 % of answers failed on web-1", "pass", "", "servers have 0: decide yourself"},
		{"slow", fixed{windows: 6, mine: with(good, func(s *judge.ServerEvidence) { s.Latency = durations(100, 40_000) }), theirs: good, others: 3, age: hour, history: true}, "inconclusive", "fail: p", "", " ms on the others; evidence"},
		{"slow, without history", fixed{windows: 30, mine: with(good, func(s *judge.ServerEvidence) { s.Latency = durations(100, 80_000) }), theirs: good, others: 3, age: hour}, "", "hold: p", "", "servers have 0: decide yourself"},
		{"slow beyond any machine, without history", fixed{windows: 30, mine: with(good, func(s *judge.ServerEvidence) { s.Latency = durations(100, 150_000) }), theirs: good, others: 3, age: hour}, "", "fail: p", "", " ms on the others; evidence"},
		{
			"another mix",
			fixed{windows: 60, mine: with(asking(600, 6), routes(300, 300)), theirs: with(asking(600, 1), routes(500, 100)), others: 3, age: hour, history: true},
			"", "inconclusive: not comparable, routes differ", "mix", "inconclusive: v2 gets other routes than the others, so they cannot be compared: GET / 50.0 % of requests instead of 83.3 %",
		},
		{"another mix does not excuse severe faults", fixed{windows: 60, mine: with(asking(600, 60), routes(300, 300)), theirs: with(asking(600, 1), routes(500, 100)), others: 3, age: hour, history: true}, "fail: 3600 answers failed on web-1", "inconclusive", "mix", "inconclusive"},
		{"a metric on one side", fixed{windows: 6, mine: with(good, gauge("mine")), theirs: with(good, gauge("theirs")), others: 3, age: hour, history: true, before: bare}, "", "", "gauges", "report: 1 series is not compared, since they were not read before the rollout\nreport: 1 series is new with v2: mine\nreport: 1 series is gone with v2: theirs"},
		{"negative counts", fixed{windows: 60, mine: asking(-5, -3), theirs: good, others: 3, age: hour, history: true}, "inconclusive: no traffic", "inconclusive: no traffic", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			findings := last(metrics.New(metrics.Config{}), test.evidence())
			if got := told(findings, "error rate"); !strings.HasPrefix(got, test.errors) {
				t.Errorf("errors: %q, want %q", got, test.errors)
			}
			if got := told(findings, "response time"); !strings.HasPrefix(got, test.latency) {
				t.Errorf("latency: %q, want %q", got, test.latency)
			}
			if got := told(findings, test.lane) + told(findings, "error rate") + told(findings, "response time"); !strings.Contains(got, test.also) {
				t.Errorf("%q, want %q", got, test.also)
			}
			for _, f := range findings {
				if f.Text == "" || f.Release != "v2" || f.Unit == "" {
					t.Errorf("a finding that says too little: %+v", f)
				}
			}
		})
	}
}

// TestLittleTraffic: with windows of a second and a request now and then, hardly a window has requests on both sides.
func TestLittleTraffic(t *testing.T) {
	t.Parallel()
	j, begin := metrics.New(metrics.Config{}), begun()
	var findings []segue.Finding
	for i := range 600 {
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: begin.Add(time.Duration(i) * time.Second), Until: begin.Add(time.Duration(i+1) * time.Second)}
		for at, name := range []segue.ServerName{"a", "b", "c"} {
			s := judge.ServerEvidence{Server: name, Release: "v1", Started: begin.Add(-time.Hour)}
			if at == 0 {
				s.Release = "v2"
			}
			if i%12 == 5*at {
				s.Requests = 1
				s.Errors = map[segue.ReleaseName]int64{"v2": 1}[s.Release]
			}
			e.Servers = append(e.Servers, s)
		}
		findings = j.Weigh(e)
	}
	if got := told(findings, "error rate"); !strings.HasPrefix(got, "fail: 50 answers failed on a and 0 on the others") {
		t.Errorf("errors: %q", got)
	}
}

// TestNoBudget: a lane without an error rate never fails.
func TestNoBudget(t *testing.T) {
	t.Parallel()
	f := fixed{windows: 60, mine: asking(600, 60), theirs: asking(600, 1), others: 3, age: time.Hour, history: true}
	findings := last(metrics.New(metrics.Config{Budget: evidence.Budget{Logs: 0.01}}), f.evidence())
	if _, err := json.Marshal(findings); err != nil || !strings.HasPrefix(told(findings, "error rate"), "hold: 10.0 % of answers failed on web-1") {
		t.Errorf("%v: %q", err, told(findings, "error rate"))
	}
}

// TestServersShareTheErrorRate: the second server that runs the candidate needs four times the evidence of the first.
func TestServersShareTheErrorRate(t *testing.T) {
	t.Parallel()
	f := fixed{windows: 12, mine: asking(600, 1), theirs: asking(600, 1), others: 3, age: time.Hour, history: true, change: func(i int, e *judge.Evidence) {
		if i >= 4 {
			e.Servers[1].Release, e.Servers[1].Started, e.Servers[1].Errors = "v2", begun().Add(-time.Hour), 30
			e.Servers[0].Errors = 8
		}
	}}
	thresholds := map[segue.ServerName]float64{}
	for _, found := range last(metrics.New(metrics.Config{}), f.evidence()) {
		if found.Judge == "error rate" && found.Unit == "share" {
			thresholds[found.Server] = found.Threshold
		}
		if found.Judge == "error rate" && found.Unit == "count" {
			thresholds[found.Server] = -found.Threshold
		}
	}
	if thresholds["web-1"] < 219 || thresholds["web-1"] > 220 || thresholds["web-2"] > -6500 || thresholds["web-2"] < -6600 {
		t.Errorf("thresholds %v", thresholds)
	}
}

// TestGaugeFailsWithTheFastLane: a gauge holds alone, and fails with suspect requests.
func TestGaugeFailsWithTheFastLane(t *testing.T) {
	t.Parallel()
	rise := func(errors int64) []segue.Finding {
		f := fixed{windows: 240, mine: asking(600, errors), theirs: asking(600, 1), others: 3, age: time.Hour, history: true}
		f.before = func(i int, e *judge.Evidence) {
			for s := range e.Servers {
				e.Servers[s].Gauges = map[string]float64{"memory": 100 + float64((i*7+s*5)%11)}
			}
		}
		f.change = func(i int, e *judge.Evidence) {
			for s := range e.Servers {
				e.Servers[s].Gauges = map[string]float64{"memory": 100 + float64((i*7+s*5)%11)}
			}
			e.Servers[0].Gauges["memory"] += 80
		}
		return last(metrics.New(metrics.Config{}), f.evidence())
	}
	if got := told(rise(1), "gauges"); !strings.HasPrefix(got, "hold: memory is 185 on web-1, 105 was to be expected; evidence") {
		t.Errorf("alone: %q", got)
	}
	if got := told(rise(4), "gauges"); !strings.HasPrefix(got, "fail: memory is 185 on web-1") {
		t.Errorf("with errors: %q", got)
	}
}

// TestReplay: the same windows, through JSON, give the same findings.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := world{seed: 5, others: 3, minutes: 40, past: 60, requests: 200, errors: 2, errorRatio: 2, gauges: 4, gaugeShift: 3, routes: true}
	once, again, kayenta, kayentaAgain := metrics.New(metrics.Config{}), metrics.New(metrics.Config{}), metrics.NewKayenta(), metrics.NewKayenta()
	for i, window := range w.windows() {
		text, err := json.Marshal(window)
		if err != nil {
			t.Fatal(err)
		}
		var read judge.Evidence
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once.Weigh(window), again.Weigh(read)); diff != "" {
			t.Fatalf("window %d (-live +replayed):\n%s", i, diff)
		}
		if diff := cmp.Diff(kayenta.Weigh(window), kayentaAgain.Weigh(read)); diff != "" {
			t.Fatalf("window %d (-live +replayed):\n%s", i, diff)
		}
	}
}

// TestWildEvidence: whatever the figures, no panic, findings that JSON can hold, and no pass without requests on both sides.
func TestWildEvidence(t *testing.T) {
	t.Parallel()
	number := rapid.OneOf(rapid.Float64Range(-10, 10), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 1e308, -1e308, 5e-324}))
	count := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.SampledFrom([]int64{0, -1, math.MinInt64, 1 << 40}))
	row := rapid.Custom(func(t *rapid.T) judge.ServerEvidence {
		s := judge.ServerEvidence{
			Server:   segue.ServerName(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "server")),
			Release:  segue.ReleaseName(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "release")),
			Requests: count.Draw(t, "requests"), Errors: count.Draw(t, "errors"),
			Latency: durations(rapid.Int64Range(0, 500).Draw(t, "n"), rapid.Uint64Range(1, 1e6).Draw(t, "micros")),
			Routes:  map[string]int64{rapid.SampledFrom([]string{"x", "y"}).Draw(t, "route"): count.Draw(t, "of route")},
			Gauges:  map[string]float64{"g": number.Draw(t, "g"), "h": number.Draw(t, "h")},
		}
		if rapid.Bool().Draw(t, "started") {
			s.Started = begun().Add(time.Duration(rapid.IntRange(-200, 200).Draw(t, "age")) * time.Second)
		}
		return s
	})
	window := func(t *rapid.T, at time.Time) judge.Evidence {
		length := rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}).Draw(t, "length")
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(length)}
		seen := map[segue.ServerName]bool{}
		for _, s := range rapid.SliceOfN(row, 0, 4).Draw(t, "servers") {
			if !seen[s.Server] {
				seen[s.Server] = true
				e.Servers = append(e.Servers, s)
			}
		}
		return e
	}
	rapid.Check(t, func(t *rapid.T) {
		judges, at := []judge.Judge{metrics.New(metrics.Config{}), metrics.NewKayenta()}, begun()
		var before []judge.Evidence
		for range rapid.IntRange(0, 20).Draw(t, "history") {
			e := window(t, at)
			before, at = append(before, e), e.Until
		}
		mine, theirs := int64(0), int64(0)
		for range rapid.IntRange(1, 20).Draw(t, "windows") {
			e := window(t, at)
			at, e.Before = e.Until, before
			before = nil
			for _, s := range e.Servers {
				switch s.Release {
				case "v2":
					mine += max(0, s.Requests)
				case "v1":
					theirs += max(0, s.Requests)
				}
			}
			for _, j := range judges {
				findings := j.Weigh(e)
				if _, err := json.Marshal(findings); err != nil {
					t.Fatalf("%v: %+v", err, findings)
				}
				if got := segue.Combine(at, findings).Ruling; got == segue.RulingPass && (mine == 0 || theirs == 0) {
					t.Fatalf("passed with %d and %d requests: %+v", mine, theirs, findings)
				}
			}
		}
	})
}
