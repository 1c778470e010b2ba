package logs_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

// special is a line whose rate on the candidate differs.
func special(severity, text string, k kind) kind {
	k.LogTemplate = named(500, severity, text)
	return k
}

// with gives a service that logs this besides.
func with(k ...kind) []kind { return append(mixed(25), k...) }

func about(findings []segue.Finding, text string) (segue.Finding, bool) {
	i := slices.IndexFunc(findings, func(f segue.Finding) bool { return strings.Contains(f.Text, text) })
	if i < 0 {
		return segue.Finding{}, false
	}
	return findings[i], true
}

// when gives after which times a ruling about a line was given, over runs with many seeds; sorted, -1 for never.
func when(runs, stable, minutes int, ruling segue.Ruling, config logs.Config, k kind) []time.Duration {
	var times []time.Duration
	for seed := range uint64(runs) {
		w, found := newWorld(seed, stable, with(k)), time.Duration(-1)
		w.rollout(config, minutes, func(after time.Duration, findings []segue.Finding) bool {
			if f, ok := about(findings, k.Text); ok && f.Ruling == ruling {
				found = after
			}
			return found < 0
		})
		times = append(times, found)
	}
	slices.SortFunc(times, func(a, b time.Duration) int { return int(uint64(a)>>1) - int(uint64(b)>>1) })
	return times
}

func TestFindsInTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		stable int
		ruling segue.Ruling
		line   kind
		median time.Duration
	}{
		{"new error once a minute", 3, segue.RulingFail, special("error", "brandnew", kind{rate: 1, only: true, factor: 1}), 5 * time.Minute},
		{"new error once a minute, to hold", 3, segue.RulingHold, special("error", "brandnew", kind{rate: 1, only: true, factor: 1}), 4 * time.Minute},
		{"new error once a minute, one stable", 1, segue.RulingFail, special("error", "brandnew", kind{rate: 1, only: true, factor: 1}), 20 * time.Minute},
		{"new error five times a minute", 3, segue.RulingFail, special("error", "brandnew", kind{rate: 5, only: true, factor: 1}), 2 * time.Minute},
		{"new stack trace", 3, segue.RulingFail, kind{LogTemplate: judge.LogTemplate{ID: "00000000000000ff", Trace: true, Text: "brandnew", Born: 500}, rate: 1, only: true, factor: 1}, 5 * time.Minute},
		{"new burst of warnings", 3, segue.RulingFail, special("warn", "brandnew", kind{rate: 12, only: true, factor: 1}), 5 * time.Minute},
		{"new information", 3, segue.RulingReport, special("info", "brandnew", kind{rate: 1, only: true, factor: 1}), 8 * time.Minute},
		{"known error ten times as often", 3, segue.RulingFail, special("error", "flaky", kind{rate: 1, factor: 10, sides: 1}), 4 * time.Minute},
		{"known error five times as often", 3, segue.RulingFail, special("error", "flaky", kind{rate: 1, factor: 5, sides: 1}), 10 * time.Minute},
		{"known error tripled, in nearly all slots", 3, segue.RulingFail, special("error", "flaky", kind{rate: 6, factor: 3, sides: 1}), 4 * time.Minute},
		{"known warning ten times as often", 3, segue.RulingFail, special("warn", "flaky", kind{rate: 1, factor: 10, sides: 1}), 5 * time.Minute},
		{"known warning tripled, in nearly all slots", 3, segue.RulingFail, special("warn", "flaky", kind{rate: 6, factor: 3, sides: 1}), 10 * time.Minute},
		{"heartbeat of a minute vanished", 3, segue.RulingFail, special("info", "tick", kind{period: 60, factor: 0, sides: 1}), 10 * time.Minute},
		{"heartbeat of ten seconds vanished", 3, segue.RulingFail, special("info", "tick", kind{period: 10, factor: 0, sides: 1}), 10 * time.Minute},
		{"error vanished", 3, segue.RulingReport, special("error", "flaky", kind{rate: 2, factor: 0, sides: 1}), 30 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			times := when(21, test.stable, 40, test.ruling, logs.Config{}, test.line)
			median := times[len(times)/2]
			t.Logf("median %s, all: %s", median, times)
			if median < 0 || median > test.median {
				t.Errorf("found after %s, want %s at most", median, test.median)
			}
		})
	}
}

