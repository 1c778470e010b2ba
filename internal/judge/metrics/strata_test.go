package metrics

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// asked is what a server is asked for in a minute, by route, and the share of it that fails.
type asked map[string]struct{ requests, failing float64 }

// rolled are four servers on two routes, an hour before the rollout and so many minutes after: at is what one of them is asked for in a minute.
func rolled(seed uint64, minutes int, at func(server, minute int) asked) []judge.Evidence {
	random := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // no secret
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one := func(minute int) judge.Evidence {
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: start.Add(time.Duration(minute) * time.Minute)}
		e.Until = e.Since.Add(time.Minute)
		for i := range 4 {
			row := judge.ServerEvidence{
				Server: serverOf(i), Release: "v1", Started: start.Add(-2 * time.Hour), Routes: map[string]int64{}, RouteErrors: map[string]int64{},
			}
			if i == 0 && minute >= 0 {
				row.Release = "v2"
			}
			of := at(i, minute)
			for _, route := range []string{"GET /", "POST /orders", "GET /feeds/{id}"} {
				for range int(of[route].requests) {
					row.Requests++
					row.Routes[route]++
					if random.Float64() < of[route].failing {
						row.Errors++
						row.RouteErrors[route]++
					}
				}
			}
			row.Latency = telemetry.Distribution{Count: row.Requests, SumMicros: 1000 * row.Requests, MaxMicros: 1000, Buckets: []telemetry.Bucket{{Index: 300, Count: row.Requests}}}
			e.Servers = append(e.Servers, row)
		}
		return e
	}
	var before, after []judge.Evidence
	for minute := -60; minute < 0; minute++ {
		before = append(before, one(minute))
	}
	for minute := range minutes {
		after = append(after, one(minute))
	}
	after[0].Before = before
	return after
}

// errorsOf gives the worst ruling on errors, and its text.
func errorsOf(windows []judge.Evidence) (worst segue.Finding) {
	j := New(Config{})
	for _, window := range windows {
		for _, f := range j.Weigh(window) {
			if f.Judge == "error rate" && (worst.Ruling == "" || order(f.Ruling) < order(worst.Ruling)) {
				worst = f
			}
		}
	}
	return worst
}

// TestWhatAServerIsAskedForIsNoFault: errors that everybody has on a route are nobody's own, whoever is asked for it; and what is, is found among them.
func TestWhatAServerIsAskedForIsNoFault(t *testing.T) {
	t.Parallel()
	const quiet, failing = 0.002, 0.1
	usual := asked{"GET /": {500, quiet}, "POST /orders": {100, failing}}
	for _, test := range []struct {
		name string
		at   func(server, minute int) asked
		want segue.Ruling
		text string
	}{
		{"a client asks one server for what fails", func(server, minute int) asked {
			if server == 0 && minute == 15 {
				return asked{"GET /": {500, quiet}, "POST /orders": {100, failing}, "GET /feeds/{id}": {120, 1}}
			}
			return usual
		}, segue.RulingHold, "120 on routes that the others were not asked for, GET /feeds/{id} above all"},
		{"a client asks all for what fails, one more often", func(server, minute int) asked {
			if server == 0 && minute >= 0 {
				return asked{"GET /": {500, quiet}, "POST /orders": {100, failing}, "GET /feeds/{id}": {60, 1}}
			}
			return asked{"GET /": {500, quiet}, "POST /orders": {100, failing}, "GET /feeds/{id}": {20, 1}}
		}, segue.RulingHold, ""},
		{"another mix", func(server, minute int) asked {
			if server == 0 && minute >= 0 {
				return asked{"GET /": {440, quiet}, "POST /orders": {160, failing}}
			}
			return usual
		}, segue.RulingHold, ""},
		{"a mix of its own, as ever", func(server, _ int) asked {
			if server == 1 {
				return asked{"GET /": {100, quiet}, "POST /orders": {500, failing}}
			}
			return usual
		}, segue.RulingInconclusive, ""},
		{"a mix of its own that ends", func(server, minute int) asked {
			if server == 0 && minute < 0 {
				return asked{"GET /": {580, quiet}, "POST /orders": {20, failing}}
			}
			return usual
		}, segue.RulingHold, ""},
		{"more errors beside a route that always fails", func(server, minute int) asked {
			share := quiet
			if server == 0 && minute >= 0 {
				share = 10 * quiet
			}
			return asked{"GET /": {500, share}, "GET /feeds/{id}": {100, 1}}
		}, segue.RulingFail, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4) {
				f := errorsOf(rolled(seed, 30, test.at))
				wrong := order(f.Ruling) < order(test.want) || test.want == segue.RulingFail && f.Ruling != test.want
				if wrong || f.Ruling == segue.RulingHold && !strings.Contains(f.Text, test.text) {
					t.Errorf("seed %d: %s: %s", seed, f.Ruling, f.Text)
				}
			}
		})
	}
}

