package receipt

import (
	"cmp"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// interval is a time from From to To; empty when To is not later.
type interval struct{ from, to time.Time }

func (i interval) length() time.Duration { return max(0, i.to.Sub(i.from)) }

// overlap gives how long two intervals have in common.
func (i interval) overlap(other interval) time.Duration {
	from, to := i.from, i.to
	if other.from.After(from) {
		from = other.from
	}
	if other.to.Before(to) {
		to = other.to
	}
	return max(0, to.Sub(from))
}

func (i interval) contains(at time.Time) bool { return !at.Before(i.from) && at.Before(i.to) }

// union sorts and merges intervals; empty ones go.
func union(list []interval) []interval {
	list = slices.DeleteFunc(slices.Clone(list), func(i interval) bool { return !i.to.After(i.from) })
	slices.SortFunc(list, func(a, b interval) int { return a.from.Compare(b.from) })
	var merged []interval
	for _, i := range list {
		if n := len(merged); n > 0 && !i.from.After(merged[n-1].to) {
			merged[n-1].to = latest(merged[n-1].to, i.to)
			continue
		}
		merged = append(merged, i)
	}
	return merged
}

// covered is how much time the intervals cover within a window, without what others cover.
func covered(window interval, list, without []interval) time.Duration {
	var sum time.Duration
	without = union(without)
	for _, i := range union(list) {
		i.from, i.to = latest(i.from, window.from), earliest(i.to, window.to)
		sum += i.length()
		for _, other := range without {
			sum -= i.overlap(other)
		}
	}
	return max(0, sum)
}

// life is an instance's time.
type life struct {
	id      segue.InstanceID
	server  segue.ServerName
	release segue.ReleaseName
	from    time.Time
	to      time.Time
}

type downSpan struct {
	id segue.InstanceID
	interval
}

// begin notes that an instance runs.
func (b *builder) begin(id segue.InstanceID, server segue.ServerName, release segue.ReleaseName, at time.Time) {
	if id == "" {
		return
	}
	if l := b.instances[id]; l != nil && l.to.IsZero() {
		return
	}
	l := &life{id: id, server: server, release: release, from: at}
	b.instances[id] = l
	b.lives = append(b.lives, l)
}

// end notes that it does not run any more.
func (b *builder) end(id segue.InstanceID, at time.Time) {
	if l, ok := b.instances[id]; ok && l.to.IsZero() {
		l.to = at
		b.endDown(id, at)
	}
}

func (b *builder) endDown(id segue.InstanceID, at time.Time) {
	if from, ok := b.downs[id]; ok {
		b.downSpans = append(b.downSpans, downSpan{id, interval{from, at}})
		delete(b.downs, id)
	}
}

// instanceOf is the instance that a step is about: by its identity, or by server and release where a plan names none.
func instanceOf(step segue.Step) segue.InstanceID {
	return cmp.Or(step.Instance, segue.InstanceID(string(step.Server)+"."+string(step.Release)))
}

// findServers draws each server's time line, and how long the fleet was mixed.
func (b *builder) findServers() {
	if b.opening == nil {
		return
	}
	window := interval{b.r.Started, b.r.Ended}
	for id := range b.downs {
		b.endDown(id, window.to)
	}
	spans := map[segue.ServerName][]Span{}
	byRelease := map[segue.ReleaseName][]interval{}
	for _, l := range b.lives {
		span := Span{Release: l.release, From: latest(l.from, window.from), To: cmp.Or(l.to, window.to)}
		if span.To.After(span.From) {
			spans[l.server] = append(spans[l.server], span)
			byRelease[l.release] = append(byRelease[l.release], interval{span.From, span.To})
		}
	}
	for _, down := range b.downSpans {
		if l := b.instances[down.id]; l != nil && down.to.After(down.from) {
			spans[l.server] = append(spans[l.server], Span{Release: l.release, From: down.from, To: down.to, Down: true})
		}
	}
	for _, server := range b.servers() {
		b.r.Servers = append(b.r.Servers, Server{Name: server.Name, Partition: server.Partition, Spans: spans[server.Name]})
	}
	b.r.Time.Mixed = Seconds(mixed(window, byRelease))
}

// servers lists the servers that the rollout began with, that are configured, and that joined, each once.
func (b *builder) servers() []segue.Server {
	var all []segue.Server
	for _, slot := range b.opening.Fleet.Slots {
		all = append(all, slot.Server)
	}
	all = append(append(all, b.opening.Settings.Servers...), b.joined...)
	seen := map[segue.ServerName]bool{}
	return slices.DeleteFunc(all, func(s segue.Server) bool {
		had := seen[s.Name]
		seen[s.Name] = true
		return had
	})
}

// mixed is how long more than one release ran.
func mixed(window interval, byRelease map[segue.ReleaseName][]interval) time.Duration {
	var both []interval
	var seen []interval
	for _, list := range byRelease {
		for _, mine := range union(list) {
			for _, other := range union(seen) {
				both = append(both, interval{latest(mine.from, other.from), earliest(mine.to, other.to)})
			}
		}
		seen = append(seen, list...)
	}
	return covered(window, both, nil)
}
