package pace_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/migration/pace"
)

func drawBounds(t *rapid.T) pace.Bounds {
	least := rapid.IntRange(1, 100).Draw(t, "least")
	return pace.Bounds{
		Target: time.Duration(rapid.IntRange(1, 1000).Draw(t, "target_ms")) * time.Millisecond,
		First:  rapid.IntRange(0, 10_000).Draw(t, "first"), Least: least, Most: least + rapid.IntRange(0, 100_000).Draw(t, "more"),
	}
}

func TestSizerKeepsItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bounds := drawBounds(t)
		s := pace.NewSizer(bounds)
		for range rapid.IntRange(1, 50).Draw(t, "batches") {
			before := s.Size()
			rows := rapid.IntRange(0, before).Draw(t, "rows")
			took := time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "took"))
			shrink := rapid.Bool().Draw(t, "shrink")
			if shrink {
				s.Shrink()
			} else {
				s.Observe(rows, took)
			}
			switch now := s.Size(); {
			case now < bounds.Least || now > bounds.Most:
				t.Fatalf("size %d is out of [%d, %d]", now, bounds.Least, bounds.Most)
			case now > 2*before:
				t.Fatalf("size grew from %d to %d", before, now)
			case shrink && now > before, rows < before && now > before:
				t.Fatalf("size grew from %d to %d without a full batch", before, now)
			case !shrink && rows == before && took > 2*bounds.Target && now >= before && before > bounds.Least:
				t.Fatalf("size stayed at %d after a batch of %s, target %s", now, took, bounds.Target)
			}
		}
	})
}

func TestSizerFindsTheTarget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		perRow := time.Duration(rapid.IntRange(1, 100_000).Draw(t, "µs")) * time.Microsecond
		fixed := time.Duration(rapid.IntRange(0, 20).Draw(t, "fixed_ms")) * time.Millisecond
		bounds := pace.Bounds{Target: 100 * time.Millisecond, First: rapid.IntRange(1, 100_000).Draw(t, "first"), Least: 1, Most: 1_000_000}
		s := pace.NewSizer(bounds)
		cost := func(rows int) time.Duration { return fixed + time.Duration(rows)*perRow }
		for range 60 {
			s.Observe(s.Size(), cost(s.Size()))
		}
		got := cost(s.Size())
		if got > 115*time.Millisecond+perRow || s.Size() < bounds.Most && got < 80*time.Millisecond-perRow {
			t.Fatalf("batches of %d rows take %s", s.Size(), got)
		}
	})
}

func TestRestKeepsTheShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		worked := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Second)).Draw(t, "worked"))
		share := rapid.Float64Range(0.05, 1).Draw(t, "share")
		low := rapid.Float64Range(0, 2).Draw(t, "low")
		high := low + rapid.Float64Range(0, 2).Draw(t, "more")
		rest := pace.Rest(worked, share, pace.Signal{Utilization: low})
		if rest < 0 || rest < 30*time.Second && float64(worked)/float64(worked+rest) > share+0.01 {
			t.Fatalf("worked %s, rested %s: more than %.2f", worked, rest, share)
		}
		if more := pace.Rest(worked, share, pace.Signal{Utilization: high}); more < rest {
			t.Fatalf("rests %s at %.2f, and only %s at %.2f", rest, low, more, high)
		}
	})
}

func TestWorstIsNoneBetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		signals := rapid.SliceOf(rapid.Custom(func(t *rapid.T) pace.Signal {
			return pace.Signal{Reason: rapid.String().Draw(t, "reason"), Utilization: rapid.Float64Range(0, 2).Draw(t, "u"), Stop: rapid.Bool().Draw(t, "stop")}
		})).Draw(t, "signals")
		worst := pace.Worst(signals...)
		for _, s := range signals {
			if s.Stops() && !worst.Stops() || s.Stops() == worst.Stops() && s.Utilization > worst.Utilization {
				t.Fatalf("%+v is worse than %+v", s, worst)
			}
		}
	})
}

func TestBudgetIsFairAndNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var budget pace.Budget
		active := map[*pace.Turn]float64{}
		var all []*pace.Turn
		shares := map[*pace.Turn]float64{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 2).Draw(t, "step"); {
			case step == 0 || len(all) == 0:
				share := rapid.Float64Range(0.01, 1).Draw(t, "share")
				turn := budget.Join(share)
				all, active[turn], shares[turn] = append(all, turn), share, share
			case step == 1:
				turn := rapid.SampledFrom(all).Draw(t, "turn")
				turn.Pause()
				delete(active, turn)
			default:
				turn := rapid.SampledFrom(all).Draw(t, "turn")
				turn.Resume()
				active[turn] = shares[turn]
			}
			sum, largest := 0.0, 0.0
			for turn, share := range active {
				sum, largest = sum+turn.Share(), max(largest, share)
				if want := share / float64(len(active)); math.Abs(turn.Share()-want) > 1e-9 {
					t.Fatalf("share %f of %d active: got %f, want %f", share, len(active), turn.Share(), want)
				}
			}
			if sum > largest+1e-9 {
				t.Fatalf("together they take %f, and the largest may take %f", sum, largest)
			}
		}
	})
}

func TestMeterKnowsASteadyRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(10, 1e6).Draw(t, "rate")
		now := time.Unix(0, 0)
		before := rapid.Int64Range(0, 1e6).Draw(t, "before")
		m := pace.NewMeter(now, before)
		if m.Rate() != 0 || m.Left(1e9) != 0 || m.Utilization(0.5) != 0 {
			t.Fatal("knows something before it was told anything")
		}
		seconds := 0.0
		for range rapid.IntRange(1, 50).Draw(t, "readings") {
			passed := rapid.Float64Range(0.5, 5).Draw(t, "passed")
			seconds += passed
			now = time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second)))
			m.Observe(now, before+int64(rate*seconds), time.Duration(passed/4*float64(time.Second)))
		}
		if got := m.Rate(); math.Abs(got-rate) > rate/10+4 {
			t.Fatalf("rate %f, want %f", got, rate)
		}
		if got := m.Utilization(0.5); math.Abs(got-0.5) > 0.01 {
			t.Fatalf("utilization %f of a half, having worked a quarter of the time", got)
		}
		total := before + int64(rate*seconds) + int64(rate*60)
		if got := m.Left(total); got < 50*time.Second || got > 75*time.Second {
			t.Fatalf("a minute is left, and it says %s", got)
		}
	})
}

func TestMeterForgets(t *testing.T) {
	t.Parallel()
	m := pace.NewMeter(time.Unix(0, 0), 0)
	m.Observe(time.Unix(100, 0), 100_000, 0)
	for second := int64(101); second < 300; second++ {
		m.Observe(time.Unix(second, 0), 100_000, 0)
	}
	if got := m.Rate(); got > 1 {
		t.Fatalf("after 200 seconds of nothing it still goes at %f", got)
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		value, limit float64
		want         float64
		stops        bool
	}{
		{"no limit", 5, 0, 0, false},
		{"nothing", 0, 5, 0, false},
		{"half", 2.5, 5, 0.5, false},
		{"at the limit", 5, 5, 1, true},
		{"over", 10, 5, 2, true},
	} {
		got := pace.Measure("m", test.value, test.limit)
		if got.Utilization != test.want || got.Stops() != test.stops {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}
