package logs

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/template"
)

const (
	// slot is the unit that lines are counted in: however many of a kind a server writes within one, it is one event.
	slot = 10 * time.Second
	// history is how long counts are kept, in slices of a minute.
	history = time.Hour
	slice   = time.Minute
	// keptTemplates is how many are known at once; those under test never age out, but a tenth is left for what is new.
	keptTemplates = 5000
	mostPinned    = keptTemplates * 9 / 10
	// mostTold is how many are named in a rollout; lines of more are counted as lost. It bounds what judges keep.
	mostTold = 4 * keptTemplates
)

// Gatherer reads what servers write, learns its templates without knowing which server is the candidate, and puts counts into windows of
// evidence. It is safe for concurrent use. Lines are dated by their arrival, so servers' clocks do not matter.
type Gatherer struct {
	mu      sync.Mutex
	miner   *template.Miner
	servers map[segue.ServerName]*source
	// newest is the latest time that was ever counted at: time never goes back, so a slot that was reported stays as it is.
	newest time.Time
	// closed is the first slot that no window has yet.
	closed int64
	// told are the templates that a window named; pinned those of them that must not age out.
	told, pinned map[template.ID]struct{}
}

// source is what is known of one server's outputs.
type source struct {
	instance string
	// awaited is the instance that runs there by now, though none of its outputs may be open yet; "" when nobody said.
	awaited string
	// outputs counts the open streams of each output of the instance.
	outputs map[string]int
	read    []span
	// failed: the last stream ended with an error, so the process may have gone on.
	failed bool
	lost   []template.Count
	// since is the first slot of the instance, and before what instances before it said in that slot.
	since  int64
	before map[template.ID]int64
}

// span is a time in which all outputs were read; until is zero while it lasts.
type span struct{ from, until time.Time }

// NewGatherer gives one that has read nothing yet.
func NewGatherer() *Gatherer {
	return &Gatherer{
		miner:   template.NewMiner(template.Options{Slot: slot, Slots: int(history / slot), Templates: keptTemplates}, nil),
		servers: map[segue.ServerName]*source{},
		told:    map[template.ID]struct{}{}, pinned: map[template.ID]struct{}{},
	}
}

// Begin starts a rollout: it gives what the servers wrote in the hour before until, minute by minute, oldest first, for Evidence.Before. Of
// each server Server, Release and Started are taken. All templates are told anew from here on, and none that was told ages out until End.
// Minutes in which no server was read are left out, and those that began before clean: what they told would be lost with them.
func (g *Gatherer) Begin(clean, until time.Time, servers []judge.ServerEvidence) []judge.Evidence {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release()
	g.advance(until)
	g.closed = slotOf(until)
	var minutes []judge.Evidence
	for since := until.Add(-history); since.Before(until); since = since.Add(slice) {
		if since.Before(clean) {
			continue
		}
		e := judge.Evidence{Since: since, Until: since.Add(slice)}
		read := false
		for _, s := range servers {
			row := judge.ServerEvidence{Server: s.Server, Release: s.Release, Started: s.Started}
			row.LogsRead = g.servers[s.Server].readIn(e.Since, e.Until)
			row.LogsLost = g.servers[s.Server].lostIn(slotOf(e.Since), slotOf(e.Until))
			read = read || row.LogsRead
			e.Servers = append(e.Servers, row)
		}
		if read {
			minutes = append(minutes, e)
		}
	}
	g.miner.Look(func(tree *template.Tree, counts *template.Counter) {
		for _, t := range tree.Templates() {
			g.past(tree, counts, t, minutes)
		}
		for i := range minutes {
			for j := range minutes[i].Servers {
				row := &minutes[i].Servers[j]
				_, overflowed := counts.Between(template.Overflow, row.Server, minutes[i].Since, minutes[i].Until)
				row.LogsLost += overflowed
			}
		}
	})
	return minutes
}

// past puts a template's counts into slices of history.
func (g *Gatherer) past(tree *template.Tree, counts *template.Counter, t template.Template, history []judge.Evidence) {
	if len(history) == 0 {
		return
	}
	for j := range history[0].Servers {
		i := 0
		for _, n := range counts.Series(t.ID, history[0].Servers[j].Server) {
			for i < len(history) && slotOf(history[i].Until) <= n.Slot {
				i++
			}
			if i == len(history) {
				break
			}
			if n.Slot < slotOf(history[i].Since) {
				continue
			}
			row := &history[i].Servers[j]
			if last := len(row.Logs) - 1; last >= 0 && row.Logs[last].Template == t.ID.String() {
				row.Logs[last].Units++
				row.Logs[last].Events += int64(n.Count)
			} else {
				row.Logs = append(row.Logs, judge.LogCount{Template: t.ID.String(), Units: 1, Events: int64(n.Count)})
			}
			g.tell(tree, t, &history[i])
		}
	}
}

// Await says which instance runs on each server by now. What an earlier one wrote last is in no window, though no output of the new one is open yet.
func (g *Gatherer) Await(instances map[segue.ServerName]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, instance := range instances {
		if s := g.servers[name]; s != nil {
			s.awaited = instance
		}
	}
}

// waiting tells whether the server has an instance of which nothing is read yet.
func (s *source) waiting() bool { return s != nil && s.awaited != "" && s.awaited != s.instance }

// End ends a rollout: templates may age out again.
func (g *Gatherer) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release()
}

func (g *Gatherer) release() {
	g.miner.Look(func(tree *template.Tree, _ *template.Counter) {
		for id := range g.pinned {
			tree.Unpin(id)
		}
	})
	clear(g.pinned)
	clear(g.told)
}

