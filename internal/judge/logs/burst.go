package logs

import "github.com/segue-deploy/segue/internal/judge/evidence"

const (
	// burst is how many slots a minute have a new warning that fails a candidate, burstRatio how many times its share a known one comes at
	// the very least (badRatio an error, where slots alone do not tell), leastBurst in how many slots: one slot with many lines is no burst.
	burst      = 2
	burstRatio = 2
	badRatio   = 1.5
	leastBurst = 10
	// mostSlack is how far what is innocent is from what a share seems to be, at most: beyond, too little is known of it.
	mostSlack = 2
	// louder is by what factor a slot can have more lines than any had before the rollout, and still count in full.
	louder = 3
)

// bursts tells whether a line comes so clearly more often that a warning counts as an error.
func (j *Judge) bursts(look *look, l *line) bool {
	units := float64(l.units(candidate))
	if units < leastBurst || !l.known() && units < burst*(j.exposure[candidate]-l.unseen)/60 {
		return false
	}
	if l.bad() {
		return j.least(look, l) >= badRatio
	}
	return j.least(look, l) >= burstRatio
}

// least is the lower limit of how many times its share the candidate says the line. Slots cannot tell it of what is in nearly all of them, nor
// lines of what comes in bursts of any size, so it is the higher one of both. It is asked about what is significant by itself, so the share is
// what it was seen to be rather than the most that it can be.
func (j *Judge) least(look *look, l *line) float64 {
	of, to := look.all[candidate], look.all[others]
	low, _ := l.more.Interval(j.config.Alpha)
	if !l.known() || of.past == 0 || to.past == 0 {
		return low
	}
	innocent, seen := shares(of, to, l.said(of.servers), l.said(to.servers), l.phi)
	low *= min(mostSlack, innocent/seen)
	if l.volume != nil {
		byLines, _ := l.volume.Interval(j.config.Alpha)
		innocent, seen := shares(of, to, l.wrote(of.servers), l.wrote(to.servers), l.eventPhi)
		low = max(low, byLines*min(mostSlack, innocent/seen))
	}
	return low
}

// loud is the most lines that count of a server's window: in each slot not many more than the line ever had in one before the
// rollout, so that one burst of any size stays one.
func (l *line) loud(units, events int64) float64 {
	return min(float64(events), float64(units)*louder*l.loudest)
}

// weighLines begins to weigh the line's lines, which the history tells of.
func (l *line) weighLines() {
	l.volume = evidence.NewProcess(evidence.Options{Null: margin})
	for _, minutes := range l.past {
		for _, m := range minutes {
			if m.units > 0 {
				l.loudest = max(l.loudest, m.events/m.units)
			}
		}
	}
}
