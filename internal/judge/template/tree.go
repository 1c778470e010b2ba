package template

import (
	"slices"
	"time"
)

// Options bound a Tree and a Counter. The zero value is what production uses.
type Options struct {
	// Templates is how many are kept; beyond it the longest unseen that is not pinned goes. Default 5,000.
	Templates int
	// Slots is how many slots a series keeps, of Slot each. Default 360 of 10 s: an hour.
	Slots int
	Slot  time.Duration
	// Cells bounds the slots kept over all series. Default 2,000,000 (16 MB).
	Cells int
}

func (o Options) defaults() Options {
	o.Templates = orDefault(o.Templates, 5000)
	o.Slots = orDefault(o.Slots, 360)
	o.Slot = orDefault(o.Slot, 10*time.Second)
	o.Cells = orDefault(o.Cells, 2_000_000)
	return o
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

const (
	// prefixDepth is how many tokens the tree branches by, after root and length.
	prefixDepth = 2
	// maxChildren is how many words a node branches by; more go where any word goes.
	maxChildren = 100
	// maxLeaf bounds a search in one leaf: the latest of it.
	maxLeaf = 2000
	// similarity is the least share of a template's words that a line has in common with it.
	similarity = 0.5
	// firstSimilarity is the least when the first word is not.
	firstSimilarity = 0.7
	maxSample       = 2000
	// remembered is how many templates that aged out are known to have been there.
	remembered = 1 << 16
)

// entry is a template in the tree.
type entry struct {
	Template
	root   uint64
	tokens []uint64
	// soft: a name; of a position that varies: words stood there, not values alone.
	soft  []bool
	words []string
	// tags has a bit for each of the first words that is a tag.
	tags uint8
	pins int
	gone bool
	// alias: what it merged into, though its own form still matches lines.
	alias *entry
}

func (e *entry) canon() *entry {
	for e.alias != nil {
		e = e.alias
	}
	return e
}

type node struct {
	kids map[uint64]*node
	leaf []*entry
}

// Tree learns templates, after Drain: by root and length, then by the first words, then by similarity. It differs in that a word of
// prose is never taken for a value because the rest is alike ("opened" and "closed" are two events); a position varies when a value
// stands there, when names stand there, or when enough different words did. It is not for concurrent use.
type Tree struct {
	max     int
	buckets map[uint64]*node // by root and length
	byID    map[ID]*entry
	aliases map[ID]ID
	cache   map[uint64]*entry // by the hash of a whole line
	places  map[uint64]place  // by the hash of a form with one position left out
	rows    map[uint64]*entry // by the hash of a form in which values in a row are one
	eager   map[uint64]int
	births  int64
	// hidden are words that are values everywhere: the servers' names.
	hidden  map[uint64]struct{}
	live    int
	full    bool // all that is kept is pinned
	nextRun int64
	former  map[ID]struct{}
	order   []ID // of former
	// moved is told of merges: counts follow. It may be nil.
	moved func(from, to ID)
	// dropped is told of templates that aged out.
	dropped func(ID)
}

// place counts the templates that differ in one position alone.
type place struct {
	first *entry
	count int32
}

// NewTree gives an empty tree.
func NewTree(o Options) *Tree {
	t := &Tree{
		max: o.defaults().Templates, buckets: map[uint64]*node{}, byID: map[ID]*entry{}, aliases: map[ID]ID{},
		cache: map[uint64]*entry{}, places: map[uint64]place{}, rows: map[uint64]*entry{}, former: map[ID]struct{}{}, hidden: map[uint64]struct{}{}, nextRun: 64,
		eager: eagerWords(),
	}
	return t
}

// Learn finds the line's template, or makes it one. raw is kept as the sample of a new one.
func (t *Tree) Learn(l *Line, raw []byte, now time.Time) Match {
	e := t.cache[l.seq]
	match := Match{Severity: l.Severity}
	if e == nil || e.gone {
		seq := l.seq
		l.hide(t.hidden)
		if e = t.find(l); e == nil {
			return t.create(l, raw, now, match)
		}
		t.grow(e, l)
		t.remember(l.seq, e)
		t.remember(seq, e)
	}
	e.said(now)
	c := e.canon()
	if c != e {
		c.said(now)
	}
	match.ID = c.ID
	return match
}

// said counts a line. One that is read late, from what was written before, makes no template younger.
func (e *entry) said(at time.Time) {
	e.Count++
	if at.After(e.Last) {
		e.Last = at
	}
	if at.Before(e.First) {
		e.First = at
	}
}

// Find gives the line's template without learning; ok is false when it has none.
func (t *Tree) Find(l *Line) (id ID, ok bool) {
	e := t.cache[l.seq]
	if e == nil || e.gone {
		l.hide(t.hidden)
		e = t.find(l)
	}
	if e == nil {
		return 0, false
	}
	return e.canon().ID, true
}

// Hide makes a word of four letters and more a value wherever it stands: a server's name, so that a line that has it is the same on all
// servers. Shorter ones are too likely to be words.
func (t *Tree) Hide(word string) {
	if len(word) >= 4 {
		t.hidden[hashBytes([]byte(word))] = struct{}{}
	}
}

// remember caches a form; the cache is bounded by forgetting all.
func (t *Tree) remember(seq uint64, e *entry) {
	if len(t.cache) > 4*t.max+1024 {
		clear(t.cache)
	}
	t.cache[seq] = e
}

func bucketKey(root uint64, n int) uint64 { return mix(root^uint64(n), 0x1d8e4e27c47d124f) }

func branchKey(hash uint64, soft bool) uint64 {
	if soft && hash != wild {
		return softKey
	}
	return hash
}

// find gives the most similar template of the same root and length.
func (t *Tree) find(l *Line) *entry {
	s := search{line: l}
	if top := t.buckets[bucketKey(l.root, len(l.tokens))]; top != nil {
		s.descend(top, 0)
	}
	return s.best
}

type search struct {
	line  *Line
	best  *entry
	score float64
	equal int
}

func (s *search) descend(n *node, depth int) {
	if depth == prefixDepth || depth == len(s.line.tokens) {
		for _, e := range n.leaf[max(0, len(n.leaf)-maxLeaf):] {
			s.try(e)
		}
		return
	}
	tok := s.line.tokens[depth]
	keys := [3]uint64{branchKey(tok.hash, tok.soft), wild, softKey}
	for i, key := range keys {
		if slices.Contains(keys[:i], key) || (key == softKey && tok.hash != wild && !tok.soft) {
			continue
		}
		if kid := n.kids[key]; kid != nil {
			s.descend(kid, depth+1)
		}
	}
}

// try compares the line with one template.
func (s *search) try(e *entry) {
	c, ok := e.compare(s.line)
	if !ok {
		return
	}
	score := 1.0
	if c.fixed > 0 {
		score = float64(c.equal) / float64(c.fixed)
	}
	if score < similarity || (c.mixed > 0 && score < firstSimilarity) || (c.equal < c.fixed && c.equal-c.tags < 2) {
		return
	}
	better := score > s.score || (score == s.score && (c.equal > s.equal || c.equal == s.equal && s.best != nil && e.Born < s.best.Born))
	if s.best == nil || better {
		s.best, s.score, s.equal = e, score, c.equal
	}
}

// comparison counts the places of a template where words count: those equal, those of them that are tags, and those where a word of prose
// or the first word differs.
type comparison struct{ fixed, equal, tags, mixed int }

// compare is false when a word of prose differs from another: that rules the template out. A name that differs costs.
func (e *entry) compare(l *Line) (c comparison, ok bool) {
	for i := range l.tokens {
		tok, want := &l.tokens[i], e.tokens[i]
		if want == wild && (tok.hash == wild || e.soft[i]) {
			continue
		}
		c.fixed++
		switch {
		case tok.hash == want:
			c.equal++
			if tok.tag {
				c.tags++
			}
			continue
		case want == wild: // Where values alone stood so far, a word costs.
			if !tok.soft {
				c.mixed++
			}
			continue
		case tok.hash == wild && !e.soft[i]:
			c.mixed++
		case tok.hash != wild && (!tok.soft || !e.soft[i]):
			return c, false
		}
		if i == 0 {
			c.mixed++
		}
	}
	return c, true
}

// grow makes the positions vary in which the line differs.
func (t *Tree) grow(e *entry, l *Line) {
	var changed [maxTokens]bool
	grew := false
	for i, tok := range l.tokens {
		if e.tokens[i] != tok.hash && (e.tokens[i] != wild || !e.soft[i]) {
			changed[i], grew = true, true
		}
	}
	if grew {
		t.widen(e, func(i int) bool { return changed[i] })
	}
}

// widen makes positions vary and puts the entry where it then belongs in the tree.
func (t *Tree) widen(e *entry, at func(int) bool) {
	t.detach(e)
	for i := range e.tokens {
		if at(i) {
			e.tokens[i], e.words[i], e.soft[i] = wild, "<*>", true
		}
	}
	e.Text = label(e.words)
	t.attach(e)
	t.row(e)
}

func (t *Tree) create(l *Line, raw []byte, now time.Time, match Match) Match {
	if t.live >= t.max && (t.full || !t.makeRoom()) {
		match.ID = Overflow
		return match
	}
	e := newEntry(l, raw, now)
	for t.byID[e.ID] != nil || e.ID <= Overflow || t.aliases[e.ID] != 0 {
		// The form was there, and has grown into another.
		e.ID = ID(mix(uint64(e.ID), 0x9e3779b97f4a7c15))
	}
	t.births++
	e.Born = t.births
	_, match.Returned = t.former[e.ID]
	t.byID[e.ID] = e
	t.attach(e)
	t.live++
	t.remember(l.seq, e)
	t.row(e)
	t.index(e)
	if t.live >= int(t.nextRun) {
		t.Merge()
		t.nextRun = int64(t.live) + max(64, int64(t.live/4))
	}
	c := e.canon()
	match.ID, match.New = c.ID, c == e && !e.gone
	match.Returned = match.Returned && match.New
	return match
}

func newEntry(l *Line, raw []byte, now time.Time) *entry {
	n := len(l.tokens)
	e := &entry{root: l.root, tokens: make([]uint64, n), soft: make([]bool, n), words: make([]string, n)}
	for i, tok := range l.tokens {
		e.tokens[i], e.soft[i], e.words[i] = tok.hash, tok.soft, "<*>"
		if tok.tag {
			e.tags |= 1 << i
		}
		if tok.hash != wild {
			e.words[i] = string(l.text[tok.from:min(tok.to, tok.from+200)])
		}
	}
	e.Template = Template{
		ID: ID(l.seq), Kind: l.Kind, Severity: l.Severity, Text: label(e.words),
		Sample: string(raw[:min(len(raw), maxSample)]), First: now, Last: now, Count: 1,
	}
	return e
}

func label(words []string) string {
	out := make([]byte, 0, 96)
	for i, word := range words {
		if word == "<*>" && i > 0 && words[i-1] == "<*>" {
			continue
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, word...)
	}
	return string(out)
}

// leafOf walks to the entry's leaf, and makes the way when asked.
func (t *Tree) leafOf(e *entry, grow bool) *node {
	key := bucketKey(e.root, len(e.tokens))
	n := t.buckets[key]
	if n == nil {
		if !grow {
			return nil
		}
		n = &node{}
		t.buckets[key] = n
	}
	for depth := 0; depth < prefixDepth && depth < len(e.tokens); depth++ {
		branch := branchKey(e.tokens[depth], e.soft[depth])
		kid := n.kids[branch]
		if kid == nil && (!grow || len(n.kids) >= maxChildren) {
			branch = wild
			kid = n.kids[branch]
		}
		if kid == nil {
			if !grow {
				return nil
			}
			if n.kids == nil {
				n.kids = map[uint64]*node{}
			}
			kid = &node{}
			n.kids[branch] = kid
		}
		n = kid
	}
	return n
}

func (t *Tree) attach(e *entry) {
	n := t.leafOf(e, true)
	n.leaf = append(n.leaf, e)
}

func (t *Tree) detach(e *entry) {
	n := t.leafOf(e, false)
	if n == nil {
		return
	}
	if i := slices.Index(n.leaf, e); i >= 0 {
		n.leaf = slices.Delete(n.leaf, i, i+1)
	}
}