// never runs rollouts in which no look may fail, and gives the findings of the last looks.
func never(t *testing.T, config logs.Config, kinds []kind, refused ...segue.Ruling) (last []segue.Finding) {
	t.Helper()
	for seed := range uint64(8) {
		w := newWorld(seed, 3, kinds)
		w.rollout(config, 30, func(after time.Duration, findings []segue.Finding) bool {
			for _, f := range findings {
				if slices.Contains(refused, f.Ruling) {
					t.Fatalf("seed %d, after %s: %+v", seed, after, f)
				}
			}
			last = findings
			return true
		})
	}
	return last
}

func TestChangeOfWordingReports(t *testing.T) {
	t.Parallel()
	gone := special("info", "pruned the session table of <*> rows", kind{period: 30, factor: 0, sides: 1})
	now := kind{LogTemplate: named(501, "info", "pruned the session store of <*> rows"), period: 30, only: true, factor: 1}
	last := never(t, logs.Config{}, with(gone, now), segue.RulingFail, segue.RulingHold)
	if f, ok := about(last, "it may read now"); !ok || f.Ruling != segue.RulingReport {
		t.Errorf("the change of wording is not reported: %+v", last)
	}
}

func TestStartsDoNotFail(t *testing.T) {
	t.Parallel()
	var news []kind
	for i := range 20 {
		news = append(news, kind{LogTemplate: named(510+i, []string{"info", "warn"}[i%2], "starting freshly"), atStart: true, only: true, factor: 1})
	}
	last := never(t, logs.Config{}, with(news...), segue.RulingFail, segue.RulingHold)
	if f, ok := about(last, "only in its first minute"); !ok || f.Ruling != segue.RulingReport {
		t.Errorf("new lines of the start are not reported: %+v", last)
	}
}

// Of processes that began before the rollout the first words were not heard, and what was written earlier is not new.
func TestStartsThatWereNotHeard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		first time.Time
		want  string
	}{
		{"a start half seen tells nothing of the others", noon, "no start of v1 was seen"},
		{"what was written before is no news", noon.Add(-time.Hour), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := logs.New(logs.Config{})
			line := named(1, "info", "starting freshly")
			line.First = test.first
			var last []segue.Finding
			for i := range 18 {
				since := noon.Add(time.Duration(i) * 10 * time.Second)
				e := judge.Evidence{Service: "web", Stable: "v1", Candidate: "v2", Since: since, Until: since.Add(10 * time.Second)}
				for name, started := range map[segue.ServerName]time.Duration{"web-1": 5 * time.Second, "web-2": -40 * time.Second, "web-3": -40 * time.Second} {
					row := judge.ServerEvidence{Server: name, Release: "v1", Started: noon.Add(started), LogsRead: true, Requests: 100}
					if name == "web-1" {
						row.Release = "v2"
					}
					if name == "web-1" && i == 1 {
						e.Templates = []judge.LogTemplate{line}
						row.Logs = []judge.LogCount{{Template: line.ID, Units: 1, Events: 1}}
					}
					e.Servers = append(e.Servers, row)
				}
				last = j.Weigh(e)
			}
			f, ok := about(last, "only in its first minute")
			if ok != (test.want != "") || ok && !strings.Contains(f.Text, test.want) {
				t.Errorf("want %q: %+v", test.want, last)
			}
		})
	}
}

