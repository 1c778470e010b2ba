package load

import (
	"math"
	"math/bits"
	"time"
)

// subBits is the precision of a histogram: 2^subBits buckets per doubling, so that a value is off by 3 % at most.
const subBits = 5

// histogram counts durations in log-linear buckets of microseconds. The zero value is ready; it is not safe for concurrent
// use.
type histogram struct {
	buckets [(64 - subBits) << subBits]int64
	count   int64
	sum     time.Duration
	max     time.Duration
}

// add counts one duration; a negative one counts as zero.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d.Microseconds()))]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// quantile returns the upper edge of the bucket that holds the q-th part of all durations, 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(h.count))), 1)
	for i, n := range h.buckets {
		if rank -= n; rank <= 0 {
			return min(time.Duration(upperEdge(i))*time.Microsecond, h.max)
		}
	}
	return h.max
}

// bucketOf returns the index of the bucket for a value: exact below 2^subBits, then 2^subBits buckets per doubling.
func bucketOf(value uint64) int {
	shift := max(bits.Len64(value)-subBits-1, 0)
	return shift<<subBits + int(value>>shift)
}

// upperEdge returns the largest value that bucketOf puts into a bucket.
func upperEdge(bucket int) uint64 {
	shift := max(bucket>>subBits-1, 0)
	sub := uint64(bucket - shift<<subBits)
	return (sub+1)<<shift - 1
}
