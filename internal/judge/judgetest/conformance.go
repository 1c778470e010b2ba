// Package judgetest tests judges: it has them weigh generated rollouts, and scores what they say.
//
// Suite is a list of rollouts with known faults and with what only looks like one; AA are rollouts in which nothing is wrong. Conformance is what
// every judge must hold.
package judgetest

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Conformance is what every judge must hold. make gives the judge of one rollout, each time a fresh one.
func Conformance(t *testing.T, make func() judge.Judge) {
	t.Run("NamesItself", func(t *testing.T) { testName(t, make) })
	t.Run("NeverPassesBySilence", func(t *testing.T) { testSilence(t, make) })
	t.Run("NeverDecidesWithoutBothSides", func(t *testing.T) { testOneSide(t, make) })
	t.Run("EmptyWindowsFailNothing", func(t *testing.T) { testEmptyBetween(t, make) })
	t.Run("RepeatsItself", func(t *testing.T) { testSame(t, make, func(e judge.Evidence) judge.Evidence { return e }) })
	t.Run("SurvivesStorage", func(t *testing.T) {
		testSame(t, make, func(e judge.Evidence) judge.Evidence { return stored(t, e) })
	})
	t.Run("OrderOfServersIsIrrelevant", func(t *testing.T) { testSame(t, make, turned, cmp.Comparer(nearly)) })
	t.Run("LeavesEvidenceAlone", func(t *testing.T) { testPure(t, make) })
	t.Run("AnyFigures", func(t *testing.T) { testAnyFigures(t, make) })
}

// trials are rollouts that say something to every judge: nothing new, and all kinds of faults at once.
func trials() []rehearsal.World {
	w := rehearsal.World{Seed: 7, Servers: 3, Length: 15 * time.Minute, Mirror: 0.1, Templates: 60}
	bad := w
	bad.Changes = []rehearsal.Change{
		{Kind: rehearsal.NewLine, Size: 4},
		{Kind: rehearsal.StackTrace, Size: 2},
		{Kind: rehearsal.NoHeartbeat},
		{Kind: rehearsal.Slow, Size: 1.6},
		{Kind: rehearsal.MoreErrors, Size: 5},
		{Kind: rehearsal.Leak, Size: 0.1},
		{Kind: rehearsal.WrongField, Size: 0.5},
		{Kind: rehearsal.CrashLoop, Size: 3},
		{Kind: rehearsal.StartLines, Size: 4, Severity: "warn"},
		{Kind: rehearsal.Merge, After: 5 * time.Minute},
		{Kind: rehearsal.Wording},
		{Kind: rehearsal.Lossy, Size: 3, After: 12 * time.Minute},
	}
	return []rehearsal.World{w, bad}
}

func ruling(findings []segue.Finding) segue.Ruling {
	return segue.Combine(time.Time{}, findings).Ruling
}

func testName(t *testing.T, make func() judge.Judge) {
	j := make()
	name := j.Name()
	if name == "" {
		t.Error("Name() is empty")
	}
	for window := range trials()[1].Windows() {
		for _, f := range j.Weigh(window) {
			switch f.Ruling {
			case segue.RulingPass, segue.RulingFail, segue.RulingHold, segue.RulingReport, segue.RulingInconclusive:
			default:
				t.Fatalf("finding with ruling %q: %+v", f.Ruling, f)
			}
			if f.Judge == "" || f.Text == "" {
				t.Fatalf("finding without a judge or text: %+v", f)
			}
			if f.Server != "" && !slices.Contains(trials()[1].Names(), f.Server) {
				t.Fatalf("finding about the server %q, which is none: %+v", f.Server, f)
			}
		}
	}
	if got := make().Name(); got != name {
		t.Errorf("Name() = %q, and %q of another", name, got)
	}
}

// testSilence: nothing seen is neither good nor bad, however long it lasts.
func testSilence(t *testing.T, make func() judge.Judge) {
	const look = 10 * time.Second
	start := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	empty := func(i int) judge.Evidence {
		since := start.Add(time.Duration(i) * look)
		return judge.Evidence{Service: rehearsal.Service, Stable: rehearsal.Stable, Candidate: rehearsal.Candidate, Since: since, Until: since.Add(look)}
	}
	for name, window := range map[string]func(i int) judge.Evidence{
		"nothing at all": func(int) judge.Evidence { return judge.Evidence{} },
		"no servers":     empty,
		"idle servers": func(i int) judge.Evidence {
			e := empty(i)
			e.Servers = []judge.ServerEvidence{{Server: "web-1", Release: rehearsal.Candidate}, {Server: "web-2", Release: rehearsal.Stable}}
			return e
		},
	} {
		j := make()
		for i := range 1000 {
			// That a server is not ready is no silence.
			findings := slices.DeleteFunc(j.Weigh(window(i)), func(f segue.Finding) bool { return f.Judge == "readiness" })
			if got := ruling(findings); got != segue.RulingInconclusive {
				t.Fatalf("%s: ruling %q after %d windows, want inconclusive: %+v", name, got, i+1, findings)
			}
		}
	}
}