func TestCaveat(t *testing.T) {
	t.Parallel()
	caveat := logs.Caveat{ID: "known-1", Match: "brandnew", Owner: "ops", Reason: "known", Rate: 1, Expires: noon.Add(24 * time.Hour)}
	usual := special("error", "brandnew", kind{rate: 1, only: true, factor: 1})
	t.Run("at its rate it is silent", func(t *testing.T) {
		t.Parallel()
		last := never(t, logs.Config{Caveats: []logs.Caveat{caveat}}, with(usual), segue.RulingFail, segue.RulingHold)
		if worst(last) != segue.RulingPass {
			t.Errorf("%+v", last)
		}
	})
	t.Run("at its ceiling it alarms", func(t *testing.T) {
		t.Parallel()
		line := usual
		line.rate = 5
		times := when(21, 3, 40, segue.RulingFail, logs.Config{Caveats: []logs.Caveat{caveat}}, line)
		t.Log(times)
		if median := times[len(times)/2]; median < 0 || median > 20*time.Minute {
			t.Errorf("found after %s", times)
		}
	})
	t.Run("without a rate, what stable has is usual", func(t *testing.T) {
		t.Parallel()
		unrated := caveat
		unrated.Rate = 0
		line := special("error", "brandnew", kind{rate: 0.25, factor: 1, sides: 1})
		never(t, logs.Config{Caveats: []logs.Caveat{unrated}}, with(line), segue.RulingFail, segue.RulingHold)
		line.factor = 40
		times := when(11, 3, 40, segue.RulingFail, logs.Config{Caveats: []logs.Caveat{unrated}}, line)
		if median := times[len(times)/2]; median < 0 {
			t.Errorf("found after %s", times)
		}
	})
	t.Run("expired it has no effect", func(t *testing.T) {
		t.Parallel()
		old := caveat
		old.Expires = noon.Add(-time.Hour)
		found := false
		newWorld(1, 3, with(usual)).rollout(logs.Config{Caveats: []logs.Caveat{old}}, 20, func(_ time.Duration, findings []segue.Finding) bool {
			if f, ok := about(findings, "expired"); !ok || f.Ruling != segue.RulingReport {
				t.Fatalf("not reported: %+v", findings)
			}
			found = worst(findings) == segue.RulingFail
			return !found
		})
		if !found {
			t.Error("the finding is still excused")
		}
	})
	t.Run("what it is about vanished", func(t *testing.T) {
		t.Parallel()
		last := never(t, logs.Config{Caveats: []logs.Caveat{caveat}}, mixed(20), segue.RulingFail)
		if f, ok := about(last, "did not come"); !ok || f.Caveat != "known-1" {
			t.Errorf("%+v", last)
		}
	})
}

func TestNeverPassesBySilence(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*judge.Evidence)
		want   string
	}{
		{"candidate unread", func(e *judge.Evidence) { e.Servers[0].LogsRead = false }, "the logs cannot be read of web-1"},
		{"stable unread", func(e *judge.Evidence) {
			for i := range e.Servers[1:] {
				e.Servers[i+1].LogsRead = false
			}
		}, "the logs of no stable server can be read"},
		{"stable lost lines", func(e *judge.Evidence) {
			for i := range e.Servers[1:] {
				e.Servers[i+1].LogsLost = 7
			}
		}, "lines were lost"},
		{"all upgraded", func(e *judge.Evidence) {
			for i := range e.Servers {
				e.Servers[i].Release = "v2"
			}
		}, "no stable server left to compare with"},
		{"no candidate", func(e *judge.Evidence) { e.Servers = e.Servers[1:] }, "no server runs v2"},
		{"nothing at all", func(e *judge.Evidence) { e.Servers = nil }, "no server runs v2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, from := range []int{0, 40} {
				w, j := newWorld(1, 3, mixed(20)), logs.New(logs.Config{})
				before := w.before()
				w.replace("web-1")
				for i := range 60 {
					window := w.window(30 * time.Second)
					if i == 0 {
						window.Before = before
					}
					if i >= from {
						test.change(&window)
					}
					findings := j.Weigh(window)
					if i < from+1 {
						continue
					}
					if f, ok := about(findings, test.want); !ok || f.Ruling != segue.RulingInconclusive || worst(findings) == segue.RulingPass {
						t.Fatalf("look %d: %+v", i, findings)
					}
				}
			}
		})
	}
}

// A template that is learnt to be another keeps its evidence, as the mean of both.
func TestMerge(t *testing.T) {
	t.Parallel()
	a := kind{LogTemplate: named(500, "error", "refused <*> by x"), rate: 4, only: true, factor: 1}
	b := kind{LogTemplate: named(501, "error", "refused <*> by y"), rate: 4, only: true, factor: 1}
	w, j := newWorld(3, 3, with(a, b)), logs.New(logs.Config{})
	before := w.before()
	w.replace("web-1")
	for i := range 20 {
		window := w.window(30 * time.Second)
		if i == 0 {
			window.Before = before
		}
		if i == 12 {
			window.Merged = []judge.LogMerge{{From: b.ID, Into: a.ID}}
		}
		findings := j.Weigh(window)
		_, first := about(findings, a.Text)
		f, second := about(findings, b.Text)
		if i == 11 && (!first || !second) || i >= 12 && (!first || second) {
			t.Fatalf("look %d: %+v", i, f)
		}
		if i >= 12 && worst(findings) != segue.RulingFail {
			t.Fatalf("look %d forgot: %+v", i, findings)
		}
	}
}

