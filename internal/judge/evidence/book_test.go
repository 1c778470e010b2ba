package evidence_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

func TestThresholds(t *testing.T) {
	t.Parallel()
	b := evidence.NewBook(0.05)
	b.Known("panic", 8)
	b.Known("warning", 2)
	b.Known("without weight", math.NaN())
	b.Born("first")
	b.Born("second")
	b.Known("too late", 8)
	got := map[string]float64{}
	for _, id := range []string{"panic", "warning", "without weight", "first", "second", "too late", "never seen"} {
		got[id] = math.Round(b.Threshold(id))
	}
	if diff := cmp.Diff(map[string]float64{
		"panic": 50, "warning": 200, "first": 66, "second": 263, "too late": 592, "without weight": math.Inf(1), "never seen": math.Inf(1),
	}, got); diff != "" {
		t.Errorf("thresholds (-want +got):\n%s", diff)
	}
	strict := evidence.NewBook(0.01)
	strict.Born("first")
	if got := math.Round(strict.Threshold("first")); got != 329 {
		t.Errorf("first birth at 1 %%: %v, want 329", got)
	}
}

func TestRejectedTogether(t *testing.T) {
	t.Parallel()
	b := evidence.NewBook(0.05)
	for _, id := range []string{"a", "b", "c", "d"} {
		b.Known(id, 1) // each alone at 160, two at 80, three at 53.3, four at 40
	}
	set := func(values ...float64) []string {
		for i, e := range values {
			b.Set(string(rune('a'+i)), math.Log(e))
		}
		return b.Rejected()
	}
	for _, test := range []struct {
		e    []float64
		want []string
	}{
		{[]float64{159, 1, 1, 1}, nil},
		{[]float64{161, 79, 1, 1}, []string{"a"}},
		{[]float64{81, 1, 81, 1}, []string{"a", "c"}},
		{[]float64{54, 54, 54, 54}, []string{"a", "b", "c", "d"}},
		{[]float64{54, 90, 54, 1}, []string{"b", "a", "c"}},
		{[]float64{100, 53, 53, 39}, nil},
		{[]float64{math.NaN(), math.Inf(1), 0, 1}, []string{"b"}},
	} {
		if diff := cmp.Diff(test.want, set(test.e...)); diff != "" {
			t.Errorf("E = %v (-want +got):\n%s", test.e, diff)
		}
	}
}

// TestBookAgainstDefinition compares with e-BH spelled out.
func TestBookAgainstDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := evidence.NewBook(0.05)
		known, born := rapid.IntRange(0, 8).Draw(t, "known"), rapid.IntRange(0, 8).Draw(t, "born")
		e := map[string]float64{}
		for i := range known {
			b.Known(fmt.Sprint("known ", i), rapid.Float64Range(0.1, 9).Draw(t, "weight"))
		}
		for i := range born {
			b.Born(fmt.Sprint("born ", i))
		}
		spent := 0.0
		for i := range known + born {
			id := fmt.Sprint("known ", i)
			if i >= known {
				id = fmt.Sprint("born ", i-known)
			}
			e[id] = math.Exp(rapid.Float64Range(-2, 9).Draw(t, "log E"))
			b.Set(id, math.Log(e[id]))
			spent += 1 / (0.05 * b.Threshold(id))
		}
		if spent > 1+1e-9 {
			t.Fatalf("shares add up to %v", spent)
		}
		want := 0
		for k := 1; k <= len(e); k++ {
			over := 0
			for id := range e {
				if e[id] >= b.Threshold(id)/float64(k)*(1-1e-12) {
					over++
				}
			}
			if over >= k {
				want = over
			}
		}
		if got := b.Rejected(); len(got) != want {
			t.Fatalf("%d rejected (%v), want %d of %v", len(got), got, want, e)
		}
	})
}

// TestFalseDiscoveries: 100 streams, ten of them worse; few of what is rejected after 40 minutes are false.
func TestFalseDiscoveries(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	const runs, alpha = 200, 0.05
	falsely, found := 0.0, 0.0
	for range runs {
		rejected := rollout(random, fleet{streams: 100, worse: 10, factor: 6, others: 3, minutes: 40, null: 1, alpha: alpha, patient: true})
		wrong := 0
		for _, id := range rejected {
			if id >= "010" {
				wrong++
			}
		}
		if len(rejected) > 0 {
			falsely += float64(wrong) / float64(len(rejected)) / runs
			found += float64(len(rejected)-wrong) / 10 / runs
		}
	}
	t.Logf("false discoveries %.4f (alpha %v), %.2f of the worse found", falsely, alpha, found)
	if falsely > alpha || found < 0.7 {
		t.Errorf("false discoveries %.4f (alpha %v), %.2f of the worse found", falsely, alpha, found)
	}
}

// fleet is one simulated rollout: streams of different rates, servers that differ for good.
type fleet struct {
	streams, worse, others, minutes int
	factor, sigma, null, alpha      float64
	// history are the minutes before the upgrade from which the null is taken; 0 takes equal exposure.
	history float64
	// patient looks only once, at the end.
	patient bool
}

