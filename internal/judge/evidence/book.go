package evidence

import (
	"cmp"
	"math"
	"slices"
)

// Book decides over many streams at once, by online e-BH: with an error rate α, k* is the largest k for which at least k streams have
// E >= 1/(α·γ·k), and those are rejected. The share of false ones among the rejected is at most α on average, whatever the streams have to
// do with each other (Wang & Ramdas 2022; arriving hypotheses and stopping times: Fischer, Xu & Ramdas, arXiv 2407.20683).
//
// The shares γ add up to 1 at most: half for what is known at the start, in proportion to its weight, half for later births, the j-th of
// them ½·(6/π²)/j². So the first newborn alone is rejected at E >= 66 with α = 5 %, at 329 with 1 %.
//
// It must be given current e-values: fed with running maxima, e-BH controls nothing (Tavyrikov, Goeman & de Heide, arXiv 2501.19360). Act
// on the first rejection.
type Book struct {
	alpha   float64
	weights float64
	born    int
	index   map[string]int
	entries []entry
	// order is scratch, kept to spare allocations.
	order []int
}

type entry struct {
	id     string
	weight float64
	// birth is the rank among those born later, from 1; 0 is known from the start.
	birth int
	logE  float64
	// strength is log(E·α·γ), as of the last call of Rejected.
	strength float64
}

// NewBook makes a book for an error rate; one that is no probability is taken as 0, which rejects nothing.
func NewBook(alpha float64) *Book {
	if !(alpha > 0 && alpha < 1) {
		alpha = 0
	}
	return &Book{alpha: alpha, index: map[string]int{}}
}

// Known enters a stream that is known at the start. What comes after the first birth counts as born, since the shares are fixed then. A
// weight that is not positive gives no share: such a stream is never rejected.
func (b *Book) Known(id string, weight float64) {
	if b.born > 0 {
		b.Born(id)
		return
	}
	if _, there := b.index[id]; there {
		return
	}
	if !(weight > 0 && weight <= mostEvents) {
		weight = 0
	}
	b.weights += weight
	b.enter(entry{id: id, weight: weight})
}

// Born enters a stream that appeared later. The order must be that of the pooled stream, blind to which side it was seen on.
func (b *Book) Born(id string) {
	if _, there := b.index[id]; there {
		return
	}
	b.born++
	b.enter(entry{id: id, birth: b.born})
}

func (b *Book) enter(e entry) {
	b.index[e.id] = len(b.entries)
	b.entries = append(b.entries, e)
}

// Set takes a stream's current e-value, by its logarithm; NaN counts as no evidence. A stream that was never entered is born here.
func (b *Book) Set(id string, logE float64) {
	if math.IsNaN(logE) {
		logE = math.Inf(-1)
	}
	b.Born(id)
	b.entries[b.index[id]].logE = logE
}

// Rejected gives the streams that e-BH rejects now, the strongest first (E·γ; equal ones by id).
func (b *Book) Rejected() []string {
	b.order = b.order[:0]
	for i := range b.entries {
		e := &b.entries[i]
		e.strength = e.logE + math.Log(b.alpha*b.share(e))
		if e.strength >= -math.Log(float64(len(b.entries))) {
			b.order = append(b.order, i)
		}
	}
	slices.SortFunc(b.order, func(i, j int) int {
		x, y := &b.entries[i], &b.entries[j]
		return cmp.Or(cmp.Compare(y.strength, x.strength), cmp.Compare(x.id, y.id))
	})
	for k := len(b.order); k > 0; k-- {
		if b.entries[b.order[k-1]].strength < -math.Log(float64(k)) {
			continue
		}
		ids := make([]string, k)
		for at, i := range b.order[:k] {
			ids[at] = b.entries[i].id
		}
		return ids
	}
	return nil
}

// Threshold gives the E at which the stream would be rejected if it were the only one; infinite for a stream that is not entered.
func (b *Book) Threshold(id string) float64 {
	i, there := b.index[id]
	if !there {
		return math.Inf(1)
	}
	return 1 / (b.alpha * b.share(&b.entries[i]))
}

// share is γ.
func (b *Book) share(e *entry) float64 {
	switch {
	case e.birth > 0:
		return Spend(0.5, e.birth)
	case e.weight > 0:
		return 0.5 * e.weight / b.weights
	default:
		return 0
	}
}
