package lookout

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// Begin starts a rollout: it gives the past of the servers, slice by slice, and nothing is added to that until End.
func (l *Lookout) Begin(until time.Time, servers []judge.ServerEvidence) []judge.Evidence {
	l.mu.Lock()
	l.rollout = true
	l.mu.Unlock()
	return l.Past(until, servers)
}

// Past gives the past of the servers, slice by slice, since the fleet was last mixed, and tells all templates anew from here on.
func (l *Lookout) Past(until time.Time, servers []judge.ServerEvidence) []judge.Evidence {
	l.mu.Lock()
	past, clean := slices.Clone(l.minutes), l.clean
	l.mu.Unlock()
	if l.options.Logs != nil {
		past = join(past, l.logs.Begin(clean, until, servers))
	}
	return slices.DeleteFunc(past, func(e judge.Evidence) bool { return e.Since.Before(clean) || old(e, until) })
}

// old tells whether a slice is of no use any more.
func old(e judge.Evidence, now time.Time) bool { return !e.Until.After(now.Add(-history)) }

// join puts what was written into the slices of what was counted. A slice of one kind alone is one, too, and so is one that was counted for a part of the
// time only: it stands for no more than that.
func join(counted, written []judge.Evidence) []judge.Evidence {
	const whole = 0.75
	all := slices.Clone(written)
	for _, minute := range counted {
		middle := minute.Since.Add(minute.Length() / 2)
		i := slices.IndexFunc(all, func(e judge.Evidence) bool { return !middle.Before(e.Since) && middle.Before(e.Until) })
		if i < 0 || float64(minute.Length()) < whole*float64(all[i].Length()) {
			all = append(all, minute)
			continue
		}
		all[i] = together(all[i], minute)
	}
	slices.SortStableFunc(all, func(a, b judge.Evidence) int { return a.Since.Compare(b.Since) })
	return all
}

// together gives a slice with the logs of one and the counts of another.
func together(written, counted judge.Evidence) judge.Evidence {
	written.Servers = slices.Clone(written.Servers)
	for _, row := range counted.Servers {
		i := slices.IndexFunc(written.Servers, func(s judge.ServerEvidence) bool { return s.Server == row.Server })
		if i < 0 {
			written.Servers = append(written.Servers, row)
			continue
		}
		row.Logs, row.LogsRead, row.LogsLost = written.Servers[i].Logs, written.Servers[i].LogsRead, written.Servers[i].LogsLost
		written.Servers[i] = row
	}
	return written
}

// Fill puts into a window of a rollout what its servers wrote and said of themselves.
func (l *Lookout) Fill(window *judge.Evidence) {
	l.fill(window)
	if l.options.Logs != nil {
		l.logs.Fill(window)
	}
}

func (l *Lookout) fill(window *judge.Evidence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	started := make(map[segue.ServerName]time.Time, len(l.watched))
	for _, one := range l.watched {
		if one.Started.After(started[one.Server]) {
			started[one.Server] = one.Started
		}
	}
	for i := range window.Servers {
		row := &window.Servers[i]
		row.Gauges = l.gauges[row.Server]
		if row.Started.IsZero() {
			row.Started = started[row.Server]
		}
	}
}

// End ends a rollout or a trial.
func (l *Lookout) End() {
	l.mu.Lock()
	if l.rollout {
		// What was written while the fleet was mixed is nobody's past.
		l.rollout, l.minutes, l.clean = false, nil, time.Now()
	}
	l.mu.Unlock()
	l.logs.End()
}

// Remember adds what was counted while nothing was rolled out to the past. The window stays the caller's.
func (l *Lookout) Remember(window judge.Evidence) {
	window.Servers = slices.Clone(window.Servers)
	l.fill(&window)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rollout || len(window.Servers) == 0 {
		return
	}
	minute, last := window.Until.Truncate(slice), len(l.minutes)-1
	if last >= 0 && l.minutes[last].Since.Truncate(slice).Equal(minute) && !window.Since.After(l.minutes[last].Until) {
		l.minutes[last] = Sum(l.minutes[last], window)
		return
	}
	if window.Since.Before(minute) && window.Length() < slice {
		window.Since = minute
	}
	l.minutes = append(l.minutes, window)
	most := min(int(history/slice), max(5, rows/len(window.Servers)))
	l.minutes = slices.Delete(l.minutes, 0, max(0, len(l.minutes)-most))
}

// Sum adds a later window to an earlier one. Of gauges the mean is taken.
func Sum(earlier, later judge.Evidence) judge.Evidence {
	sum := later
	sum.Since, sum.Before = earlier.Since, earlier.Before
	sum.Servers = slices.Clone(later.Servers)
	for i := range sum.Servers {
		row := &sum.Servers[i]
		k := slices.IndexFunc(earlier.Servers, func(s judge.ServerEvidence) bool { return s.Server == row.Server && s.Release == row.Release })
		if k < 0 {
			continue
		}
		before := earlier.Servers[k]
		row.Requests, row.Errors, row.Latency = row.Requests+before.Requests, row.Errors+before.Errors, row.Latency.Add(before.Latency)
		row.Crashes += before.Crashes
		row.Routes = sumRoutes(before.Routes, row.Routes)
		row.RouteErrors = sumRoutes(before.RouteErrors, row.RouteErrors)
		row.Mirrored += before.Mirrored
		row.Gauges = meanGauges(before.Gauges, row.Gauges)
	}
	return sum
}

func sumRoutes(a, b map[string]int64) map[string]int64 {
	if len(a) == 0 {
		return b
	}
	sum := make(map[string]int64, len(a))
	for _, routes := range []map[string]int64{a, b} {
		for route, n := range routes {
			sum[route] += n
		}
	}
	return sum
}

func meanGauges(a, b map[string]float64) map[string]float64 {
	if len(a) == 0 {
		return b
	}
	mean := make(map[string]float64, len(b))
	for name, value := range b {
		mean[name] = value
		if before, ok := a[name]; ok {
			mean[name] = (before + value) / 2
		}
	}
	return mean
}
