package template

import (
	"cmp"
	"slices"
)

// How many words must have stood in one place before any word may: after a word that introduces a name, after a preposition, and else.
const (
	afterNoun        = 2
	afterPreposition = 3
	afterAny         = 5
	// forPairs is how many templates must differ in the same two places alone.
	forPairs = 8
)

// eagerWords are the words after which a name is likely, and how many different ones make it one.
func eagerWords() map[uint64]int {
	words := map[uint64]int{}
	for _, word := range []string{
		"user", "users", "username", "host", "hostname", "node", "service", "module", "interface", "device", "account", "group", "database",
		"table", "schema", "role", "queue", "topic", "pod", "namespace", "container", "image", "volume", "thread", "tenant", "customer",
		"job", "task", "worker", "server", "client", "region", "domain", "zone", "plugin", "package", "login", "logname", "named", "called", "name", "key",
		"User", "Host", "Node", "Service", "Module", "Device", "Job", "Task", "Plugin", "Package", "unit", "Unit", "cluster", "city", "country", "feature", "flag", "endpoint", "route", "bucket", "index", "shard", "collection", "profile", "channel", "consumer", "provider", "author", "owner",
	} {
		words[hashBytes([]byte(word))] = afterNoun
	}
	for _, word := range []string{"for", "from", "by", "on", "at", "in", "of", "with", "via", "as"} {
		words[hashBytes([]byte(word))] = afterPreposition
	}
	return words
}

// fixed is how many words the form has that do not vary.
func (e *entry) fixed() int {
	n := 0
	for _, tok := range e.tokens {
		if tok != wild {
			n++
		}
	}
	return n
}

// need is how many different words position i of the form wants before it varies: the fewer words are left, the more. The last one stays.
func (t *Tree) need(e *entry, i int) int {
	fixed := e.fixed()
	for k := range min(maxTagged, len(e.tokens)) {
		if e.tags&(1<<k) != 0 && e.tokens[k] != wild && k != i {
			fixed--
		}
	}
	if i > 0 && fixed > 2 {
		if n, ok := t.eager[e.tokens[i-1]]; ok {
			return n
		}
	}
	switch {
	case fixed < 2:
		return 1 << 30
	case fixed == 2 || i == 0:
		return 3 * afterAny
	case fixed == 3:
		return 2 * afterAny
	}
	return afterAny
}

// without is the hash of the form with positions i and j left out.
func (e *entry) without(i, j int) uint64 {
	h := mix(e.root^uint64(i)<<8^uint64(j), 0xc2b2ae3d27d4eb4f)
	for k, tok := range e.tokens {
		if k == i || k == j {
			tok = 0
		}
		h = mix(h^tok, 0x165667b19e3779f9)
	}
	return h
}

// index counts the template among those that differ from it in one place alone, and merges them when they are enough.
func (t *Tree) index(e *entry) {
	for i, tok := range e.tokens {
		if tok == wild || verbal(e.words[i]) {
			continue
		}
		key := e.without(i, -1)
		p := t.places[key]
		if p.first == nil || p.first.gone {
			p = place{first: e}
		}
		p.count++
		t.places[key] = p
		if int(p.count) >= t.need(e, i) && t.unite(e, i, -1, t.need(e, i)) {
			delete(t.places, key)
			return
		}
	}
}

// unite merges all templates that differ from e in positions i and j alone, into the one first born. False: they are too few by now.
func (t *Tree) unite(e *entry, i, j, least int) bool {
	var alike []*entry
	t.each(t.buckets[bucketKey(e.root, len(e.tokens))], func(other *entry) {
		for k := range other.tokens {
			if k != i && k != j && other.tokens[k] != e.tokens[k] || (k == i || k == j) && verbal(other.words[k]) {
				return
			}
		}
		alike = append(alike, other)
	})
	if len(alike) < max(least, 2) {
		return false
	}
	slices.SortFunc(alike, func(a, b *entry) int { return cmp.Compare(a.Born, b.Born) })
	survivor := alike[0]
	for _, other := range alike[1:] {
		t.absorb(survivor, other)
	}
	t.widen(survivor, func(k int) bool { return k == i || k == j })
	t.index(survivor)
	return true
}