// TestStrataLoseNothing: whatever comes, every error is weighed once, waits, or belongs to a route where all failed; and what is weighed has both sides.
func TestStrataLoseNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s strata
		var in, out [2]float64
		for range rapid.IntRange(1, 20).Draw(t, "bins") {
			var sides [2]side
			for i := range sides {
				sides[i] = side{names: []segue.ServerName{serverOf(i)}, routes: map[string]float64{}, routeErrors: map[string]float64{}}
				for route := range 4 {
					n := rapid.IntRange(0, 3).Draw(t, "requests")
					k := rapid.IntRange(0, n).Draw(t, "errors")
					sides[i].requests, sides[i].errors = sides[i].requests+float64(n), sides[i].errors+float64(k)
					if n > 0 && route > 0 { // the first one is of requests without a route
						sides[i].routes[fmt.Sprint(route)], sides[i].routeErrors[fmt.Sprint(route)] = float64(n), float64(k)
					}
				}
				in[i] += sides[i].errors
			}
			for _, p := range s.add(sides[0], sides[1]) {
				if p.mine.requests == 0 && p.others.requests == 0 || p.mine.errors > p.mine.requests || p.others.errors > p.others.requests {
					t.Fatalf("weighed %+v", p)
				}
				out[0], out[1] = out[0]+p.mine.errors, out[1]+p.others.errors
			}
		}
		for route, of := range s.open {
			if of[0].requests > 0 && of[1].requests > 0 {
				t.Fatalf("%s waits with %+v", route, *of)
			}
			out[0], out[1] = out[0]+of[0].errors, out[1]+of[1].errors
		}
		if out[0] > in[0] || out[1] > in[1] {
			t.Fatalf("%v errors came, %v were weighed or wait", in, out)
		}
	})
}

// TestFewRequestsMakeNoMix: servers that are asked for the same differ by chance alone while they were asked little.
func TestFewRequestsMakeNoMix(t *testing.T) {
	t.Parallel()
	shares := []float64{0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02, 0.02}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // no secret
		servers := map[segue.ServerName]map[string]float64{}
		for i := range 10 {
			servers[serverOf(i)] = counted(nil, users(random, serverOf(i), "v1", shares, 400).Routes)
		}
		if got := widest(servers); got > harmless/1.5 {
			t.Errorf("seed %d: equal servers are %.3f apart", seed, got)
		}
	}
}

// TestMixOfAColdServer: what a server is asked for counts before its durations do, so that they are not compared once they do.
func TestMixOfAColdServer(t *testing.T) {
	t.Parallel()
	windows := rolled(1, 4, func(server, minute int) asked {
		if server == 0 && minute >= 0 {
			return asked{"GET /": {300, 0}, "POST /orders": {300, 0}}
		}
		return asked{"GET /": {500, 0}, "POST /orders": {100, 0}}
	})
	j := New(Config{Warm: time.Hour})
	for _, window := range windows {
		window.Servers[0].Started = windows[0].Since
		for _, f := range j.Weigh(window) {
			if f.Judge == "mix" {
				return
			}
		}
	}
	t.Error("no other mix in the first minutes")
}
