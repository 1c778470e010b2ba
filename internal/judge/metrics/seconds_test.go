package metrics_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// live is a rollout that is looked at each second, from the start of the candidate's process on.
type live struct {
	others, seconds int
	// requests per second and server; shares of failing answers by route, of which the second gets rare of the requests.
	requests       float64
	rare           float64
	stable, broken [2]float64
}

func (l live) second(random *rand.Rand, e *judge.Evidence, length float64, candidate bool) {
	for i := range l.others + 1 {
		row := judge.ServerEvidence{
			Server: segue.ServerName(fmt.Sprintf("web-%d", i+1)), Release: "v1", Ready: true, Started: begun().Add(-time.Hour),
			Routes: map[string]int64{}, RouteErrors: map[string]int64{},
		}
		shares := l.stable
		if i == 0 && candidate {
			row.Release, row.Started, shares = "v2", begun(), l.broken
		}
		for at, route := range []string{"GET /", "GET /checkout"} {
			part := [2]float64{1 - l.rare, l.rare}[at]
			n := poisson(random, l.requests*length*part)
			failed := min(n, poisson(random, float64(n)*shares[at]))
			row.Requests, row.Errors = row.Requests+int64(n), row.Errors+int64(failed)
			if row.Routes[route] = int64(n); failed > 0 {
				row.RouteErrors[route] = int64(failed)
			}
		}
		e.Servers = append(e.Servers, row)
	}
}

// failed gives the second of the first fail, 0 for none, and its finding.
func (l live) failed(seed uint64) (int, segue.Finding) {
	random, j := rand.New(rand.NewPCG(seed, 9)), metrics.New(metrics.Config{})
	var before []judge.Evidence
	for minute := range 60 {
		at := begun().Add(time.Duration(minute-60) * time.Minute)
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(time.Minute)}
		l.second(random, &e, 60, false)
		before = append(before, e)
	}
	for second := range l.seconds {
		at := begun().Add(time.Duration(second) * time.Second)
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(time.Second), Before: before}
		before = nil
		l.second(random, &e, 1, true)
		for _, f := range j.Weigh(e) {
			if f.Ruling == segue.RulingFail {
				return second + 1, f
			}
		}
	}
	return 0, segue.Finding{}
}

// TestSeconds: what is drastic is found at once, by evidence; what fails on a rare route alone is found and named; and looking each second at equal
// releases costs nothing.
func TestSeconds(t *testing.T) {
	t.Parallel()
	usual := [2]float64{0.002, 0.001}
	for _, test := range []struct {
		name string
		live
		runs    int
		most    float64 // share that fails
		median  int     // seconds to the fail; 0 for none
		finding string
	}{
		{"half of all fail", live{others: 1, seconds: 60, requests: 50, rare: 0.02, stable: usual, broken: [2]float64{0.5, 0.5}}, 15, 1, 2, "answers failed on web-1"},
		{"half of all fail, 3 others", live{others: 3, seconds: 60, requests: 20, rare: 0.02, stable: usual, broken: [2]float64{0.5, 0.5}}, 15, 1, 3, "answers failed on web-1"},
		{"a rare route", live{others: 3, seconds: 900, requests: 20, rare: 0.005, stable: usual, broken: [2]float64{0.002, 0.31}}, 8, 1, 480, "GET /checkout: "},
		{"equal", live{others: 3, seconds: 600, requests: 20, rare: 0.02, stable: usual, broken: usual}, 40, 0.03, 0, ""},
		{"equal, 1 other", live{others: 1, seconds: 600, requests: 50, rare: 0.02, stable: usual, broken: usual}, 15, 0, 0, ""},
		{"all fail", live{others: 3, seconds: 120, requests: 20, rare: 0.02, stable: [2]float64{0.3, 0.3}, broken: [2]float64{0.3, 0.3}}, 20, 0, 0, ""},
	} {
		var seconds []int
		var found segue.Finding
		runs := some(test.runs)
		for seed := range runs {
			if second, f := test.failed(uint64(seed)); second > 0 {
				seconds, found = append(seconds, second), f
			}
		}
		share, middle := float64(len(seconds))/float64(runs), 0
		if slices.Sort(seconds); len(seconds) > 0 {
			middle = seconds[len(seconds)/2]
		}
		t.Logf("%s: %.2f fail, after %d s (median): %s", test.name, share, middle, found.Text)
		if share > test.most+slack(runs) || test.median > 0 && (share < 0.9 || middle > test.median) || !strings.Contains(found.Text, test.finding) {
			t.Errorf("%s: %.2f fail, after %d s: %s", test.name, share, middle, found.Text)
		}
	}
}