// windows gives a rollout's evidence, with something in it.
func windows(seed uint64) []judge.Evidence {
	w := newWorld(seed, 3, append(mixed(5),
		special("error", "brandnew", kind{rate: 2, only: true, factor: 1}),
		kind{LogTemplate: named(501, "info", "tick"), period: 60, factor: 0, sides: 1},
		kind{LogTemplate: named(502, "info", "fresh"), rate: 2, only: true, factor: 1},
	))
	before := w.before()
	w.replace("web-1")
	var all []judge.Evidence
	for i := range 18 {
		e := w.window(30 * time.Second)
		switch i {
		case 0:
			e.Before = before
		case 8:
			w.replace("web-2")
		case 12:
			e.Merged = []judge.LogMerge{{From: w.kinds[4].ID, Into: w.kinds[3].ID}}
		}
		all = append(all, e)
	}
	return all
}

// weighAll gives the findings of all looks as they are stored, and the last verdict.
func weighAll(t *rapid.T, windows []judge.Evidence) (all string, last segue.Ruling) {
	j := logs.New(logs.Config{Caveats: []logs.Caveat{{ID: "c", Match: "thing 3 ", Rate: 1}}})
	for _, w := range windows {
		findings := j.Weigh(w)
		text, err := json.Marshal(findings)
		if err != nil {
			t.Fatalf("findings cannot be stored: %s", err)
		}
		all, last = all+string(text)+"\n", worst(findings)
	}
	return all, last
}

func TestReplay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := windows(rapid.Uint64Range(0, 1000).Draw(t, "seed"))
		want, last := weighAll(t, all)
		if last != segue.RulingFail {
			t.Fatalf("the new error was not found: %s", want)
		}
		stored, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		var back []judge.Evidence
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		for i := range back {
			for _, e := range append(back[i].Before, back[i]) {
				rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "order"))).Shuffle(len(e.Servers), func(a, b int) {
					e.Servers[a], e.Servers[b] = e.Servers[b], e.Servers[a]
				})
			}
		}
		if got, _ := weighAll(t, back); got != want {
			t.Fatalf("a replay, storing windows, or the order of servers, makes a difference: %s", cmp.Diff(want, got))
		}
	})
}

// No evidence whatever makes a judge panic, pass at once, or say what cannot be stored.
func TestAnyEvidence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SampledFrom([]string{"", "a", "b", "c", "0000000000000001"})
		count := rapid.Custom(func(t *rapid.T) judge.LogCount {
			return judge.LogCount{Template: ids.Draw(t, "id"), Units: rapid.Int64().Draw(t, "units"), Events: rapid.Int64().Draw(t, "events")}
		})
		server := rapid.Custom(func(t *rapid.T) judge.ServerEvidence {
			return judge.ServerEvidence{
				Server:  segue.ServerName(rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "server")),
				Release: segue.ReleaseName(rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "release")),
				Started: noon.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "started")) * time.Second), LogsRead: rapid.Bool().Draw(t, "read"),
				LogsLost: rapid.Int64Range(-1, 1).Draw(t, "lost"), Logs: rapid.SliceOfN(count, 0, 4).Draw(t, "logs"), Requests: rapid.Int64().Draw(t, "requests"),
			}
		})
		window := func(t *rapid.T) judge.Evidence {
			return judge.Evidence{
				Stable: "v1", Candidate: "v2", Since: noon, Until: noon.Add(time.Duration(rapid.IntRange(-10, 100).Draw(t, "length")) * time.Second),
				Servers: rapid.SliceOfN(server, 0, 4).Draw(t, "servers"),
				Templates: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) judge.LogTemplate {
					return judge.LogTemplate{ID: ids.Draw(t, "id"), Severity: rapid.SampledFrom([]string{"", "error", "warn"}).Draw(t, "severity")}
				}), 0, 3).Draw(t, "templates"),
				Merged: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) judge.LogMerge {
					return judge.LogMerge{From: ids.Draw(t, "from"), Into: ids.Draw(t, "into")}
				}), 0, 2).Draw(t, "merged"),
			}
		}
		j := logs.New(logs.Config{})
		for i := range rapid.IntRange(1, 5).Draw(t, "windows") {
			e := window(t)
			if i == 0 {
				e.Before = rapid.SliceOfN(rapid.Custom(window), 0, 3).Draw(t, "before")
			}
			findings := j.Weigh(e)
			if _, err := json.Marshal(findings); err != nil {
				t.Fatal(err)
			}
			if len(findings) == 0 || len(findings) > 50 {
				t.Fatalf("%d findings", len(findings))
			}
		}
	})
}
