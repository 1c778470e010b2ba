package template

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// skewTolerance is how far a server's clock may be off before its times are corrected.
const skewTolerance = 2 * time.Second

// Count is how often a template came from a server in one slot.
type Count struct {
	// Slot is the slot's number: Unix time divided by its length.
	Slot  int64  `json:"slot"`
	Count uint32 `json:"count"`
}

// Lost says what a Counter could not count where it belongs.
type Lost struct {
	// Late lines were older than what is kept.
	Late int64 `json:"late,omitempty"`
	// Evicted slots went because there were too many in all.
	Evicted int64 `json:"evicted,omitempty"`
}

type seriesKey struct {
	id     ID
	server segue.ServerName
}

// Counter counts events per template, server and slot of time. A server's clock that is off is corrected by the least delay seen of it;
// one that jumps is counted at the time of arrival. Nothing is cumulative: a server or a stream that starts anew changes nothing.
// It is not for concurrent use.
type Counter struct {
	slot   time.Duration
	slots  int64
	cells  int
	max    int
	series map[seriesKey][]Count // by slot, ascending; without empty ones
	clocks map[segue.ServerName]time.Duration
	newest int64
	lost   Lost
}

// NewCounter gives an empty counter.
func NewCounter(o Options) *Counter {
	o = o.defaults()
	return &Counter{
		slot: o.Slot, slots: int64(o.Slots), max: o.Cells,
		series: map[seriesKey][]Count{}, clocks: map[segue.ServerName]time.Duration{},
	}
}

// Add counts one event that the server dated at and that came now. A zero at is now.
func (c *Counter) Add(id ID, server segue.ServerName, at, now time.Time) {
	slot := c.correct(server, at, now).UnixNano() / int64(c.slot)
	if slot > c.newest {
		c.newest = slot
	}
	if slot <= c.newest-c.slots {
		c.lost.Late++
		return
	}
	key := seriesKey{id, server}
	counts := c.series[key]
	i := len(counts)
	for i > 0 && counts[i-1].Slot > slot {
		i--
	}
	if i > 0 && counts[i-1].Slot == slot {
		if counts[i-1].Count < 1<<32-1 {
			counts[i-1].Count++
		}
		return
	}
	old := len(counts)
	counts = c.trim(slices.Insert(counts, i, Count{Slot: slot, Count: 1}))
	c.series[key] = counts
	c.cells += len(counts) - old
	if c.cells > c.max {
		c.Sweep()
	}
}

// correct gives the time in this process's clock, and now when it cannot be told.
func (c *Counter) correct(server segue.ServerName, at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	delay := now.Sub(at)
	least, known := c.clocks[server]
	if !known || delay < least {
		c.clocks[server], least = delay, delay
	}
	if least > -skewTolerance && least < skewTolerance {
		least = 0
	}
	if at = at.Add(least); at.After(now) {
		return now
	}
	return at
}

// trim drops slots that are older than what is kept.
func (c *Counter) trim(counts []Count) []Count {
	i := 0
	for i < len(counts) && counts[i].Slot <= c.newest-c.slots {
		i++
	}
	if i == 0 {
		return counts
	}
	return slices.Delete(counts, 0, i)
}

// Sweep drops what is too old everywhere, and while there are still too many slots, the oldest half of the time kept.
func (c *Counter) Sweep() {
	for window := c.slots; ; window /= 2 {
		c.cells = 0
		for key, counts := range c.series {
			i := 0
			for i < len(counts) && counts[i].Slot <= c.newest-window {
				i++
			}
			if window < c.slots {
				c.lost.Evicted += int64(i)
			}
			if i == len(counts) {
				delete(c.series, key)
				continue
			}
			c.series[key] = slices.Clip(slices.Delete(counts, 0, i))
			c.cells += len(counts) - i
		}
		if c.cells <= c.max*9/10 || window <= 1 {
			return
		}
	}
}

// Series gives the counts of a template on a server, by slot; empty slots are left out.
func (c *Counter) Series(id ID, server segue.ServerName) []Count {
	return slices.Clone(c.trim(slices.Clone(c.series[seriesKey{id, server}])))
}

// Between gives in how many slots from since up to before until the server said it, and how often in all. Slots are the judge's units:
// a burst within one counts once.
func (c *Counter) Between(id ID, server segue.ServerName, since, until time.Time) (slots, events int64) {
	from, to := since.UnixNano()/int64(c.slot), until.UnixNano()/int64(c.slot)
	for _, n := range c.series[seriesKey{id, server}] {
		if n.Slot >= from && n.Slot < to {
			slots++
			events += int64(n.Count)
		}
	}
	return slots, events
}

// Servers gives the servers that said it, in order.
func (c *Counter) Servers(id ID) []segue.ServerName {
	var names []segue.ServerName
	for key := range c.series {
		if key.id == id {
			names = append(names, key.server)
		}
	}
	slices.Sort(names)
	return names
}

// Lost gives what could not be counted.
func (c *Counter) Lost() Lost { return c.lost }

// Restarted forgets what was learnt of the server's clock: it may be another machine's now. Counts stay.
func (c *Counter) Restarted(server segue.ServerName) { delete(c.clocks, server) }

// move adds what was counted of from to to: they merged.
func (c *Counter) move(from, to ID) {
	for _, server := range c.Servers(from) {
		key := seriesKey{from, server}
		c.series[seriesKey{to, server}] = c.sum(c.series[seriesKey{to, server}], c.series[key])
		delete(c.series, key)
	}
}

// drop forgets a template.
func (c *Counter) drop(id ID) {
	for _, server := range c.Servers(id) {
		c.cells -= len(c.series[seriesKey{id, server}])
		delete(c.series, seriesKey{id, server})
	}
}

func (c *Counter) sum(a, b []Count) []Count {
	out := make([]Count, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Slot < b[0].Slot:
			out, a = append(out, a[0]), a[1:]
		case a[0].Slot > b[0].Slot:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Count{Slot: a[0].Slot, Count: a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
			c.cells--
		}
	}
	return append(append(out, a...), b...)
}
