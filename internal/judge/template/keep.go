package template

import (
	"cmp"
	"slices"
)

// Resolve gives what id is called now: itself, or what it merged into.
func (t *Tree) Resolve(id ID) ID {
	for range 64 {
		next, ok := t.aliases[id]
		if !ok {
			break
		}
		id = next
	}
	return id
}

// Get gives a template by its id of now or of before a merge.
func (t *Tree) Get(id ID) (Template, bool) {
	e := t.byID[t.Resolve(id)]
	if e == nil {
		return Template{}, false
	}
	return e.canon().Template, true
}

// Templates gives all, by birth.
func (t *Tree) Templates() []Template {
	all := make([]Template, 0, t.live)
	for _, e := range t.byID {
		if e.alias == nil && !e.gone {
			all = append(all, e.Template)
		}
	}
	slices.SortFunc(all, func(a, b Template) int { return cmp.Compare(a.Born, b.Born) })
	return all
}

// Len is how many forms are kept: templates and those that became alike.
func (t *Tree) Len() int { return t.live }

// Pin keeps a template from ageing out until as many calls of Unpin. It is false for an id that is not there.
func (t *Tree) Pin(id ID) bool {
	e := t.byID[t.Resolve(id)]
	if e == nil {
		return false
	}
	e = e.canon()
	e.pins++
	e.Pinned = true
	return true
}

// Unpin takes one Pin back.
func (t *Tree) Unpin(id ID) {
	t.full = false
	if e := t.byID[t.Resolve(id)]; e != nil {
		e = e.canon()
		e.pins = max(0, e.pins-1)
		e.Pinned = e.pins > 0
	}
}

// makeRoom drops a tenth of the forms, the longest unseen; false when all are pinned.
func (t *Tree) makeRoom() bool {
	entries := t.inOrder()
	heads := map[*entry]bool{} // what others are aliases of stays as long as they do
	for _, e := range entries {
		if e.alias != nil {
			heads[e.canon()] = true
		}
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.Last.Compare(b.Last) })
	room := max(1, t.max/10)
	kept := entries[:0]
	for _, e := range entries {
		if room > 0 && e.canon().pins == 0 && !heads[e] {
			t.drop(e)
			room--
			continue
		}
		kept = append(kept, e)
	}
	if t.live >= t.max {
		t.full = true
		return false
	}
	t.rebuild(kept)
	return true
}

func (t *Tree) drop(e *entry) {
	e.gone = true
	t.live--
	delete(t.byID, e.ID)
	if e.alias != nil {
		return
	}
	if t.dropped != nil {
		t.dropped(e.ID)
	}
	if _, ok := t.former[e.ID]; ok {
		return
	}
	if len(t.order) >= remembered {
		delete(t.former, t.order[0])
		t.order = t.order[1:]
	}
	t.former[e.ID] = struct{}{}
	t.order = append(t.order, e.ID)
}

// rebuild makes tree and index anew of what is kept, so that nothing of the rest stays in memory.
func (t *Tree) rebuild(kept []*entry) {
	slices.SortFunc(kept, func(a, b *entry) int { return cmp.Compare(a.Born, b.Born) })
	t.buckets, t.places, t.rows, t.cache = map[uint64]*node{}, map[uint64]place{}, map[uint64]*entry{}, map[uint64]*entry{}
	for _, e := range kept {
		t.attach(e)
		t.row(e)
		for i, tok := range e.tokens {
			if tok != wild && !verbal(e.words[i]) {
				p := t.places[e.without(i, -1)]
				if p.first == nil {
					p.first = e
				}
				p.count++
				t.places[e.without(i, -1)] = p
			}
		}
	}
	for from := range t.aliases {
		if t.byID[t.Resolve(from)] == nil {
			delete(t.aliases, from)
		}
	}
}
