// Package telemetry measures: latency histograms that merge, subtract and keep 1.6 % precision, the logger of the house, and the
// metrics registry.
package telemetry

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A value v (in microseconds) below 64 has a bucket of its own; above, each power of two is cut in 32 equal parts, so a bucket is at most 1/32 of
// its lower bound wide and its middle is at most 1.6 % away from any value in it. Values are clamped to about 71 minutes.
const (
	subBits    = 5
	exactLimit = 1 << (subBits + 1)
	maxMicros  = 1<<32 - 1
	buckets    = exactLimit + (32-(subBits+1))*(1<<subBits)
)

// bucketOf gives a value's bucket.
func bucketOf(micros uint64) int {
	if micros < exactLimit {
		return int(micros)
	}
	micros = min(micros, maxMicros)
	shift := bits.Len64(micros) - (subBits + 1)
	return exactLimit + (shift-1)<<subBits + int(micros>>shift) - (1 << subBits)
}

// bucketRange gives a bucket's lower bound and width, in microseconds.
func bucketRange(bucket int) (low, width uint64) {
	if bucket < exactLimit {
		return uint64(bucket), 1
	}
	shift := (bucket-exactLimit)>>subBits + 1
	part := uint64((bucket - exactLimit) & (1<<subBits - 1))
	return (part + 1<<subBits) << shift, 1 << shift
}

// Histogram counts durations; Observe is lock-free and does not allocate. The zero value is ready. Its memory is about 7 KiB.
type Histogram struct {
	counts [buckets]atomic.Int64
	sum    atomic.Int64
	most   atomic.Int64
}

// Observe counts one duration; negative ones count as 0.
func (h *Histogram) Observe(d time.Duration) {
	micros := max(0, d.Microseconds())
	h.counts[bucketOf(uint64(micros))].Add(1)
	h.sum.Add(micros)
	for {
		old := h.most.Load()
		if micros <= old || h.most.CompareAndSwap(old, micros) {
			return
		}
	}
}

// Distribution copies what was counted so far.
func (h *Histogram) Distribution() Distribution {
	d := Distribution{SumMicros: h.sum.Load(), MaxMicros: h.most.Load()}
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			d.Buckets = append(d.Buckets, Bucket{Index: i, Count: n})
			d.Count += n
		}
	}
	return d
}
