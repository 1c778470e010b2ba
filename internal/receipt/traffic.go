package receipt

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Cause5xx counts answers with a status of 5xx that an instance gave itself.
const Cause5xx = "5xx answer"

// period is the part of a rollout that an interval between two samples belongs to.
type period int

const (
	before period = iota
	during
	after
)

// stretch is what the balancer counted between two samples.
type stretch struct {
	interval
	period   period
	backends []backendDelta
	// unrouted are failures without a backend, by cause; refused requests are not among them.
	unrouted map[string]int64
	refused  int64
	held     int64
}

// backendDelta is what one backend did in a stretch.
type backendDelta struct {
	server  segue.ServerName
	release segue.ReleaseName
	telemetry.Counters
}

// failures gives a backend's failures by cause, 5xx answers among them.
func (d backendDelta) failures() map[string]int64 {
	out := map[string]int64{}
	for cause, n := range d.Failures {
		if n > 0 {
			out[cause] += n
		}
	}
	if n := d.Classes[5]; n > 0 {
		out[Cause5xx] += n
	}
	return out
}

// snapshots pairs the balancer's snapshots with their moments, in order.
func (b *builder) snapshots() []moment {
	return slices.DeleteFunc(slices.Clone(b.samples), func(m moment) bool { return m.Balancer == nil })
}

// bounds finds the moments at which "during" begins and ends.
func bounds(samples []moment) (begin, end time.Time) {
	for _, m := range samples {
		switch m.Label {
		case LabelBegin:
			begin = cmp.Or(begin, m.at)
		case LabelEnd:
			end = m.at
		}
	}
	return begin, end
}

func periodOf(at, begin, end time.Time) period {
	switch {
	case !begin.IsZero() && !at.After(begin):
		return before
	case !end.IsZero() && at.After(end):
		return after
	default:
		return during
	}
}

// findTraffic adds up what the balancer counted.
func (b *builder) findTraffic() {
	list := b.snapshots()
	if len(list) < 2 {
		if len(list) == 1 {
			b.note("traffic was not measured: there is only one sample of the balancer's counters")
		}
		return
	}
	begin, end := bounds(b.samples)
	t := &Traffic{Since: list[0].at, Until: list[len(list)-1].at}
	b.r.Traffic = t
	var stretches []stretch
	for i := 1; i < len(list); i++ {
		s, restarted := b.subtract(list[i-1], list[i])
		s.period = periodOf(s.to, begin, end)
		stretches = append(stretches, s)
		if restarted {
			t.Restarts++
		}
	}
	b.addUp(t, stretches)
	b.latencies(t, stretches, list[0], !begin.IsZero())
	b.holds(t, list, stretches)
	b.attribute(t, stretches, listed(list))
	b.series(stretches)
	if first, last := list[0].Balancer, list[len(list)-1].Balancer; (last.Users > 0 || last.Moves > 0) && t.Restarts == 0 {
		moves, users := max(0, last.Moves-first.Moves), max(0, last.Users-first.Users)
		t.Moves, t.Users = &moves, &users
	}
	if !b.r.Partial && !end.IsZero() && t.Until.Before(end) {
		b.note("the balancer's counters were not measured after %s, %s before the end", t.Until.UTC().Format(time.RFC3339), Seconds(end.Sub(t.Until)))
	}
}

// subtract gives what came between two samples. Counters that began anew count from zero.
func (b *builder) subtract(from, to moment) (s stretch, restarted bool) {
	earlier, now := from.Balancer, to.Balancer
	s.interval = interval{from.at, to.at}
	restarted = earlier.Epoch != now.Epoch
	if restarted {
		earlier = &telemetry.Snapshot{}
		b.note("the balancer was started again between %s and %s UTC: what it counted after the former and before its end is not known",
			from.at.UTC().Format("15:04:05"), to.at.UTC().Format("15:04:05"))
	}
	had := make(map[segue.InstanceID]telemetry.Counters, len(earlier.Backends))
	for _, status := range earlier.Backends {
		had[status.ID] = status.Counters
	}
	for _, status := range now.Backends {
		then := had[status.ID]
		if status.Counters.Requests < then.Requests {
			b.note("the counters of backend %s began anew within the rollout", status.ID)
			then = telemetry.Counters{}
		}
		s.backends = append(s.backends, backendDelta{
			server: status.Server, release: status.Release, Counters: positive(status.Counters).Sub(then),
		})
	}
	s.unrouted = map[string]int64{}
	for cause, n := range now.Unrouted {
		n = max(0, n-earlier.Unrouted[cause])
		switch {
		case n == 0:
		case refuses(cause):
			s.refused += n
		default:
			s.unrouted[cause] = n
		}
	}
	s.held = max(0, now.Held-earlier.Held)
	return s, restarted
}

// positive drops what no counter can be.
func positive(c telemetry.Counters) telemetry.Counters {
	return c.Sub(telemetry.Counters{})
}

// refuses says whether a cause is the client's fault: a request that no server would have taken.
func refuses(cause string) bool {
	switch cause {
	case "ambiguous_length", "method":
		return true
	}
	return strings.HasPrefix(cause, "bad_request")
}

