package lookout

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// Counted gives what the balancer counted of each minute that is remembered, oldest first; no logs.
func (l *Lookout) Counted() []judge.Evidence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted(time.Now())
}

// counted is Counted at a time. The lock is held.
func (l *Lookout) counted(now time.Time) []judge.Evidence {
	return slices.DeleteFunc(slices.Clone(l.minutes), func(e judge.Evidence) bool { return e.Since.Before(l.clean) || old(e, now) })
}

// Known is how much of the last hour is known of the servers: for how long answers were counted, and for how long the output of each was read.
type Known struct{ Answers, Logs time.Duration }

// Known says what a rollout that began now would be compared with.
func (l *Lookout) Known(now time.Time) (known Known) {
	l.mu.Lock()
	since := now.Add(-history)
	if l.clean.After(since) {
		since = l.clean
	}
	for _, minute := range l.counted(now) {
		if slices.ContainsFunc(minute.Servers, func(row judge.ServerEvidence) bool { return row.Requests > 0 }) {
			known.Answers += minute.Length()
		}
	}
	servers := make([]segue.ServerName, 0, len(l.watched))
	for _, one := range l.watched {
		servers = append(servers, one.Server)
	}
	l.mu.Unlock()
	known.Logs = l.logs.Read(since, now, servers)
	return known
}