// testOneSide: there is nothing to compare with.
func testOneSide(t *testing.T, make func() judge.Judge) {
	for _, without := range []segue.ReleaseName{rehearsal.Stable, rehearsal.Candidate} {
		for _, history := range []bool{true, false} {
			j := make()
			for window := range trials()[0].Windows() {
				window.Servers = slices.DeleteFunc(window.Servers, func(s judge.ServerEvidence) bool { return s.Release == without })
				window.Answers = nil
				if !history {
					window.Before = nil
				}
				findings := j.Weigh(window)
				if got := ruling(findings); got == segue.RulingPass || got == segue.RulingFail {
					t.Fatalf("without %s, history %v, until %s: ruling %q, want neither pass nor fail: %+v", without, history, window.Until, got, findings)
				}
			}
		}
	}
}

// testEmptyBetween: a window in which nothing was seen is no evidence against the candidate.
func testEmptyBetween(t *testing.T, make func() judge.Judge) {
	j := make()
	for window := range trials()[0].Windows() {
		before := ruling(j.Weigh(window))
		empty := judge.Evidence{Service: rehearsal.Service, Stable: rehearsal.Stable, Candidate: rehearsal.Candidate, Since: window.Until, Until: window.Until}
		for range 3 {
			if findings := j.Weigh(empty); before != segue.RulingFail && ruling(findings) == segue.RulingFail {
				t.Fatalf("%q until %s, and fail after an empty window: %+v", before, window.Until, findings)
			}
		}
	}
}

// testSame: evidence that means the same gives the same findings.
func testSame(t *testing.T, make func() judge.Judge, change func(judge.Evidence) judge.Evidence, options ...cmp.Option) {
	for _, w := range trials() {
		a, b := make(), make()
		for window := range w.Windows() {
			changed := change(copied(window))
			want, got := a.Weigh(window), b.Weigh(changed)
			if reflect.DeepEqual(want, got) {
				continue // which takes a tenth of the time
			}
			if diff := cmp.Diff(want, got, options...); diff != "" {
				t.Fatalf("until %s (-want +got):\n%s", window.Until, diff)
			}
		}
	}
}

// nearly is equal but for the order in which floating-point numbers were added.
func nearly(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))
}

func marshalled(t *testing.T, e judge.Evidence) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatalf("marshal evidence: %v", err)
	}
	return text
}

func stored(t *testing.T, e judge.Evidence) judge.Evidence {
	var again judge.Evidence
	if err := json.Unmarshal(marshalled(t, e), &again); err != nil {
		t.Fatalf("unmarshal evidence: %v", err)
	}
	return again
}

// copied gives evidence with lists of its own.
func copied(e judge.Evidence) judge.Evidence {
	e.Servers = slices.Clone(e.Servers)
	for i := range e.Servers {
		e.Servers[i].Logs = slices.Clone(e.Servers[i].Logs)
	}
	e.Before = slices.Clone(e.Before)
	for i := range e.Before {
		e.Before[i] = copied(e.Before[i])
	}
	return e
}

// turned has servers, and what they logged, in the opposite order.
func turned(e judge.Evidence) judge.Evidence {
	slices.Reverse(e.Servers)
	for i := range e.Servers {
		slices.Reverse(e.Servers[i].Logs)
	}
	for i := range e.Before {
		e.Before[i] = turned(e.Before[i])
	}
	return e
}

func testPure(t *testing.T, make func() judge.Judge) {
	j := make()
	for window := range trials()[1].Windows() {
		before := marshalled(t, window)
		j.Weigh(window)
		if after := marshalled(t, window); !bytes.Equal(before, after) {
			t.Fatalf("Weigh changed the evidence (-before +after):\n%s", cmp.Diff(string(before), string(after)))
		}
	}
}

// testAnyFigures: whatever the figures, no panic, and findings that can be stored.
func testAnyFigures(t *testing.T, make func() judge.Judge) {
	rapid.Check(t, func(t *rapid.T) {
		j := make()
		for range rapid.IntRange(1, 6).Draw(t, "windows") {
			findings := j.Weigh(anyWindow(t, true))
			if _, err := json.Marshal(findings); err != nil {
				t.Fatalf("findings cannot be stored: %v: %+v", err, findings)
			}
		}
	})
}

