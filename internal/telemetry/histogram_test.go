package telemetry

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBucketHoldsItsValuesWithinPrecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Uint64Range(0, maxMicros).Draw(t, "micros")
		bucket := bucketOf(micros)
		low, width := bucketRange(bucket)
		if bucket < 0 || bucket >= buckets || micros < low || micros >= low+width {
			t.Fatalf("bucketOf(%d) = %d, which covers [%d, %d)", micros, bucket, low, low+width)
		}
		if off := math.Abs(float64(low+width/2) - float64(micros)); off > 1 && off/float64(micros) > 0.017 {
			t.Fatalf("middle of bucket %d is %.1f %% off %d", bucket, 100*off/float64(micros), micros)
		}
	})
}

func TestDistributionOfHalvesIsDistributionOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour/time.Microsecond))).Draw(t, "values")
		cut := rapid.IntRange(0, len(values)).Draw(t, "cut")
		var all, left, right Histogram
		for i, v := range values {
			d := time.Duration(v) * time.Microsecond
			all.Observe(d)
			if i < cut {
				left.Observe(d)
			} else {
				right.Observe(d)
			}
		}
		sum := left.Distribution().Add(right.Distribution())
		if diff := cmp.Diff(all.Distribution(), sum); diff != "" {
			t.Fatalf("sum of halves (-all +sum):\n%s", diff)
		}
		rest := sum.Sub(left.Distribution())
		if rest.Count != right.Distribution().Count {
			t.Fatalf("all minus left has %d values, want %d", rest.Count, right.Distribution().Count)
		}
	})
}

func TestQuantile(t *testing.T) {
	var h Histogram
	for i := 1; i <= 1000; i++ {
		h.Observe(time.Duration(i) * time.Millisecond)
	}
	d := h.Distribution()
	for q, want := range map[float64]float64{0.5: 500, 0.99: 990, 1: 1000} {
		if got := float64(d.Quantile(q)) / float64(time.Millisecond); math.Abs(got-want) > 0.02*want {
			t.Errorf("Quantile(%v) = %v ms, want %v within 2 %%", q, got, want)
		}
	}
	if got := (Distribution{}).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v, want 0", got)
	}
}