// absorb takes other out of the tree: its lines, its id and its pins are survivor's from now on.
func (t *Tree) absorb(survivor, other *entry) {
	t.detach(other)
	to, from := survivor.canon(), other.canon()
	other.gone = true
	t.live--
	if to == from {
		delete(t.byID, other.ID)
		return
	}
	if from != other {
		// Its form goes; what it stood for stays.
		delete(t.byID, other.ID)
		t.join(to, from)
		return
	}
	t.join(to, from)
	delete(t.byID, other.ID)
	other.alias = to
}

// join makes from an alias of to, whichever forms they have.
func (t *Tree) join(to, from *entry) {
	if from.Born < to.Born {
		// The first form keeps its name.
		to.ID, from.ID = from.ID, to.ID
		to.Born, from.Born = from.Born, to.Born
		to.Sample, from.Sample = from.Sample, to.Sample
		t.byID[to.ID], t.byID[from.ID] = to, from
	}
	to.Count += from.Count
	if from.First.Before(to.First) {
		to.First = from.First
	}
	if from.Last.After(to.Last) {
		to.Last = from.Last
	}
	to.pins += from.pins
	from.pins = 0
	to.Pinned = to.pins > 0
	from.alias = to
	t.alias(from.ID, to.ID)
}

func (t *Tree) alias(from, to ID) {
	if from == to {
		return
	}
	t.aliases[from] = to
	if t.moved != nil {
		t.moved(from, to)
	}
}

func (t *Tree) each(n *node, visit func(*entry)) {
	if n == nil {
		return
	}
	for _, e := range n.leaf {
		visit(e)
	}
	for _, kid := range n.kids {
		t.each(kid, visit)
	}
}

// row makes the form one with another that is equal but for how many values stand in a row, if there is one.
func (t *Tree) row(e *entry) {
	key := e.collapsed()
	first := t.rows[key]
	if first == nil || first.gone || first.collapsed() != key {
		t.rows[key] = e
	} else if to, from := first.canon(), e.canon(); to != from {
		t.join(to, from)
	}
}

// Merge looks for templates of which many differ in the same two places. Learn calls it as templates grow in number; calling it more often does no
// harm.
func (t *Tree) Merge() { t.mergePairs(t.inOrder()) }

// inOrder gives all forms in the tree by birth, so that merges do not depend on a map's order.
func (t *Tree) inOrder() []*entry {
	entries := make([]*entry, 0, t.live)
	for _, top := range t.buckets {
		t.each(top, func(e *entry) { entries = append(entries, e) })
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.Born, b.Born) })
	return entries
}

// collapsed is the hash of the form with runs of values as one.
func (e *entry) collapsed() uint64 {
	h, last := mix(e.root, 0x27d4eb2f165667c5), uint64(0)
	for _, tok := range e.tokens {
		if tok != wild || last != wild {
			h = mix(h^tok, 0x165667b19e3779f9)
		}
		last = tok
	}
	return h
}

// mergePairs unites templates of at least six words of which many differ in the same two places.
func (t *Tree) mergePairs(entries []*entry) {
	counts := map[uint64]int32{}
	pairs := func(e *entry, visit func(key uint64, i, j int) bool) {
		if n := len(e.tokens); n > 20 || e.gone || e.fixed() < 6 {
			return
		}
		for i := 1; i < len(e.tokens); i++ {
			for j := i + 1; j < len(e.tokens); j++ {
				if e.tokens[i] != wild && e.tokens[j] != wild && !verbal(e.words[i]) && !verbal(e.words[j]) && !visit(e.without(i, j), i, j) {
					return
				}
			}
		}
	}
	for _, e := range entries {
		pairs(e, func(key uint64, _, _ int) bool { counts[key]++; return true })
	}
	for _, e := range entries {
		pairs(e, func(key uint64, i, j int) bool {
			return counts[key] < forPairs || !t.unite(e, i, j, forPairs)
		})
	}
}
