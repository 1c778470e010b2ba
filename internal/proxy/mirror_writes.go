package proxy

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// race is how long after a write answers about the same thing may still differ rightly.
const race = 2 * time.Second

// writes remembers when requests that may have changed something passed, by the first two segments of their paths: in a table of fixed size,
// in which two paths may share a slot. Then one comparison too many is left out.
type writes struct {
	seed  maphash.Seed
	slots [1024]writeSlot
}

type writeSlot struct {
	open atomic.Int32
	last atomic.Int64 // UnixNano of the latest end
}

func newWrites() *writes { return &writes{seed: maphash.MakeSeed()} }

// writing is a write under way.
type writing [2]*writeSlot

// begin enters a write: at its path, and below the first segment of it, for whoever lists what is there.
func (w *writes) begin(path string) writing {
	first, both := leading(path)
	slots := writing{w.slot(both), w.slot(first + "/*")}
	for _, s := range slots {
		s.open.Add(1)
	}
	return slots
}

func (s writing) end(now time.Time) {
	for _, slot := range s {
		slot.last.Store(now.UnixNano())
		slot.open.Add(-1)
	}
}

// raced says whether a write was under way since a time, or shortly before it, at the same path, above it or (for a path of one
// segment) below it.
func (w *writes) raced(path string, since time.Time) bool {
	first, both := leading(path)
	other := first
	if first == both {
		other = first + "/*"
	}
	from := since.Add(-race).UnixNano()
	for _, s := range [...]*writeSlot{w.slot(both), w.slot(other)} {
		if s.open.Load() > 0 || s.last.Load() >= from {
			return true
		}
	}
	return false
}

func (w *writes) slot(key string) *writeSlot {
	return &w.slots[maphash.String(w.seed, key)%uint64(len(w.slots))]
}

// leading gives a path's first segment and its first two. "api" and versions in front do not count.
func leading(path string) (first, both string) {
	rest := strings.Trim(path, "/")
	for {
		segment, after, more := strings.Cut(rest, "/")
		version := len(segment) > 1 && len(segment) < 4 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9'
		if !more || (segment != "api" && !version) {
			break
		}
		rest = after
	}
	first, after, more := strings.Cut(rest, "/")
	if !more {
		return first, first
	}
	second, _, _ := strings.Cut(after, "/")
	return first, rest[:len(first)+1+len(second)]
}

// changes says whether requests of a method may change something.
func changes(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	default:
		return true
	}
}