// rollout gives what is rejected at the first look that rejects anything; streams are named by number, the worse first.
func rollout(random *rand.Rand, f fleet) []string {
	book := evidence.NewBook(f.alpha)
	type stream struct {
		process        *evidence.Process
		mine, theirs   float64
		exposed, apart float64
		id             string
	}
	streams := make([]stream, f.streams)
	for i := range streams {
		s := &streams[i]
		rate := math.Exp(random.Float64()*5.3) / 100 // 0.01 to 2 a minute
		s.mine, s.exposed, s.apart = rate*math.Exp(f.sigma*random.NormFloat64()), 1, float64(f.others)
		for range f.others {
			s.theirs += rate * math.Exp(f.sigma*random.NormFloat64())
		}
		if f.history > 0 {
			s.exposed, s.apart = evidence.Odds(poisson(random, s.mine*f.history), poisson(random, s.theirs*f.history), 1), 1
		}
		if i < f.worse {
			s.mine = f.factor * max(0.5, s.mine)
			s.theirs = max(0.5*float64(f.others), s.theirs)
		}
		s.id, s.process = fmt.Sprintf("%03d", i), evidence.NewProcess(evidence.Options{Null: f.null, Only: true})
		book.Known(s.id, 1)
	}
	for minute := range f.minutes {
		for i := range streams {
			s := &streams[i]
			s.process.Add(evidence.Split{
				Candidate: poisson(random, s.mine), Others: poisson(random, s.theirs), CandidateExposure: s.exposed, OthersExposure: s.apart,
			})
			book.Set(s.id, s.process.LogE())
		}
		if rejected := book.Rejected(); len(rejected) > 0 && !f.patient || minute == f.minutes-1 {
			return rejected
		}
	}
	return nil
}

// TestServersThatDiffer: with a scatter of 30 % among servers, equal exposure alarms nearly always; each server's own past does not.
func TestServersThatDiffer(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 10))
	for _, test := range []struct {
		name    string
		history float64
		null    float64
		runs    int
		low, up float64
	}{
		{"equal exposure", 0, 1, 30, 0.3, 1},
		{"an hour of history", 60, 1.25, 60, 0, 0.04},
		{"a day of history", 1440, 1.25, 60, 0, 0.04},
	} {
		for _, others := range []int{1, 3} {
			alarms := 0.0
			for range test.runs {
				f := fleet{streams: 100, others: others, minutes: 60, sigma: 0.3, null: test.null, alpha: 0.05, history: test.history}
				if len(rollout(random, f)) > 0 {
					alarms++
				}
			}
			alarms /= float64(test.runs)
			t.Logf("%s, %d others: %.3f of A/A rejected", test.name, others, alarms)
			if alarms < test.low || alarms > test.up {
				t.Errorf("%s, %d others: %.3f of A/A rejected, want %v to %v", test.name, others, alarms, test.low, test.up)
			}
		}
	}
}

func TestOdds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ candidate, others, phi, low, up float64 }{
		"a long past is believed":     {1e6, 3e6, 1, 1.0 / 3, 0.335},
		"a short one excuses more":    {10, 30, 1, 0.5, 1},
		"bursts make it shorter":      {1000, 3000, 100, 0.45, 1},
		"no past excuses nearly all":  {0, 0, 1, 5, 50},
		"nothing on this server":      {0, 1000, 1, 0.001, 0.02},
		"NaN is no past":              {math.NaN(), 5, 1, 5, 50},
		"only on this server":         {1e9, 0, 1, 1e6, 1.1e9},
		"a dispersion that cannot be": {1e6, 3e6, math.NaN(), 1.0 / 3, 0.335},
	} {
		if got := evidence.Odds(test.candidate, test.others, test.phi); !(got >= test.low && got <= test.up) {
			t.Errorf("%s: %v, want %v to %v", name, got, test.low, test.up)
		}
	}
}

func TestDispersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		counts []float64
		want   float64
	}{
		"none":              {nil, 1},
		"one":               {[]float64{7}, 1},
		"steady":            {[]float64{5, 5, 5, 5}, 1},
		"silent":            {[]float64{0, 0, 0}, 1},
		"bursts":            {[]float64{0, 10, 0, 10}, 1.1 * (100.0 / 3) / 5},
		"with what is none": {[]float64{0, math.NaN(), 10, -4, 0, math.Inf(1), 10}, 1.1 * (100.0 / 3) / 5},
	} {
		if got := evidence.Dispersion(test.counts); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := evidence.DefaultBudget(0.05)
	if diff := cmp.Diff(evidence.Budget{Logs: 0.02, Errors: 0.0075, Latency: 0.0075, Responses: 0.01, Severe: 0.001, Gauges: 0.004}, b,
		cmp.Comparer(func(x, y float64) bool { return math.Abs(x-y) < 1e-12 })); diff != "" {
		t.Errorf("budget of 5 %% (-want +got):\n%s", diff)
	}
	sum := 0.0
	for server := 1; server <= 10000; server++ {
		sum += evidence.Spend(0.05, server)
	}
	if sum > 0.05 || sum < 0.0499 || math.Abs(evidence.Spend(1, 1)-0.6079) > 1e-4 {
		t.Errorf("10000 servers spend %v of 0.05, the first one %v", sum, evidence.Spend(1, 1))
	}
}
