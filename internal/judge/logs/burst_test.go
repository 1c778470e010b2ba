package logs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

// changed runs a rollout whose windows are changed before they are weighed, and gives the findings of each look.
func (w *world) changed(minutes int, change func(*judge.Evidence), see func(look int, findings []segue.Finding) bool) {
	j, before := logs.New(logs.Config{}), w.before()
	w.replace(w.names[0])
	for i := range minutes * 2 {
		window := w.window(30 * time.Second)
		if i == 0 {
			window.Before = before
		}
		change(&window)
		if !see(i, j.Weigh(window)) {
			return
		}
	}
}

func TestFewWarningsAreNoBurst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		line kind
	}{
		{"half as many again", special("warn", "flaky", kind{rate: 4, factor: 1.5, sides: 1})},
		{"a rare one", special("warn", "flaky", kind{rate: 1.0 / 60, factor: 10, sides: 1})},
		{"a new one now and then", special("warn", "brandnew", kind{rate: 0.5, only: true, factor: 1})},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			never(t, logs.Config{}, with(test.line), segue.RulingFail, segue.RulingHold)
		})
	}
}

// However many lines one slot has, it is one: a server that says ten thousand at once had one bad moment.
func TestOneLoudMomentIsNoBurst(t *testing.T) {
	t.Parallel()
	for _, severity := range []string{"warn", "error"} {
		line := special(severity, "flaky", kind{rate: 2, factor: 1, sides: 1})
		w, look := newWorld(1, 3, with(line)), 0
		w.changed(30, func(e *judge.Evidence) {
			for i, n := range e.Servers[0].Logs {
				if look == 10 && n.Template == line.ID {
					e.Servers[0].Logs[i].Events += 10_000
				}
			}
			look++
		}, func(look int, findings []segue.Finding) bool {
			if ruling := worst(findings); ruling == segue.RulingFail || ruling == segue.RulingHold {
				t.Errorf("%s, look %d: %+v", severity, look, findings[0])
				return false
			}
			return true
		})
	}
}

// darken makes the severities of some lines unknown.
func darken(kinds []kind, which func(kind) bool) []kind {
	for i := range kinds {
		if which(kinds[i]) {
			kinds[i].Severity = []string{"unknown", ""}[i%2]
		}
	}
	return kinds
}

func all(kind) bool { return true }

func TestUnreadableSeverities(t *testing.T) {
	t.Parallel()
	fresh := special("error", "brandnew", kind{rate: 1, only: true, factor: 1})
	more := special("error", "flaky", kind{rate: 1, factor: 10, sides: 1})
	for _, test := range []struct {
		name  string
		kinds []kind
		line  string
	}{
		{"a new line is held", darken(with(fresh), all), "brandnew"},
		{"a multiplied line is held", darken(with(more), all), "flaky"},
		{"so it is where some can be read", darken(with(fresh), func(k kind) bool { return k.Severity != "warn" || k.rate < 1 }), "brandnew"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			held := 0
			for seed := range uint64(4) {
				newWorld(seed, 3, test.kinds).rollout(logs.Config{}, 30, func(after time.Duration, findings []segue.Finding) bool {
					f, ok := about(findings, test.line)
					switch {
					case worst(findings) == segue.RulingFail:
						t.Fatalf("seed %d, after %s: %+v", seed, after, findings[0])
					case ok && f.Ruling == segue.RulingHold && strings.Contains(f.Text, "may be an error"):
						held++
						return false
					case after > 2*time.Minute:
						if f, ok := about(findings, "severities are unreadable"); !ok || !strings.Contains(f.Text, "may be") {
							t.Fatalf("seed %d, after %s: no word about the severities: %+v", seed, after, findings)
						}
					}
					return true
				})
			}
			if held < 4 {
				t.Errorf("held in %d of 4 rollouts", held)
			}
		})
	}
	t.Run("the same release passes with a caveat", func(t *testing.T) {
		t.Parallel()
		last := never(t, logs.Config{}, darken(mixed(40), all), segue.RulingFail, segue.RulingHold)
		if f, ok := about(last, "severities are unreadable"); !ok || f.Ruling != segue.RulingPass {
			t.Errorf("%+v", last)
		}
	})
	t.Run("an expected line is reported", func(t *testing.T) {
		t.Parallel()
		config := logs.Config{Expected: []logs.Expectation{{Match: "brandnew"}}}
		never(t, config, darken(with(fresh), all), segue.RulingFail, segue.RulingHold)
	})
	t.Run("one unknown line among others is not", func(t *testing.T) {
		t.Parallel()
		last := never(t, logs.Config{}, with(special("unknown", "brandnew", kind{rate: 1, only: true, factor: 1})), segue.RulingFail, segue.RulingHold)
		if f, ok := about(last, "unreadable"); ok {
			t.Errorf("%+v", f)
		}
	})
	t.Run("the candidate's alone", func(t *testing.T) {
		t.Parallel()
		kinds := mixed(40)
		for _, k := range mixed(40) {
			k.ID, k.Severity, k.only = "dark"+k.ID, "unknown", true
			kinds = append(kinds, k)
		}
		for i := range kinds[:len(kinds)/2] {
			kinds[i].factor = 0
		}
		newWorld(1, 3, kinds).rollout(logs.Config{}, 30, func(after time.Duration, findings []segue.Finding) bool {
			if worst(findings) == segue.RulingPass {
				t.Errorf("passed after %s: %+v", after, findings)
			}
			_, told := about(findings, "of v2 have none that is known")
			if !told && after > 2*time.Minute {
				t.Errorf("after %s: %+v", after, findings)
			}
			return !t.Failed()
		})
	})
}