// Fill puts into a window what its servers wrote: the slots that closed since the window before. What an earlier instance of a server
// wrote is not in it.
func (g *Gatherer) Fill(window *judge.Evidence) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(window.Until)
	// A slot may have begun before the window that it closed in; what is older was in no window and is in none.
	from, to := max(g.closed, slotOf(window.Since)-1), slotOf(window.Until)
	g.closed = max(g.closed, to)
	for i := range window.Servers {
		row := &window.Servers[i]
		if g.servers[row.Server].waiting() {
			continue
		}
		row.LogsRead = g.servers[row.Server].readIn(window.Since, window.Until)
		row.LogsLost = g.servers[row.Server].lostIn(from, to)
	}
	if to <= from {
		return
	}
	g.miner.Look(func(tree *template.Tree, counts *template.Counter) {
		g.merged(tree, window)
		p := period{tree: tree, counts: counts, from: from, to: to}
		for _, t := range tree.Templates() {
			if slotOf(t.Last) >= from {
				g.fill(p, t, window)
			}
		}
		for i := range window.Servers {
			row := &window.Servers[i]
			row.LogsLost += p.count(g.servers[row.Server], row.Server, template.Overflow).Events
		}
	})
}

// fill puts a template's counts into a window.
func (g *Gatherer) fill(p period, t template.Template, window *judge.Evidence) {
	for i := range window.Servers {
		row := &window.Servers[i]
		n := p.count(g.servers[row.Server], row.Server, t.ID)
		switch {
		case n.Units == 0:
		case g.tell(p.tree, t, window):
			row.Logs = append(row.Logs, n)
		default:
			row.LogsLost += n.Events
		}
	}
}

// period is some slots of what was counted: from up to before to.
type period struct {
	tree     *template.Tree
	counts   *template.Counter
	from, to int64
}

// count gives what a server's present instance said of a template.
func (p period) count(s *source, server segue.ServerName, id template.ID) judge.LogCount {
	n := judge.LogCount{Template: id.String()}
	if s == nil || s.waiting() {
		return n
	}
	from := max(p.from, s.since)
	n.Units, n.Events = p.counts.Between(id, server, timeOf(from), timeOf(p.to))
	if from > s.since || p.to <= from {
		return n
	}
	others := int64(0)
	for old, events := range s.before {
		if p.tree.Resolve(old) == id {
			others += events
		}
	}
	if others > 0 {
		n.Events = max(0, n.Events-others)
		if _, first := p.counts.Between(id, server, timeOf(from), timeOf(from+1)); first <= others {
			n.Units = max(0, n.Units-1)
		}
	}
	return n
}

// tell names a template in the evidence that counts it first; false when there are too many in this rollout.
func (g *Gatherer) tell(tree *template.Tree, t template.Template, e *judge.Evidence) bool {
	if _, ok := g.told[t.ID]; ok {
		return true
	}
	if len(g.told) >= mostTold {
		return false
	}
	g.told[t.ID] = struct{}{}
	if len(g.pinned) < mostPinned && tree.Pin(t.ID) {
		g.pinned[t.ID] = struct{}{}
	}
	e.Templates = append(e.Templates, judge.LogTemplate{
		ID: t.ID.String(), Severity: t.Severity.String(), Trace: t.Kind == template.Trace, Text: t.Text, Sample: t.Sample, Born: t.Born, First: t.First,
	})
	return true
}

// merged names the templates that became others since they were told.
func (g *Gatherer) merged(tree *template.Tree, window *judge.Evidence) {
	for _, from := range slices.Sorted(maps.Keys(g.told)) {
		into := tree.Resolve(from)
		if into == from {
			continue
		}
		delete(g.told, from)
		if t, ok := tree.Get(into); ok && g.tell(tree, t, window) {
			window.Merged = append(window.Merged, judge.LogMerge{From: from.String(), Into: into.String()})
		}
	}
	slices.SortFunc(window.Templates, func(a, b judge.LogTemplate) int { return cmp.Compare(a.Born, b.Born) })
}

// readIn tells whether all of the server's outputs were read from since until until.
func (s *source) readIn(since, until time.Time) bool {
	return s != nil && slices.ContainsFunc(s.read, func(r span) bool {
		return !r.from.After(since) && (r.until.IsZero() || !r.until.Before(until))
	})
}

// Read gives for how long from since until until the output of each of the servers was read: the least of them.
func (g *Gatherer) Read(since, until time.Time, servers []segue.ServerName) (least time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, server := range servers {
		read := time.Duration(0)
		if s := g.servers[server]; s != nil {
			for _, r := range s.read {
				to := until
				if !r.until.IsZero() && r.until.Before(until) {
					to = r.until
				}
				read += max(0, to.Sub(later(since, r.from)))
			}
		}
		if i == 0 || read < least {
			least = read
		}
	}
	return least
}

func (s *source) lostIn(from, to int64) (lines int64) {
	if s == nil {
		return 0
	}
	for _, n := range s.lost {
		if n.Slot >= from && n.Slot < to {
			lines += int64(n.Count)
		}
	}
	return lines
}

// advance moves time on, never back, and gives it.
func (g *Gatherer) advance(now time.Time) time.Time {
	if now.After(g.newest) {
		g.newest = now
	}
	return g.newest
}

func slotOf(t time.Time) int64      { return t.UnixNano() / int64(slot) }
func timeOf(number int64) time.Time { return time.Unix(0, number*int64(slot)) }
