package template

import (
	"bytes"
	"math/bits"
)

// A token's hash is its word's; these two are no word's.
const (
	wild    uint64 = 1 // varies
	softKey uint64 = 2 // any soft word, where the tree branches
)

// maxTokens is what a template looks at; what follows is not told apart.
const maxTokens = 64

// maxTagged is how many tokens from the beginning may be tags.
const maxTagged = 4

// token is a word of the line, or a run of values.
type token struct {
	hash     uint64
	from, to int32 // in Line.text
	// soft: a name or identifier rather than a word of prose, so it may differ within one template.
	soft bool
	// tag: a word near the beginning that a colon follows: who speaks, not what is said.
	tag bool
	// number: a value that ends in a number, so a unit may follow.
	number bool
}

// Line is a parsed event: reuse it, its buffers stay.
type Line struct {
	Kind     Kind
	Severity Severity

	text   []byte
	tokens []token
	listed int    // up to here words stand in brackets
	root   uint64 // of kind, severity and logger: each has templates of its own
	seq    uint64 // of root and all tokens
}

// String shows the line masked: words, <*> for what varies.
func (l *Line) String() string {
	out := make([]byte, 0, 128)
	for i, t := range l.tokens {
		if i > 0 {
			out = append(out, ' ')
		}
		if t.hash == wild {
			out = append(out, "<*>"...)
		} else {
			out = append(out, l.text[t.from:t.to]...)
		}
	}
	return string(out)
}

func (l *Line) reset() {
	l.Kind, l.Severity = Plain, Unknown
	l.text, l.tokens, l.listed, l.root, l.seq = l.text[:0], l.tokens[:0], 0, 0, 0
}

func (l *Line) word(text []byte, from, to int, soft bool) {
	tag := len(l.tokens) < maxTagged && tagged(text, to)
	// getTasks: and getProcesses: are who speaks, and what a line begins with is what happened, however they look.
	soft = soft && (!tag && !l.begins() || bytes.IndexByte(text[from:to], '.') >= 0)
	l.tokens = append(l.tokens, token{hash: hashBytes(text[from:to]), from: int32(from), to: int32(to), soft: soft, tag: tag})
}

// begins reports whether nothing but values and tags was read so far.
func (l *Line) begins() bool {
	for _, t := range l.tokens {
		if t.hash != wild && !t.tag {
			return false
		}
	}
	return true
}

// inHeader reports whether nothing but values, and a level, was read so far.
func (l *Line) inHeader() bool {
	for _, t := range l.tokens {
		if t.hash != wild && severityName(l.text[t.from:t.to]) == Unknown {
			return false
		}
	}
	return len(l.tokens) > 0 || l.Severity != Unknown
}

// follows reports whether a value ends right before i.
func (l *Line) follows(i int) bool {
	n := len(l.tokens)
	return n > 0 && l.tokens[n-1].hash == wild && int(l.tokens[n-1].to) == i
}

// tagged reports whether ": ", "[12]: " or, after blanks, ": " or "- " stands at i.
func tagged(text []byte, i int) bool {
	if i < len(text) && text[i] == ' ' {
		for i < len(text) && text[i] == ' ' {
			i++
		}
		return i+1 < len(text) && (text[i] == ':' || text[i] == '-') && text[i+1] == ' '
	}
	if i < len(text) && text[i] == '[' {
		for i++; i < len(text) && isDigit(text[i]); i++ {
		}
		if i == len(text) || text[i] != ']' {
			return false
		}
		i++
	}
	return i < len(text) && text[i] == ':' && (i+1 == len(text) || text[i+1] == ' ')
}

// value adds what varies; runs of values are one, so lists of any length are alike.
func (l *Line) value(from, to int, number bool) {
	if n := len(l.tokens); n > 0 && l.tokens[n-1].hash == wild {
		l.tokens[n-1].to, l.tokens[n-1].number = int32(to), number
		return
	}
	l.tokens = append(l.tokens, token{hash: wild, from: int32(from), to: int32(to), number: number})
}

// hide turns words into values.
func (l *Line) hide(words map[uint64]struct{}) {
	if len(words) == 0 {
		return
	}
	hidden := false
	tokens := l.tokens
	l.tokens = l.tokens[:0]
	for _, t := range tokens {
		if _, ok := words[t.hash]; ok {
			hidden = true
			l.value(int(t.from), int(t.to), false)
		} else if t.hash == wild {
			l.value(int(t.from), int(t.to), t.number)
		} else {
			l.tokens = append(l.tokens, t)
		}
	}
	if hidden {
		l.chain(l.root)
	}
}

// seal computes the hash of the whole.
func (l *Line) seal() {
	l.root = mix(l.root^uint64(l.Kind)<<8^uint64(l.Severity), 0x9e3779b97f4a7c15)
	l.chain(l.root)
}

func (l *Line) chain(h uint64) {
	for _, t := range l.tokens {
		h = mix(h^t.hash, 0xa0761d6478bd642f)
	}
	l.seq = h
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a|1<<63, b)
	return hi ^ lo ^ a
}

// hashBytes is a hash that stays the same in every process and release: template ids are made of it.
func hashBytes(p []byte) uint64 {
	h := uint64(len(p)) * 0xe7037ed1a0b428db
	for len(p) >= 8 {
		h = mix(h^le64(p), 0x8ebc6af09c88c6e3)
		p = p[8:]
	}
	var rest uint64
	for i, c := range p {
		rest |= uint64(c) << (8 * i)
	}
	h = mix(h^rest, 0x589965cc75374cc3)
	if h <= softKey {
		h += 3
	}
	return h
}

func le64(p []byte) uint64 {
	_ = p[7]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 | uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}
