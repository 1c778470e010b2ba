package logs

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// mostEmpty is the largest share of blocks of the history that a heartbeat is missing in, leastBlocks how many there must be.
	mostEmpty   = 0.02
	leastBlocks = 20
	// regular is the largest variance/mean of counts per block that a timer has; of what comes by chance or with traffic it is 1 and more.
	regular = 0.35
)

// beat is the test of a line that comes by the clock: in blocks of time that had it nearly always, and in which others said it, does the
// candidate go without?
type beat struct {
	block time.Duration
	// mean is -log of the share of blocks that have it, at its lower limit.
	mean    float64
	empty   *rate
	servers map[segue.ServerName]*block
	// seen and missed count the candidate's blocks.
	seen, missed int64
	// heirs are new lines of the candidate, due is how often a stable server said this one in the blocks that were missed.
	heirs map[*line]*heir
	due   float64
}

// block is a server's block that is still under way.
type block struct {
	seconds, units float64
	// others is what a stable server said on average.
	others float64
	heirs  map[*line]float64
}

// newBeat finds out from the history whether the line comes by the clock; nil when it does not.
func newBeat(l *line, read watched) *beat {
	for _, minutes := range []int{1, 2, 5, 10} {
		blocks, empty, phi, servers := 0.0, 0.0, 0.0, 0.0
		for _, name := range slices.Sorted(maps.Keys(read.servers)) {
			n, none, p := regularity(l.past[name], read.servers[name], read.after, minutes)
			if n == 0 {
				continue
			}
			blocks, empty, phi, servers = blocks+n, empty+none, phi+p, servers+1
		}
		if blocks < leastBlocks || empty > mostEmpty*blocks || phi > regular*servers {
			continue
		}
		odds := evidence.Odds(empty, blocks-empty, 1)
		mean := math.Log1p(odds)
		return &beat{
			block: time.Duration(minutes) * slice, mean: mean, servers: map[segue.ServerName]*block{}, heirs: map[*line]*heir{},
			empty: newRate(-math.Log(0.5)/mean, -math.Log(0.1)/mean),
		}
	}
	return nil
}

// regularity gives how many whole blocks of the history a server has, how many have none of the line, and variance/mean of its counts. A block is
// whole where it was read without a gap.
func regularity(past []minute, read, after []bool, minutes int) (blocks, empty, phi float64) {
	events := make([]float64, len(read))
	for _, m := range past {
		events[m.slice] = m.events
	}
	sum, squares := 0.0, 0.0
	for from := 0; from+minutes <= len(read); from += minutes {
		count, whole := 0.0, true
		for i := from; i < from+minutes; i++ {
			count += events[i]
			whole = whole && read[i] && (i == from || after[i])
		}
		if !whole {
			continue
		}
		blocks++
		sum, squares = sum+count, squares+count*count
		if count == 0 {
			empty++
		}
	}
	if blocks < 2 || sum == 0 {
		return blocks, empty, 1
	}
	mean := sum / blocks
	return blocks, empty, max(0, squares/blocks-mean*mean) / mean
}

// add moves the candidate's blocks on.
func (b *beat) add(l *look, of *line) {
	said := 0.0
	if t := l.tally[of]; t != nil {
		said = t.steady[others] / float64(len(l.steady[others].servers))
	}
	for _, r := range l.rows {
		if r.side != candidate || r.starting || l.steady[others].seconds == 0 {
			continue
		}
		at := b.servers[r.Server]
		if at == nil {
			at = &block{heirs: map[*line]float64{}}
			b.servers[r.Server] = at
		}
		at.seconds += l.Length().Seconds()
		at.others += said
		for _, n := range r.Logs {
			if n.Template == of.ID {
				at.units += float64(n.Units)
			}
		}
		b.hear(at, of, l.news[r.Server])
		if at.seconds < b.block.Seconds() {
			continue
		}
		if at.others > 0 {
			of.stale = true
			b.end(at)
		}
		*at = block{heirs: map[*line]float64{}}
	}
}

func (b *beat) end(at *block) {
	if at.units == 0 {
		b.missed++
		b.inherit(at)
		b.empty.add(1, 1, b.mean)
		return
	}
	b.seen++
	b.empty.add(1, 0, b.mean)
}
