package pace

import (
	"math"
	"time"
)

// memory is how long ago something counts 1/e of what it counts now.
const memory = 20 * time.Second

// Meter estimates rate and remaining time from what was done lately: exponentially weighted, and right from the first reading on.
type Meter struct {
	last time.Time
	done int64

	rows, seconds, worked float64
}

// NewMeter begins at a time, with rows that were done before.
func NewMeter(now time.Time, done int64) *Meter { return &Meter{last: now, done: done} }

// Observe takes in how many rows are done by now, and how much of the time since the last reading was work.
func (m *Meter) Observe(now time.Time, done int64, worked time.Duration) {
	passed := now.Sub(m.last)
	if passed <= 0 {
		return
	}
	keep := math.Exp(-passed.Seconds() / memory.Seconds())
	m.rows = m.rows*keep + float64(max(done-m.done, 0))
	m.seconds = m.seconds*keep + passed.Seconds()
	m.worked = m.worked*keep + max(worked, 0).Seconds()
	m.last, m.done = now, done
}

// Rate is in rows per second, of work and rest together; 0 when nothing is known.
func (m *Meter) Rate() float64 {
	if m.seconds == 0 {
		return 0
	}
	return m.rows / m.seconds
}

// Left is the time to the end by the present rate; 0 when it is not known, or nothing is left.
func (m *Meter) Left(total int64) time.Duration {
	rate := m.Rate()
	if left := total - m.done; rate > 0 && left > 0 {
		return time.Duration(min(float64(left)/rate*float64(time.Second), float64(math.MaxInt64/2)))
	}
	return 0
}

// Utilization is how much of a share of the time was worked, in [0,1].
func (m *Meter) Utilization(share float64) float64 {
	if m.seconds == 0 || share <= 0 {
		return 0
	}
	return min(m.worked/m.seconds/share, 1)
}
