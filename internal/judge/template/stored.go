package template

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/segue-deploy/segue"
)

// StoredFormat says how templates are mined: what another program stored under another one is of no use, since its ids and forms are not those
// of the same lines here. It changes whenever lines get other ids than before.
const StoredFormat = 1

// Stored is all that a Miner has learnt, to go on with in another process as if nothing had happened. What streams hold back is not in it, nor
// are pins.
type Stored struct {
	Forms  []StoredForm  `json:"forms"`
	Places []StoredPlace `json:"places,omitempty"`
	// Aliases are ids of templates that became others.
	Aliases map[ID]ID `json:"aliases,omitempty"`
	Births  int64     `json:"births"`
	NextRun int64     `json:"next_run"`
	// Servers are those whose names are values in all lines.
	Servers []segue.ServerName `json:"servers,omitempty"`
	Series  []StoredSeries     `json:"series,omitempty"`
	Newest  int64              `json:"newest"`
}

// StoredForm is a form in the tree: a template, or what became one.
type StoredForm struct {
	Template
	Root   uint64   `json:"root"`
	Tokens []uint64 `json:"tokens"`
	Soft   []bool   `json:"soft"`
	Words  []string `json:"words"`
	Tags   uint8    `json:"tags,omitempty"`
	// Alias is the template that it counts for, where that is not itself.
	Alias ID `json:"alias,omitzero"`
	// Seen are the hashes of whole lines that were found to be of this form.
	Seen []uint64 `json:"seen,omitempty"`
}

// StoredPlace counts the forms that differ in one position alone.
type StoredPlace struct {
	Key   uint64 `json:"key"`
	First ID     `json:"first"`
	Count int32  `json:"count"`
}

// StoredSeries is what one server said of a template: the number of the first slot that has any, then the distances of those that follow; and how
// often in each.
type StoredSeries struct {
	Template ID               `json:"template"`
	Server   segue.ServerName `json:"server"`
	Slots    []int64          `json:"slots"`
	Counts   []uint32         `json:"counts"`
}

// Stored copies what was learnt so far.
func (m *Miner) Stored() Stored {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.tree.stored()
	stored.Servers = slices.Sorted(maps.Keys(m.servers))
	stored.Series, stored.Newest = m.counts.stored(), m.counts.newest
	return stored
}

// Restore goes on with what was stored. The miner must be new; after an error it is of no use.
func (m *Miner) Restore(stored Stored) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, server := range stored.Servers {
		m.meet(server)
	}
	if err := m.tree.restore(stored); err != nil {
		return err
	}
	return m.counts.restore(stored)
}

func (t *Tree) stored() Stored {
	stored := Stored{Aliases: maps.Clone(t.aliases), Births: t.births, NextRun: t.nextRun}
	seen := map[*entry][]uint64{}
	for seq, e := range t.cache {
		if !e.gone {
			seen[e] = append(seen[e], seq)
		}
	}
	for _, e := range t.inOrder() {
		form := StoredForm{
			Template: e.Template, Root: e.root, Tokens: slices.Clone(e.tokens), Soft: slices.Clone(e.soft), Words: slices.Clone(e.words), Tags: e.tags,
			Seen: seen[e],
		}
		slices.Sort(form.Seen)
		form.Pinned = false
		if c := e.canon(); c != e {
			form.Alias = c.ID
		}
		stored.Forms = append(stored.Forms, form)
	}
	for key, p := range t.places {
		if !p.first.gone {
			stored.Places = append(stored.Places, StoredPlace{key, p.first.ID, p.count})
		}
	}
	slices.SortFunc(stored.Places, func(a, b StoredPlace) int { return cmp.Compare(a.Key, b.Key) })
	return stored
}

func (t *Tree) restore(stored Stored) error {
	if len(stored.Forms) > t.max {
		return fmt.Errorf("restore templates: there are %d, and %d at most are kept", len(stored.Forms), t.max)
	}
	for _, form := range stored.Forms {
		n := len(form.Tokens)
		if n > maxTokens || len(form.Soft) != n || len(form.Words) != n || form.ID <= Overflow || t.byID[form.ID] != nil {
			return fmt.Errorf("restore template %s: it is not whole", form.ID)
		}
		e := &entry{Template: form.Template, root: form.Root, tokens: form.Tokens, soft: form.Soft, words: form.Words, tags: form.Tags}
		t.byID[e.ID] = e
		t.live++
		t.attach(e)
		for _, seq := range form.Seen {
			t.cache[seq] = e
		}
	}
	for _, form := range stored.Forms {
		if form.Alias == 0 {
			continue
		}
		to := t.byID[form.Alias]
		if to == nil || to.canon() == t.byID[form.ID] {
			return fmt.Errorf("restore template %s: it became %s, which is not there", form.ID, form.Alias)
		}
		t.byID[form.ID].alias = to
	}
	for _, form := range stored.Forms {
		e := t.byID[form.ID]
		if key := e.collapsed(); t.rows[key] == nil {
			t.rows[key] = e
		}
	}
	for _, p := range stored.Places {
		if first := t.byID[p.First]; first != nil {
			t.places[p.Key] = place{first, p.Count}
		}
	}
	t.births, t.nextRun = stored.Births, stored.NextRun
	maps.Copy(t.aliases, stored.Aliases)
	return nil
}

func (c *Counter) stored() []StoredSeries {
	all := make([]StoredSeries, 0, len(c.series))
	for key, counts := range c.series {
		series, last := StoredSeries{Template: key.id, Server: key.server}, int64(0)
		for _, n := range c.trim(slices.Clone(counts)) {
			series.Slots, series.Counts, last = append(series.Slots, n.Slot-last), append(series.Counts, n.Count), n.Slot
		}
		if len(series.Slots) > 0 {
			all = append(all, series)
		}
	}
	slices.SortFunc(all, func(a, b StoredSeries) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Server, b.Server))
	})
	return all
}

func (c *Counter) restore(stored Stored) error {
	for _, series := range stored.Series {
		slot := int64(0)
		counts := make([]Count, 0, len(series.Slots))
		for i, distance := range series.Slots {
			if distance <= 0 || i >= len(series.Counts) || series.Counts[i] == 0 {
				return fmt.Errorf("restore counts of template %s: they are not whole", series.Template)
			}
			slot += distance
			counts = append(counts, Count{Slot: slot, Count: series.Counts[i]})
		}
		c.series[seriesKey{series.Template, series.Server}] = counts
		c.cells += len(counts)
	}
	c.newest = stored.Newest
	return nil
}