func TestOnlyAnHeirExcusesAHeartbeat(t *testing.T) {
	t.Parallel()
	gone := special("info", "pruned the session table of <*> rows", kind{period: 60, factor: 0, sides: 1})
	other := func(text string, k kind) kind {
		k.LogTemplate, k.only, k.factor = named(501, "info", text), true, 1
		return k
	}
	const alike = "pruned the session store of <*> rows"
	for _, test := range []struct {
		name string
		line kind
		want segue.Ruling
	}{
		{"the same clock", other(alike, kind{period: 60}), segue.RulingReport},
		{"another sentence", other("<*> rows that were in the session table have been pruned", kind{period: 60}), segue.RulingReport},
		{"a rarer line", other(alike, kind{period: 180}), segue.RulingFail},
		{"half as often", other(alike, kind{period: 120}), segue.RulingFail},
		{"twice as often", other(alike, kind{period: 30}), segue.RulingFail},
		{"by chance", other(alike, kind{rate: 1}), segue.RulingFail},
		{"at all times", other(alike, kind{rate: 12}), segue.RulingFail},
		{"other words", other("compacted <*>", kind{period: 60}), segue.RulingFail},
		{"once at the start", other(alike, kind{atStart: true}), segue.RulingFail},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const runs = 4
			failed := 0
			for seed := range uint64(runs) {
				newWorld(seed, 3, with(gone, test.line)).rollout(logs.Config{}, 20, func(_ time.Duration, findings []segue.Finding) bool {
					f, ok := about(findings, "session table")
					if ok && f.Ruling == segue.RulingFail {
						failed++
						return false
					}
					return true
				})
			}
			if want := map[segue.Ruling]int{segue.RulingFail: runs}[test.want]; failed != want {
				t.Errorf("%d of %d rollouts failed, want %d", failed, runs, want)
			}
		})
	}
}

// A server that is sent copies of others' requests has more to log, and is no worse for it.
func TestMirroredRequestsAreExposure(t *testing.T) {
	t.Parallel()
	line := special("error", "flaky", kind{rate: 4, factor: 2, sides: 1})
	for _, mirrored := range []bool{false, true} {
		failed, passed := false, false
		newWorld(3, 3, []kind{line}).changed(40, func(e *judge.Evidence) {
			if mirrored {
				e.Servers[0].Mirrored = e.Servers[0].Requests
			}
		}, func(_ int, findings []segue.Finding) bool {
			ruling := worst(findings)
			failed, passed = failed || ruling == segue.RulingFail || ruling == segue.RulingHold, passed || ruling == segue.RulingPass
			return true
		})
		if failed == mirrored || passed != mirrored {
			t.Errorf("mirrored: %t, failed or held: %t, passed: %t", mirrored, failed, passed)
		}
	}
}
