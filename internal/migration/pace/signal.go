package pace

import "time"

// Signal is what one measure of the database says: how near to its limit it is.
type Signal struct {
	// Reason for people, with the number: "replication lag 4.1 s".
	Reason string
	// Utilization is 0 for idle and 1 at the limit.
	Utilization float64
	// Stop asks to stand still, whatever the utilization.
	Stop bool
}

const (
	// ease is the utilization from which on work slows down.
	ease = 0.5
	// crawl is the part of the share that is left just below the limit.
	crawl = 0.05
	// longest is the longest rest after a batch: it is bounded so that a batch of one huge row does not stop the work for an hour.
	longest = 30 * time.Second
)

// Measure makes a signal of a value and its limit; a limit of 0 is none.
func Measure(reason string, value, limit float64) Signal {
	if limit <= 0 || value <= 0 {
		return Signal{}
	}
	return Signal{Reason: reason, Utilization: value / limit}
}

// Stops says whether work has to stand still.
func (s Signal) Stops() bool { return s.Stop || s.Utilization >= 1 }

// Worst gives the signal that counts: one that stops before one that does not, then the higher utilization, then the first.
func Worst(signals ...Signal) Signal {
	var worst Signal
	for _, s := range signals {
		if s.Stops() == worst.Stops() && s.Utilization > worst.Utilization || s.Stops() && !worst.Stops() {
			worst = s
		}
	}
	return worst
}

// Rest is how long to do nothing after having worked for so long, with a share of the time in (0,1]. The share is kept while utilization is low; towards
// the limit less and less of it is used.
func Rest(worked time.Duration, share float64, signal Signal) time.Duration {
	if worked <= 0 {
		return 0
	}
	share = min(max(share, 0.001), 1)
	if u := min(max(signal.Utilization, 0), 1); u > ease {
		share *= 1 - (1-crawl)*(u-ease)/(1-ease)
	}
	return min(time.Duration(float64(worked)*(1-share)/share), longest)
}
