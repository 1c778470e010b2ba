package evidence_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// host is a server whose durations are lognormal around 20 ms, with a habit of its own and a mood that wanders: AR(1) 0.9.
type host struct{ habit, mood float64 }

// draw adds a minute of durations, moved by a logarithm. It counts in cells of a shaken grid instead of drawing each duration.
func (h *host) draw(random *rand.Rand, into telemetry.Distribution, requests, shift float64) telemetry.Distribution {
	const cells, step, scatter = 60, 0.1, 0.5
	h.mood = 0.9*h.mood + math.Sqrt(1-0.81)*0.1*random.NormFloat64()
	shake := random.Float64()
	buckets := make([]telemetry.Bucket, 0, cells)
	for i := range cells {
		z := -2.5 + (float64(i)+shake)*step
		mean := requests * step * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
		n := int64(max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64())))
		if mean < 8 {
			n = int64(poisson(random, mean))
		}
		if n > 0 {
			buckets = append(buckets, telemetry.Bucket{Index: bucketOf(uint64(20e3 * math.Exp(scatter*z+h.habit+h.mood+shift))), Count: n})
		}
	}
	return into.Add(telemetry.Distribution{Buckets: buckets})
}

// bucketOf is telemetry's numbering: 32 buckets to a power of two.
func bucketOf(micros uint64) int {
	if micros < 64 {
		return int(micros)
	}
	shift := bits.Len64(micros) - 6
	return 64 + (shift-1)<<5 + int(micros>>shift) - 32
}

func TestBucketNumbersOfTheSimulation(t *testing.T) {
	t.Parallel()
	for micros := uint64(1); micros < 1e9; micros += micros/7 + 1 {
		var h telemetry.Histogram
		h.Observe(time.Duration(micros) * time.Microsecond)
		if want := h.Distribution().Buckets[0].Index; bucketOf(micros) != want {
			t.Fatalf("%d us is in bucket %d, want %d", micros, bucketOf(micros), want)
		}
	}
}

// slow is a simulated rollout of one server among others.
type slow struct {
	others, minutes int
	requests, shift float64
	margin, alpha   float64
	phi             float64
	// past is how many minutes are known from before the upgrade; 0 knows nothing.
	past int
}

// run gives the minute of the alarm, and that of the proof that the candidate is fine (0: never).
func (s slow) run(random *rand.Rand) (alarm, fine int) {
	hosts := make([]host, s.others+1)
	for i := range hosts {
		hosts[i] = host{habit: 0.1 * random.NormFloat64(), mood: 0.1 * random.NormFloat64()}
	}
	minute := func(mine, theirs *telemetry.Distribution, shift float64) {
		*mine = hosts[0].draw(random, *mine, s.requests, shift)
		for i := range hosts[1:] {
			*theirs = hosts[i+1].draw(random, *theirs, s.requests, 0)
		}
	}
	var mine, theirs telemetry.Distribution
	for range s.past {
		minute(&mine, &theirs, 0)
	}
	l := evidence.NewLatency(s.margin, mine, theirs)
	l.Temper(s.phi)
	for now := 1; now <= s.minutes && (alarm == 0 || fine == 0); now++ {
		mine, theirs = telemetry.Distribution{}, telemetry.Distribution{}
		minute(&mine, &theirs, s.shift)
		l.Add(mine, theirs)
		if alarm == 0 && l.LogE() >= -math.Log(s.alpha) {
			alarm = now
		}
		if fine == 0 && l.NonInferiorE() >= 20 {
			fine = now
		}
	}
	return alarm, fine
}

// TestLatencyOfServersThatWander: habits of 10 % and moods of 10 % that last for ten minutes.
func TestLatencyOfServersThatWander(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 12))
	for _, test := range []struct {
		name string
		slow
		runs                 int
		alarmLow, alarmUp    float64
		medianUp, fineAtMost float64
	}{
		{"A/A, 1 other", slow{others: 1, minutes: 120, past: 60}, 60, 0, 0.1, 1e9, 1},
		{"A/A, 1 other, tempered", slow{others: 1, minutes: 120, past: 60, phi: 5}, 60, 0, 0.04, 1e9, 1},
		{"A/A, 3 others", slow{others: 3, minutes: 120, past: 60}, 60, 0, 0.02, 1e9, 1},
		{"A/A without margin", slow{others: 3, minutes: 60, past: 60, margin: 1e-9}, 20, 0.2, 1, 1e9, 1},
		{"+50 %, 3 others", slow{others: 3, minutes: 60, past: 60, shift: math.Log(1.5)}, 40, 0.9, 1, 3, 0.05},
		{"+100 %, 1 other, tempered", slow{others: 1, minutes: 60, past: 60, phi: 5, shift: math.Log(2)}, 40, 0.95, 1, 3, 0.05},
		{"+100 %, 3 others", slow{others: 3, minutes: 60, past: 60, shift: math.Log(2)}, 40, 1, 1, 1, 0.05},
	} {
		test.alpha = 0.01
		test.requests = 600
		if test.margin == 0 {
			test.margin = 0.25
		}
		alarms, fines := make([]int, test.runs), make([]int, test.runs)
		for i := range test.runs {
			alarms[i], fines[i] = test.run(random)
		}
		t.Logf("%s: %.3f alarm, median %v min; %.3f fine, median %v min",
			test.name, share(alarms), quantile(alarms, 0.5), share(fines), quantile(fines, 0.5))
		if got := share(alarms); got < test.alarmLow || got > test.alarmUp {
			t.Errorf("%s: %.3f alarm, want %v to %v", test.name, got, test.alarmLow, test.alarmUp)
		}
		if got := quantile(alarms, 0.5); got > test.medianUp {
			t.Errorf("%s: alarm after %v min (median), want %v at most", test.name, got, test.medianUp)
		}
		if got := share(fines); got > test.fineAtMost {
			t.Errorf("%s: %.3f proved fine, want %v at most", test.name, got, test.fineAtMost)
		}
	}
}

