package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramQuantileIsWithinItsPrecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour/time.Microsecond)), 1, 200).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h histogram
		for _, v := range values {
			h.add(time.Duration(v) * time.Microsecond)
		}
		slices.Sort(values)
		rank := 0
		for rank+1 < len(values) && float64(rank+1) < q*float64(len(values)) {
			rank++
		}
		want, got := values[rank], h.quantile(q).Microseconds()
		if got < want || float64(got) > float64(want)*(1+1.0/32)+1 {
			t.Fatalf("quantile %v of %v is %d, want %d to %v", q, values, got, want, float64(want)*(1+1.0/32))
		}
	})
}

func TestHistogramBucketsMeet(t *testing.T) {
	t.Parallel()
	for bucket := range 40 << subBits {
		edge := upperEdge(bucket)
		if bucketOf(edge) != bucket || bucketOf(edge+1) != bucket+1 {
			t.Fatalf("edge %d of bucket %d lies in %d, the next value in %d", edge, bucket, bucketOf(edge), bucketOf(edge+1))
		}
	}
}

func TestHistogramOfNothing(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.99); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
	h.add(-time.Second)
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("a negative duration counts as %v, want 0", got)
	}
}
