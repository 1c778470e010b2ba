package logs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/segue-deploy/segue"
)

const (
	mostCaveatBytes = 1 << 20
	mostFaults      = 100
	caveatKeys      = "id, fingerprint, match, form, service, scope, owner, reason, ceiling, expires, rate, share"
)

// Fault is one thing that is wrong with a file of caveats. Line and Column count from 1.
type Fault struct {
	File         string
	Line, Column int
	Message      string
}

// String gives "caveats.yaml:3:5: ...".
func (f Fault) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// FaultsError is all that is wrong with a file of caveats, in its order. Its kind is segue.KindInvalid.
type FaultsError []Fault

// Error gives one line per fault.
func (f FaultsError) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes segue.KindOf see KindInvalid.
func (f FaultsError) Unwrap() error { return segue.Errorf(segue.KindInvalid, "%s", f.Error()) }

// ReadCaveats reads a file of caveats: a mapping with the list "caveats". An empty file has none. The path is for faults; they are a
// FaultsError with everything that is wrong, and then there are no caveats.
func ReadCaveats(r io.Reader, path string) ([]Caveat, error) {
	text, err := io.ReadAll(io.LimitReader(r, mostCaveatBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read caveats from %s: %w", path, err)
	}
	d := caveatReader{file: path, ids: map[string]int{}}
	if len(text) > mostCaveatBytes {
		d.fault(&yaml.Node{}, "the file has more than %d bytes", mostCaveatBytes)
	} else if root := d.parse(text); root != nil {
		d.root(root)
	}
	if len(d.faults) == 0 {
		return d.caveats, nil
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return nil, d.faults[:min(len(d.faults), mostFaults)]
}

type caveatReader struct {
	file    string
	faults  FaultsError
	caveats []Caveat
	ids     map[string]int // lines
	// column is where items of the list begin.
	column int
}

func (d *caveatReader) fault(at *yaml.Node, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: d.file, Line: max(1, at.Line), Column: max(1, at.Column), Message: fmt.Sprintf(format, args...)})
}

// parse gives the root of the only document; nil when there is none, or it is broken.
func (d *caveatReader) parse(text []byte) *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.fault(&yaml.Node{}, "not readable as YAML: %v", err)
		return nil
	}
	var document, second yaml.Node
	for _, n := range []*yaml.Node{&document, &second} {
		switch err := loader.Load(n); {
		case errors.Is(err, io.EOF):
		case err != nil:
			at := &yaml.Node{}
			if broken := (&yaml.LoadError{}); errors.As(err, &broken) {
				at.Line, at.Column = broken.Mark.Line, broken.Mark.Column
			}
			d.fault(at, "broken YAML: %v", err)
			return nil
		}
	}
	if second.Kind != 0 {
		d.fault(&second, "a second document begins here; keep all caveats in one")
	}
	if len(document.Content) != 1 || document.Content[0].Tag == "!!null" {
		return nil
	}
	return document.Content[0]
}

// root reads the file's mapping.
func (d *caveatReader) root(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		d.fault(root, `write a mapping with the list "caveats"`)
		return
	}
	d.pairs(root, func(key, value *yaml.Node) {
		switch {
		case key.Value != "caveats":
			d.fault(key, "unknown key %s; known: caveats", quote(key.Value))
		case value.Tag == "!!null":
		case value.Kind != yaml.SequenceNode:
			d.fault(value, "caveats must be a list")
		default:
			d.column = value.Column
			for _, item := range value.Content {
				d.caveat(item)
			}
		}
	})
}

// pairs gives a mapping's keys, each once.
func (d *caveatReader) pairs(n *yaml.Node, see func(key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			d.fault(key, "the key %s is here twice", quote(key.Value))
			continue
		}
		seen[key.Value] = true
		see(key, n.Content[i+1])
	}
}

// caveat reads an item of the list.
func (d *caveatReader) caveat(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, "a caveat must be a mapping with the keys %s", caveatKeys)
		return
	}
	var c Caveat
	known, at := len(d.faults), map[string]*yaml.Node{}
	d.pairs(n, func(key, value *yaml.Node) {
		at[key.Value] = value
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			d.fault(value, "%s must have a single value", quote(key.Value))
			return
		}
		if err := c.set(key.Value, value.Value); errors.Is(err, errUnknownKey) {
			d.fault(key, "unknown key %s; known: %s", quote(key.Value), caveatKeys)
		} else if err != nil {
			d.fault(value, "%s: %v", key.Value, err)
		}
	})
	for _, key := range []string{"id", "owner", "reason", "expires"} {
		if at[key] == nil {
			d.fault(n, "a caveat has no %q", key)
		}
	}
	if at["match"] == nil && at["form"] == nil && at["fingerprint"] == nil {
		d.fault(n, `a caveat needs a "fingerprint", a "match" or a "form" to say what it is about`)
	}
	if at["rate"] != nil && at["share"] != nil {
		d.fault(at["share"], `"rate" and "share" exclude each other`)
	}
	if line := d.ids[c.ID]; line > 0 && c.ID != "" {
		d.fault(at["id"], "the id %s is in line %d already", quote(c.ID), line)
	}
	d.ids[c.ID] = n.Line
	if len(d.faults) == known {
		d.caveats = append(d.caveats, c)
	}
}

