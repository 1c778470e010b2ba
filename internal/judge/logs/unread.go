package logs

import (
	"fmt"
	"strings"

	"github.com/segue-deploy/segue"
)

const (
	// dark is the share of a side's lines without a known severity from which on its severities count as unreadable, leastHeard of how many.
	dark       = 0.5
	leastHeard = 20
)

// voice is for how long a side was listened to, and in how many slots it said something, of each kind of line.
type voice struct{ seconds, slots float64 }

// rate is how many a minute.
func (v voice) rate() float64 { return 60 * quotient(v.slots, v.seconds) }

// leastDue is how many slots of lines must be due for their absence to delay a pass: it comes with the first lines.
const leastDue = 2

// note adds a window to how much the sides write while warm.
func (j *Judge) note(l *look) {
	if l.steady[candidate].seconds == 0 || l.steady[others].seconds == 0 {
		return
	}
	for side := range j.voices {
		j.voices[side].seconds += l.steady[side].seconds
		for _, t := range l.order {
			j.voices[side].slots += t.steady[side]
		}
	}
}

// heard counts slots of lines of a side, and those of them whose severity is not known.
type heard struct{ all, dim float64 }

func (h *heard) add(l *line, units int64) {
	h.all += float64(units)
	if l.dim() {
		h.dim += float64(units)
	}
}

func (h *heard) unreadable() bool { return h.all >= leastHeard && h.dim > dark*h.all }

// dim lines are of no known severity. Where most lines are, any of them may be an error: new and multiplied ones hold the candidate, for people
// to decide. They do not fail it, or else every release with a new line would be.
func (l *line) dim() bool { return !l.Trace && (l.Severity == "" || l.Severity == "unknown") }

// suspect lines may be errors for all that is known of them.
func (j *Judge) suspect(l *line) bool { return j.dark && l.dim() && !j.expected(l) }

// counts tells whether the line is among the errors that must not become more for a pass: where severities are unreadable, what is new is.
func (j *Judge) counts(l *line) bool {
	return j.volume.counts(l) || !l.old && l.caveat == nil && j.suspect(l)
}

// listen decides for the next window whether severities can be read.
func (j *Judge) listen() { j.dark = j.heard[candidate].unreadable() || j.heard[others].unreadable() }

// blindness says in plain words whose severities cannot be read; "" when they can.
func (j *Judge) blindness(l *look) string {
	var parts []string
	for side, release := range []segue.ReleaseName{candidate: l.Candidate, others: segue.ReleaseName(stable(l))} {
		if h := j.heard[side]; h.unreadable() {
			parts = append(parts, fmt.Sprintf("%.0f %% of the lines of %s", 100*h.dim/h.all, release))
		}
	}
	if parts == nil {
		return ""
	}
	return "; severities are unreadable: " + strings.Join(parts, " and ") +
		" have none that is known, so errors among them are told by new and multiplied lines alone (log a level in each line)"
}
