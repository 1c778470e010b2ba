package telemetry

import "time"

// Distribution is a histogram's content at one moment: sparse, JSON-able, mergeable.
type Distribution struct {
	Count     int64 `json:"count"`
	SumMicros int64 `json:"sum_us"`
	// MaxMicros is the largest value ever seen; differences keep it, as an upper bound.
	MaxMicros int64 `json:"max_us"`
	// Buckets are sorted by Index and have Count > 0.
	Buckets []Bucket `json:"buckets,omitempty"`
}

// Bucket is one bucket's number and count, written as [index, count].
type Bucket struct {
	Index int   `json:"i"`
	Count int64 `json:"n"`
}

// Add merges two distributions.
func (d Distribution) Add(other Distribution) Distribution {
	return d.combine(other, 1)
}

// Sub gives what came since an earlier state of the same histogram; counts never go below 0.
func (d Distribution) Sub(earlier Distribution) Distribution {
	return d.combine(earlier, -1)
}

func (d Distribution) combine(other Distribution, sign int64) Distribution {
	sum := Distribution{
		SumMicros: max(0, d.SumMicros+sign*other.SumMicros),
		MaxMicros: d.MaxMicros,
	}
	if sign > 0 {
		sum.MaxMicros = max(d.MaxMicros, other.MaxMicros)
	}
	put := func(index int, count int64) {
		if count > 0 {
			sum.Buckets = append(sum.Buckets, Bucket{Index: index, Count: count})
			sum.Count += count
		}
	}
	i, j := 0, 0
	for i < len(d.Buckets) || j < len(other.Buckets) {
		switch {
		case j >= len(other.Buckets) || i < len(d.Buckets) && d.Buckets[i].Index < other.Buckets[j].Index:
			put(d.Buckets[i].Index, d.Buckets[i].Count)
			i++
		case i >= len(d.Buckets) || other.Buckets[j].Index < d.Buckets[i].Index:
			put(other.Buckets[j].Index, sign*other.Buckets[j].Count)
			j++
		default:
			put(d.Buckets[i].Index, d.Buckets[i].Count+sign*other.Buckets[j].Count)
			i, j = i+1, j+1
		}
	}
	return sum
}

// Quantile gives the value below which a share q (0 to 1) lies: the middle of its bucket; 0 when empty.
func (d Distribution) Quantile(q float64) time.Duration {
	if d.Count == 0 {
		return 0
	}
	rank := min(max(1, int64(q*float64(d.Count)+0.5)), d.Count)
	for _, b := range d.Buckets {
		if rank -= b.Count; rank <= 0 {
			low, width := bucketRange(b.Index)
			middle := low + width/2
			if d.MaxMicros > 0 {
				middle = min(middle, uint64(d.MaxMicros))
			}
			return time.Duration(middle) * time.Microsecond
		}
	}
	return time.Duration(d.MaxMicros) * time.Microsecond
}

// Mean gives the average; 0 when empty.
func (d Distribution) Mean() time.Duration {
	if d.Count == 0 {
		return 0
	}
	return time.Duration(d.SumMicros/d.Count) * time.Microsecond
}

// Max gives the largest value seen.
func (d Distribution) Max() time.Duration { return time.Duration(d.MaxMicros) * time.Microsecond }

// Above counts the values above a bound, as far as buckets tell them apart: a bucket counts when its middle is above.
func (d Distribution) Above(bound time.Duration) int64 {
	var above int64
	for _, b := range d.Buckets {
		low, width := bucketRange(b.Index)
		if time.Duration(low+width/2)*time.Microsecond > bound {
			above += b.Count
		}
	}
	return above
}