// addUp sums requests, and those of each release.
func (b *builder) addUp(t *Traffic, stretches []stretch) {
	type side struct {
		counters telemetry.Counters
		failed   int64
	}
	releases := map[segue.ReleaseName]*side{}
	for _, s := range stretches {
		for _, d := range s.backends {
			sum := releases[d.release]
			if sum == nil {
				sum = &side{}
				releases[d.release] = sum
			}
			sum.counters.Requests += d.Requests
			sum.counters.Latency = sum.counters.Latency.Add(d.Latency)
			for class, n := range d.Classes {
				sum.counters.Classes[class] += n
			}
			sum.failed += total(d.failures())
			t.Requests += d.Requests
			t.Retries += d.Retries
			t.ClientGone += d.ClientGone
			t.Long.Closed += d.LongClosed
			t.Long.Cut += d.LongCut
		}
		t.Requests += total(s.unrouted) + s.refused
		t.Refused += s.refused
		t.Held += s.held
	}
	for _, name := range b.releaseOrder(slices.Sorted(maps.Keys(releases))) {
		sum := releases[name]
		row := ReleaseTraffic{
			Release: name, Requests: sum.counters.Requests, Failed: sum.failed,
			Classes: map[string]int64{}, Latency: latencyOf(sum.counters.Latency),
		}
		for class, n := range sum.counters.Classes {
			if n > 0 {
				row.Classes[classNames[class]] = n
			}
		}
		t.Releases = append(t.Releases, row)
	}
}

// classNames are the keys of ReleaseTraffic.Classes.
//
//nolint:gochecknoglobals // A constant array: Go has no other way to write one.
var classNames = [6]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// releaseOrder puts stable first, then the candidate, then others.
func (b *builder) releaseOrder(names []segue.ReleaseName) []segue.ReleaseName {
	place := func(name segue.ReleaseName) int {
		switch name {
		case b.r.From:
			return 0
		case b.r.To:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(names, func(a, c segue.ReleaseName) int { return place(a) - place(c) })
	return names
}

// latencies cuts the latency before, during and after.
func (b *builder) latencies(t *Traffic, stretches []stretch, first moment, cut bool) {
	var sums [3]telemetry.Distribution
	for _, s := range stretches {
		for _, d := range s.backends {
			sums[s.period] = sums[s.period].Add(d.Latency)
		}
	}
	// A short time before has too few requests to compare with; then all that was ever counted serves.
	const enough = 100
	if sums[before].Count < enough {
		for _, status := range first.Balancer.Backends {
			sums[before] = sums[before].Add(status.Counters.Latency)
		}
		if sums[before].Count > 0 && cut {
			b.note("latency before is that of all the balancer had counted until the rollout began")
		}
	}
	t.Before, t.During, t.After = latencyOf(sums[before]), latencyOf(sums[during]), latencyOf(sums[after])
}

// latencyOf sums a distribution up; nil when it is empty.
func latencyOf(d telemetry.Distribution) *Latency {
	if d.Count <= 0 {
		return nil
	}
	return &Latency{P50: Seconds(max(0, d.Quantile(0.5))), P99: Seconds(max(0, d.Quantile(0.99))), Samples: d.Count}
}

// holds finds the longest hold. The balancer keeps the longest since it was started: one that was there before only bounds ours.
func (b *builder) holds(t *Traffic, list []moment, stretches []stretch) {
	for i := range stretches {
		earlier, now := list[i].Balancer, list[i+1].Balancer
		longest := Seconds(max(0, now.HeldLongest))
		switch {
		case stretches[i].held == 0 && now.HeldNow == 0:
		case earlier.Epoch != now.Epoch || now.HeldLongest > earlier.HeldLongest:
			if longest >= t.LongestHold {
				t.LongestHold, t.AtMost = longest, false
			}
		case stretches[i].held > 0 && longest > t.LongestHold:
			t.LongestHold, t.AtMost = longest, true
		}
	}
	if t.Held == 0 {
		t.LongestHold, t.AtMost = 0, false
	}
}

// series makes the points for drawing. Stretches that are too short to be seen go with the next one: counters of a moment make no rate.
func (b *builder) series(stretches []stretch) {
	if len(stretches) == 0 {
		return
	}
	least := stretches[len(stretches)-1].to.Sub(stretches[0].from) / seriesLimit
	length := func(part []stretch) time.Duration { return part[len(part)-1].to.Sub(part[0].from) }
	// Parts are given by where they end.
	var ends []int
	begin := 0
	for i := range stretches {
		if length(stretches[begin:i+1]) >= least {
			ends = append(ends, i+1)
			begin = i + 1
		}
	}
	// What is left at the end goes with the part before it.
	if begin < len(stretches) {
		ends = append(ends[:max(0, len(ends)-1)], len(stretches))
	}
	begin = 0
	for _, end := range ends {
		if point := pointOf(stretches[begin:end]); point.To.After(point.From) {
			b.r.Series = append(b.r.Series, point)
		}
		begin = end
	}
}

func pointOf(part []stretch) Point {
	point := Point{From: part[0].from, To: part[len(part)-1].to}
	var latency telemetry.Distribution
	for _, s := range part {
		point.Failed += total(s.unrouted)
		point.Requests += total(s.unrouted) + s.refused
		for _, d := range s.backends {
			point.Requests += d.Requests
			point.Failed += total(d.failures())
			latency = latency.Add(d.Latency)
		}
	}
	if l := latencyOf(latency); l != nil {
		point.P50, point.P99 = &l.P50, &l.P99
	}
	return point
}

func total(counts map[string]int64) int64 {
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return sum
}
