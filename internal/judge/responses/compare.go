package responses

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// mostBody is how much of a body is looked at, in bytes, decompressed.
	mostBody = 1 << 20
	// mostPlaces is how many differences of one answer are told one by one.
	mostPlaces = 500
)

// Compare lists where the candidate's answer, and those of the secondaries, differ from the primary's; by path, and each once however many
// elements of an array it is about. Without an answer of the primary there is nothing to compare with.
//
// Nothing below a difference is compared: not the header of an answer with another status, not the fields of a value with another type.
// Fields of the header that are about one answer or one connection (date, age, request ids) do not count, and of cookies only their names.
func Compare(t Triple) []Difference {
	if t.Primary.Failure != "" {
		return nil
	}
	primary := parse(t.Primary)
	found := map[place]*Difference{}
	at := func(p place, sample string) *Difference {
		d := found[p]
		if d == nil {
			d = &Difference{Path: p.path, Kind: p.kind, Sample: sample}
			found[p] = d
		}
		return d
	}
	for p, sample := range primary.differ(parse(t.Candidate)) {
		at(p, sample).Candidate = true
	}
	for _, secondary := range t.Secondaries {
		for p, sample := range primary.differ(parse(secondary)) {
			at(p, sample).Stables++
		}
	}
	list := make([]Difference, 0, len(found))
	for _, d := range found {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Difference) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind)) })
	return list
}

// place is where and how an answer differs.
type place struct{ path, kind string }

// places are those of one answer, each with a sample.
type places map[place]string

func (p places) add(path, kind, sample string) {
	at := place{path, kind}
	if _, there := p[at]; !there && len(p) >= mostPlaces {
		at, sample = place{pathBody, KindMany}, fmt.Sprintf("more than %d differences", mostPlaces)
	}
	if _, there := p[at]; !there {
		p[at] = sample
	}
}

// class is what a body is.
type class string

const (
	classEmpty  class = "empty"
	classJSON   class = "json"
	classBroken class = "invalid json"
	classText   class = "text"
	classBinary class = "binary"
	// classCut is JSON, as it seems, whose end is not there.
	classCut class = "cut json"
)

// parsed is an answer, ready to be compared.
type parsed struct {
	Answer
	header map[string]string
	class  class
	// document is the body of class JSON.
	document any
}

func parse(a Answer) parsed {
	p := parsed{Answer: a}
	if a.Failure != "" {
		return p
	}
	p.header = significant(a.Header)
	p.unpack()
	if len(p.Body) > mostBody {
		p.Body, p.Truncated = p.Body[:mostBody], true
	}
	p.classify()
	return p
}

// unpack decompresses. What cannot be decompressed is compared as it is.
func (p *parsed) unpack() {
	if p.header["content-encoding"] != "gzip" {
		return
	}
	reader, err := gzip.NewReader(bytes.NewReader(p.Body))
	if err != nil {
		return
	}
	plain, err := io.ReadAll(io.LimitReader(reader, mostBody+1))
	if err != nil && !p.Truncated {
		return
	}
	p.Body = plain
}

func (p *parsed) classify() {
	declared := strings.Contains(p.header["content-type"], "json")
	start := bytes.TrimLeft(p.Body, " \t\r\n")
	looks := len(start) > 0 && (start[0] == '{' || start[0] == '[')
	switch {
	case len(p.Body) == 0:
		p.class = classEmpty
	case (declared || looks) && p.Truncated:
		p.class = classCut
	case (declared || looks) && p.decode():
		p.class = classJSON
	case declared:
		p.class = classBroken
	case bytes.IndexByte(p.Body, 0) < 0 && (p.Truncated || utf8.Valid(p.Body)):
		p.class = classText
	default:
		p.class = classBinary
	}
}

// decode reads the body as one JSON value. encoding/json bounds its depth.
func (p *parsed) decode() bool {
	decoder := json.NewDecoder(bytes.NewReader(p.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&p.document); err != nil {
		p.document = nil
		return false
	}
	_, err := decoder.Token()
	return err == io.EOF
}

// differ compares another answer with this one.
func (p *parsed) differ(other parsed) places {
	found := places{}
	switch {
	case other.Failure != "":
		found.add(PathAnswer, KindMirror+other.Failure, other.Failure)
	case other.Status >= 500 && p.Status < 500:
		found.add(PathAnswer, KindMirror+"5xx", fmt.Sprintf("%d → %d", p.Status, other.Status))
	case other.Status != p.Status:
		found.add(PathStatus, KindStatus, fmt.Sprintf("%d → %d", p.Status, other.Status))
	default:
		differHeader(p.header, other.header, found)
		p.differBody(other, found)
	}
	return found
}

func (p *parsed) differBody(other parsed, found places) {
	switch {
	case p.class != other.class:
		found.add(PathClass, KindType, fmt.Sprintf("%s → %s", p.class, other.class))
	case p.class == classJSON:
		walk{found}.value("body:$", "", p.document, other.document, 0)
	case bytes.Equal(p.Body, other.Body) && p.Truncated == other.Truncated:
	case p.class == classBinary:
		found.add(pathBody, KindValue, sizes(p, &other))
	default:
		found.add(pathBody+".text", KindValue, sizes(p, &other))
		if shape(p.Body) != shape(other.Body) {
			found.add(pathBody+".shape", KindValue, sizes(p, &other))
		}
	}
}

func sizes(a, b *parsed) string {
	return fmt.Sprintf("%s of %d bytes → %d bytes", a.class, len(a.Body), len(b.Body))
}

// shape is a text without what changes from answer to answer: words with a digit in them, such as times, numbers and tokens.
func shape(text []byte) string {
	var out strings.Builder
	for len(text) > 0 {
		n, digit := 0, false
		for n < len(text) && inWord(text[n]) {
			digit = digit || (text[n] >= '0' && text[n] <= '9')
			n++
		}
		switch {
		case n == 0:
			out.WriteByte(text[0])
			n = 1
		case digit:
			out.WriteByte('#')
		default:
			out.Write(text[:n])
		}
		text = text[n:]
	}
	return out.String()
}

func inWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_+-.:%/", c) >= 0
}