var errUnknownKey = errors.New("unknown key")

// set reads the value of a key.
func (c *Caveat) set(key, value string) (err error) {
	texts := map[string]*string{
		"id": &c.ID, "fingerprint": &c.Fingerprint, "match": &c.Match, "form": &c.Form, "owner": &c.Owner, "reason": &c.Reason,
		"service": (*string)(&c.Service), "scope": &c.Scope,
	}
	if text := texts[key]; text != nil {
		if *text = value; strings.TrimSpace(value) == "" {
			return errors.New("it is empty")
		}
		switch key {
		case "service":
			_, err = segue.ParseServiceName(value)
		case "scope":
			_, err = path.Match(value, "")
		}
		return err
	}
	switch key {
	case "ceiling":
		c.Ceiling, err = number(value, 1)
	case "rate":
		c.Rate, err = number(value, 0)
	case "share":
		c.Share, err = number(value, 0)
	case "expires":
		if c.Expires, err = time.Parse(time.DateOnly, value); err != nil {
			c.Expires, err = time.Parse(time.RFC3339, value)
		}
		if err != nil {
			return fmt.Errorf("%s is no date: write it like 2026-12-31", quote(value))
		}
	default:
		return errUnknownKey
	}
	return err
}

// number reads one that is greater than least.
func number(value string, least float64) (float64, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n > least && n < 1e9) {
		return 0, fmt.Errorf("%s is no number greater than %g", quote(value), least)
	}
	return n, nil
}

// FormatCaveat adds a caveat to the text of a file, and keeps what is there, comments too.
func FormatCaveat(text []byte, c Caveat) ([]byte, error) {
	d := caveatReader{file: "caveats", ids: map[string]int{}}
	if root := d.parse(text); root != nil {
		d.root(root)
	}
	if len(d.faults) > 0 {
		return nil, fmt.Errorf("add caveat %s: %w", c.ID, d.faults)
	}
	out := bytes.Clone(text)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	if d.column == 0 {
		d.column = 3
		out = append(out, "caveats:\n"...)
	}
	indent := strings.Repeat(" ", d.column-1)
	for i, line := range c.fields() {
		mark := "  "
		if i == 0 {
			mark = "- "
		}
		out = append(out, indent+mark+line+"\n"...)
	}
	again, err := ReadCaveats(bytes.NewReader(out), "caveats")
	if err != nil || !slices.EqualFunc(again, append(d.caveats, c), sameCaveat) {
		return nil, segue.Errorf(segue.KindInvalid, "add caveat %s: the file would not say the same with it", c.ID).
			WithHint("write the file as a block list below the key caveats, which comes last, and give the caveat all that it needs: %s", caveatKeys)
	}
	return out, nil
}

func sameCaveat(a, b Caveat) bool {
	return slices.Equal(a.fields(), b.fields())
}

// fields gives the caveat line by line.
func (c *Caveat) fields() []string {
	var lines []string
	texts := []struct{ key, value string }{
		{"id", c.ID}, {"fingerprint", c.Fingerprint}, {"match", c.Match}, {"form", c.Form}, {"service", string(c.Service)}, {"scope", c.Scope}, {"owner", c.Owner}, {"reason", c.Reason},
	}
	for _, t := range texts {
		if t.value != "" {
			lines = append(lines, t.key+": "+quote(t.value))
		}
	}
	if !c.Expires.IsZero() {
		layout, at := time.RFC3339, c.Expires.UTC()
		if at.Equal(at.Truncate(24 * time.Hour)) {
			layout = time.DateOnly
		}
		lines = append(lines, "expires: "+at.Format(layout))
	}
	numbers := []struct {
		key   string
		value float64
	}{{"ceiling", c.Ceiling}, {"rate", c.Rate}, {"share", c.Share}}
	for _, n := range numbers {
		if n.value != 0 {
			lines = append(lines, n.key+": "+strconv.FormatFloat(n.value, 'f', -1, 64))
		}
	}
	return lines
}

// quote gives a text in double quotes as YAML reads it.
func quote(text string) string { return strconv.Quote(strings.ToValidUTF8(text, "\uFFFD")) }