// TestLatencyOfOneBucket: where all durations are the same, or nearly all, the edges still tell slow from fine.
func TestLatencyOfOneBucket(t *testing.T) {
	t.Parallel()
	all := func(n int64, micros uint64, most bool) telemetry.Distribution {
		d := telemetry.Distribution{Buckets: []telemetry.Bucket{{Index: bucketOf(micros), Count: n}}}
		if most {
			d.MaxMicros = int64(micros)
		}
		return telemetry.Distribution{}.Add(d)
	}
	for _, micros := range []uint64{8, 40, 900, 20_000, 3_000_000} {
		for _, most := range []bool{false, true} {
			for _, past := range []int64{0, 10_000} {
				for _, test := range []struct {
					times      float64
					slow, fine bool
				}{{1, false, true}, {1.1, false, true}, {1.5, true, false}, {2, true, false}, {20, true, false}} {
					l := evidence.NewLatency(0.25, all(past, micros, most), all(past, micros, most))
					for range 20 {
						l.Add(all(100, uint64(float64(micros)*test.times), most), all(300, micros, most))
					}
					if slow, fine := l.E() >= 100, l.NonInferiorE() >= 20; slow != test.slow || fine != test.fine {
						t.Errorf("%d µs, times %v, most %v, past %d: E %v, fine %v", micros, test.times, most, past, l.E(), l.NonInferiorE())
					}
				}
			}
		}
	}
}

func TestLatencyWithoutPast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(13, 14))
	l := evidence.NewLatency(0.25, telemetry.Distribution{}, telemetry.Distribution{})
	usual, slow := &host{}, &host{}
	for minute := range 3 {
		l.Add(slow.draw(random, telemetry.Distribution{}, 600, 1), usual.draw(random, telemetry.Distribution{}, 600, 0))
		if minute == 0 && l.LogE() != 0 {
			t.Errorf("the minute that lays the edges weighs %v", l.LogE())
		}
	}
	if l.E() < 100 {
		t.Errorf("2.7 times as slow for 2 minutes: E = %v", l.E())
	}
	candidate, others := l.Seen()
	if ratio := float64(candidate.Quantile(0.5)) / float64(others.Quantile(0.5)); ratio < 2 || ratio > 3.5 {
		t.Errorf("medians %v and %v", candidate.Quantile(0.5), others.Quantile(0.5))
	}
}

// TestLatencyOfWildDistributions: no histogram, however broken, makes a panic or a NaN; and an idle candidate no alarm.
func TestLatencyOfWildDistributions(t *testing.T) {
	t.Parallel()
	distribution := rapid.Custom(func(t *rapid.T) telemetry.Distribution {
		d := telemetry.Distribution{Count: rapid.Int64().Draw(t, "count"), MaxMicros: rapid.Int64().Draw(t, "max")}
		for range rapid.IntRange(0, 4).Draw(t, "buckets") {
			d.Buckets = append(d.Buckets, telemetry.Bucket{
				Index: rapid.IntRange(0, 895).Draw(t, "index"), Count: rapid.Int64Range(-10, 1000).Draw(t, "n"),
			})
		}
		if rapid.Bool().Draw(t, "sound") {
			d.Count, d.MaxMicros = 0, 0
			return telemetry.Distribution{}.Add(d)
		}
		return d
	})
	rapid.Check(t, func(t *rapid.T) {
		idle := rapid.Bool().Draw(t, "idle candidate")
		l := evidence.NewLatency(rapid.Float64().Draw(t, "margin"), distribution.Draw(t, "before"), distribution.Draw(t, "others before"))
		l.Temper(rapid.Float64().Draw(t, "phi"))
		for range rapid.IntRange(1, 5).Draw(t, "bins") {
			candidate := distribution.Draw(t, "candidate")
			if idle {
				candidate = telemetry.Distribution{}
			}
			l.Add(candidate, distribution.Draw(t, "others"))
		}
		for _, v := range []float64{l.LogE(), l.E(), l.NonInferiorE()} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("log E %v, E %v, fine %v", l.LogE(), l.E(), l.NonInferiorE())
			}
		}
		if idle && (l.LogE() != 0 || l.NonInferiorE() != 1) {
			t.Fatalf("E %v, fine %v of an idle candidate", l.E(), l.NonInferiorE())
		}
	})
}
