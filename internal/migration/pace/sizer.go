package pace

import "time"

// Bounds are what a Sizer keeps to.
type Bounds struct {
	// Target is how long a batch should take: about as long as somebody waits for a row that is in it.
	Target time.Duration
	// First, Least and Most are rows of a batch.
	First, Least, Most int
}

// Sizer sizes batches by how long the last ones took. A batch grows at most twofold, since the next rows may be of another kind, and shrinks at once.
// It is not for use from several goroutines.
type Sizer struct {
	bounds Bounds
	size   int
}

const (
	// growth is the most that a batch grows by.
	growth = 2
	// retreat is what a batch that was broken off is divided by.
	retreat = 4
	// calm is how far a time may be off the target before the size is changed at all.
	calm = 0.1
)

// NewSizer begins with bounds.First rows.
func NewSizer(bounds Bounds) *Sizer {
	bounds.Least = max(bounds.Least, 1)
	bounds.Most = max(bounds.Most, bounds.Least)
	s := &Sizer{bounds: bounds}
	s.set(float64(bounds.First))
	return s
}

// Size is how many rows the next batch should have.
func (s *Sizer) Size() int { return s.size }

// Smallest says whether a batch cannot be any smaller.
func (s *Sizer) Smallest() bool { return s.size == s.bounds.Least }

// Observe takes in that a batch of rows took so long. A batch with fewer rows than were asked for says nothing about larger ones: it never makes the
// size grow.
func (s *Sizer) Observe(rows int, took time.Duration) {
	if rows <= 0 {
		return
	}
	took = max(took, time.Microsecond)
	wanted := float64(rows) * float64(s.bounds.Target) / float64(took)
	switch now := float64(s.size); {
	case wanted < now*(1-calm) && took > s.bounds.Target:
		s.set(wanted)
	case wanted > now*(1+calm) && rows >= s.size:
		s.set(min(wanted, now*growth))
	}
}

// Shrink takes in that a batch was broken off, or kept somebody waiting.
func (s *Sizer) Shrink() { s.set(float64(s.size) / retreat) }

func (s *Sizer) set(size float64) {
	s.size = int(min(max(size, float64(s.bounds.Least)), float64(s.bounds.Most)))
}
