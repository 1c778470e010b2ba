package logs

import "strings"

// inherits is by what factor the rates of a heartbeat and of what it may read now can differ.
const inherits = 1.5

// heir is a new line of the candidate that is like a heartbeat's, in the heartbeat's blocks in which that was missed.
type heir struct {
	alike         bool
	blocks, units float64
}

// hear takes what a server of the candidate says in a block for the first time in this rollout.
func (b *beat) hear(at *block, old *line, news []novelty) {
	for _, n := range news {
		h := b.heirs[n.line]
		if h == nil {
			h = &heir{alike: n.line.Severity == old.Severity && alike(old.Text, n.line.Text)}
			b.heirs[n.line] = h
		}
		if h.alike {
			at.heirs[n.line] += n.units
		}
	}
}

// inherit closes a block in which the heartbeat was missed.
func (b *beat) inherit(at *block) {
	b.due += at.others
	for l, units := range at.heirs {
		b.heirs[l].blocks++
		b.heirs[l].units += units
	}
}

// heir tells whether a line came in the heartbeat's place: in nearly all of the blocks in which that was missed, and as often.
func (b *beat) heir(l *line) bool {
	h := b.heirs[l]
	return h != nil && h.alike && h.blocks >= (1-mostEmpty)*float64(b.missed)-1 && h.units >= b.due/inherits-1 && h.units <= b.due*inherits+1
}

// merge makes one heir of two.
func (b *beat) merge(from, into *line) {
	h := b.heirs[from]
	if h == nil {
		return
	}
	delete(b.heirs, from)
	if other := b.heirs[into]; other != nil && other.alike {
		// Both may have come in the same blocks.
		h.blocks, h.units = max(h.blocks, other.blocks), h.units+other.units
		h.alike = true
	}
	b.heirs[into] = h
	for _, at := range b.servers {
		if units, ok := at.heirs[from]; ok {
			at.heirs[into] += units
			delete(at.heirs, from)
		}
	}
}

// heir is a new line of the candidate that a vanished one may have become by a change of wording: it has at least half of the words, and if
// the old one came by the clock, it comes by the same clock. What is rarer or more frequent is another line, and the heartbeat is gone.
func (j *Judge) heir(old *line) *line {
	for _, l := range j.order {
		if l == old || l.known() || l.first.IsZero() || l.units(others) > 0 || l.Severity != old.Severity || l.units(candidate) <= l.starting {
			continue
		}
		if old.beat != nil && old.beat.heir(l) || old.beat == nil && alike(old.Text, l.Text) {
			return l
		}
	}
	return nil
}

// alike tells whether two templates have half of their words in common; what only holds sentences together is no word, and one thing and several
// are the same: swept 3 abandoned carts, 3 carts that were abandoned have been swept.
func alike(a, b string) bool {
	first, second := content(a), content(b)
	common := 0
	for word := range second {
		if first[word] {
			common++
		}
	}
	return len(second) > 0 && 2*common >= max(len(first), len(second))
}

// content gives the words that a template is about, without the s of a plural; all of its words, where these are none.
func content(text string) map[string]bool {
	all, words := map[string]bool{}, map[string]bool{}
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if word == "<*>" {
			continue
		}
		all[word] = true
		switch word {
		case "a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "from", "with", "and", "or", "that", "which", "it", "this", "these", "there",
			"is", "are", "was", "were", "be", "been", "has", "have", "had", "will", "now", "just", "s":
			continue
		}
		if n := len(word); n > 3 && word[n-1] == 's' && word[n-2] != 's' {
			word = word[:n-1]
		}
		words[word] = true
	}
	if len(words) == 0 {
		return all
	}
	return words
}