func anyCount() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 5000), rapid.SampledFrom([]int64{0, -1, math.MinInt64, math.MaxInt64, math.MaxInt64 / 2, 1 << 53}))
}

func anyFigure() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64Range(0, 1e9), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64, 5e-324}))
}

// anyWindow draws evidence without sense.
func anyWindow(t *rapid.T, history bool) judge.Evidence {
	start := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	moment := rapid.Map(rapid.SampledFrom([]int64{0, 10, 60, 600, -600, 1 << 40}), func(s int64) time.Time { return start.Add(time.Duration(s) * time.Second) })
	id := rapid.SampledFrom([]string{"", "a", "b", "c", "0000000000000001"})
	e := judge.Evidence{
		Service: rehearsal.Service, Stable: rehearsal.Stable, Candidate: rehearsal.Candidate, Since: moment.Draw(t, "since"), Until: moment.Draw(t, "until"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "servers") {
		e.Servers = append(e.Servers, anyServer(t, moment, id))
	}
	for range rapid.IntRange(0, 2).Draw(t, "answers") {
		e.Answers = append(e.Answers, judge.AnswerCount{
			Route: id.Draw(t, "route"), Path: rapid.SampledFrom([]string{"", "answer", "status", "body.x"}).Draw(t, "path"),
			Kind:      rapid.SampledFrom([]string{"", "value", "missing", "mirror:timeout", "compared", "left out"}).Draw(t, "kind"),
			Candidate: anyCount().Draw(t, "only candidate"), Stable: anyCount().Draw(t, "only stable"), Compared: anyCount().Draw(t, "compared"),
			Secondaries: rapid.IntRange(-1, 3).Draw(t, "secondaries"), Noisy: rapid.Bool().Draw(t, "noisy"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "templates") {
		e.Templates = append(e.Templates, judge.LogTemplate{
			ID: id.Draw(t, "id"), Severity: rapid.SampledFrom([]string{"", "info", "warn", "error", "?"}).Draw(t, "severity"), Trace: rapid.Bool().Draw(t, "trace"),
			Text: "text", Born: anyCount().Draw(t, "born"), First: moment.Draw(t, "first"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "merges") {
		e.Merged = append(e.Merged, judge.LogMerge{From: id.Draw(t, "from"), Into: id.Draw(t, "into")})
	}
	if history {
		for range rapid.IntRange(0, 3).Draw(t, "before") {
			e.Before = append(e.Before, anyWindow(t, false))
		}
	}
	return e
}

func anyServer(t *rapid.T, moment *rapid.Generator[time.Time], id *rapid.Generator[string]) judge.ServerEvidence {
	s := judge.ServerEvidence{
		Server:   rapid.SampledFrom([]segue.ServerName{"", "web-1", "web-2", "web-3"}).Draw(t, "server"),
		Release:  rapid.SampledFrom([]segue.ReleaseName{"", rehearsal.Stable, rehearsal.Candidate, "v0"}).Draw(t, "release"),
		Requests: anyCount().Draw(t, "requests"), Errors: anyCount().Draw(t, "errors"), Ready: rapid.Bool().Draw(t, "ready"),
		Crashes: int(anyCount().Draw(t, "crashes")), Restarts: int(anyCount().Draw(t, "restarts")), Started: moment.Draw(t, "started"),
		LogsRead: rapid.Bool().Draw(t, "logs read"), LogsLost: anyCount().Draw(t, "logs lost"),
		Gauges: map[string]float64{"memory": anyFigure().Draw(t, "memory"), "cpu": anyFigure().Draw(t, "cpu")},
		Routes: map[string]int64{"GET /": anyCount().Draw(t, "one route"), "GET /x": anyCount().Draw(t, "another route")},
	}
	s.Latency = telemetry.Distribution{Count: anyCount().Draw(t, "count"), SumMicros: anyCount().Draw(t, "sum"), MaxMicros: anyCount().Draw(t, "max")}
	for range rapid.IntRange(0, 3).Draw(t, "buckets") {
		s.Latency.Buckets = append(s.Latency.Buckets, telemetry.Bucket{
			Index: rapid.OneOf(rapid.IntRange(0, 900), rapid.SampledFrom([]int{-1, 1 << 20, math.MaxInt})).Draw(t, "bucket"), Count: anyCount().Draw(t, "in bucket"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "logs") {
		s.Logs = append(s.Logs, judge.LogCount{Template: id.Draw(t, "template"), Units: anyCount().Draw(t, "units"), Events: anyCount().Draw(t, "events")})
	}
	return s
}
