package spec

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds on a document, against files that are made to exhaust whoever reads them.
const (
	// sizeLimit is in bytes.
	sizeLimit = 1 << 20
	// nodeLimit counts the nodes of the document with every alias replaced by what it stands for.
	nodeLimit = 100_000
	// depthLimit bounds nesting.
	depthLimit = 64
)

// parseDocument reads text as one YAML document and gives its root; nil after a fault. What it gives is a finite, bounded tree, aliases included.
func parseDocument(text []byte, faults *faultList) *yaml.Node {
	if !checkText(text, faults) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(shield(text)))
	if err != nil {
		faults.add(position{}, "", "not readable as YAML: %v", err)
		return nil
	}
	var document, second yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		faults.add(position{}, "run `segue init` for a file to begin with", "the file is empty")
		return nil
	} else if err != nil {
		addBroken(faults, text, err)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		faults.add(placeOf(&second), "keep one project per file, and pick the file with -f", "a second document begins here")
		return nil
	} else if !errors.Is(err, io.EOF) {
		addBroken(faults, text, err)
		return nil
	}
	if len(document.Content) != 1 || document.Content[0].Tag == "!!null" {
		faults.add(position{}, "run `segue init` for a file to begin with", "the file is empty")
		return nil
	}
	root := document.Content[0]
	count := 0
	if !checkTree(root, &count, nil, faults) {
		return nil
	}
	unshield(root)
	return root
}

// checkText refuses what is too large, no UTF-8, or has control characters, and says where.
func checkText(text []byte, faults *faultList) bool {
	if len(text) > sizeLimit {
		faults.add(position{}, "", "the file has %d bytes, of %d at most", len(text), sizeLimit)
		return false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			faults.add(place(text, i), "save the file as UTF-8", "this byte (0x%02x) is no UTF-8", text[i])
			return false
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f, r == shieldOpen, r == shieldClose:
			faults.add(place(text, i), "remove it, or write it as an escape in double quotes", "a control character (U+%04X)", r)
			return false
		}
		i += size
	}
	return true
}

// place turns a byte offset into a position.
func place(text []byte, offset int) position {
	before := text[:offset]
	line := bytes.Count(before, []byte("\n"))
	start := bytes.LastIndexByte(before, '\n') + 1
	return position{line: line + 1, column: utf8.RuneCount(before[start:]) + 1}
}

func placeOf(n *yaml.Node) position { return position{line: n.Line, column: n.Column} }

// addBroken reports what the YAML parser could not read.
func addBroken(faults *faultList, text []byte, err error) {
	var failure *yaml.LoadError
	if !errors.As(err, &failure) {
		faults.add(position{}, "", "not readable as YAML: %v", err)
		return
	}
	at := position{line: failure.Mark.Line, column: failure.Mark.Column}
	message := failure.Message
	if failure.ContextMsg != "" {
		message = failure.ContextMsg + ": " + message
	}
	hint := ""
	if line := lineAt(text, at.line); strings.Contains(line[:len(line)-len(strings.TrimLeft(line, " \t"))], "\t") {
		hint = "indent with spaces: YAML takes no tabs"
	}
	faults.add(at, hint, "broken YAML: %s", message)
}

// lineAt gives a line of the text, from 1; "" when there is none.
func lineAt(text []byte, number int) string {
	for line := range bytes.Lines(text) {
		if number--; number == 0 {
			return string(line)
		}
	}
	return ""
}

// checkTree bounds the tree, as it is with aliases replaced, in number and depth, and refuses an alias within what it stands for. open holds the
// nodes that lead here.
func checkTree(n *yaml.Node, count *int, open []*yaml.Node, faults *faultList) bool {
	if *count++; *count > nodeLimit {
		faults.add(placeOf(n), "aliases count as often as they are used", "the document has more than %d nodes", nodeLimit)
		return false
	}
	if len(open) > depthLimit {
		faults.add(placeOf(n), "", "nested more than %d deep", depthLimit)
		return false
	}
	if slices.Contains(open, n) {
		faults.add(placeOf(n), "", "the anchor &%s contains itself", n.Anchor)
		return false
	}
	open = append(open, n)
	if n.Kind == yaml.AliasNode {
		return checkTree(n.Alias, count, open, faults)
	}
	for _, child := range n.Content {
		if !checkTree(child, count, open, faults) {
			return false
		}
	}
	return true
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// pair is one key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// pairs gives a mapping's keys and values in order, with merge keys (<<) replaced by what they stand for, and reports keys that are no text or stand there
// twice. Own keys go before merged ones.
func pairs(n *yaml.Node, where string, faults *faultList) []pair {
	var own []pair
	var merged []*yaml.Node
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			faults.add(placeOf(n.Content[i]), "", "a key in %s is no text", where)
		case first[key.Value] > 0:
			faults.add(placeOf(n.Content[i]), "", "key %q stands twice in %s, first in line %d", key.Value, where, first[key.Value])
		default:
			first[key.Value] = max(n.Content[i].Line, 1)
			own = append(own, pair{n.Content[i], value})
		}
	}
	for _, value := range merged {
		sources := []*yaml.Node{value}
		if r := resolve(value); r.Kind == yaml.SequenceNode {
			sources = r.Content
		}
		for _, source := range sources {
			if resolve(source).Kind != yaml.MappingNode {
				faults.add(placeOf(source), "", "a merge key (<<) in %s needs a mapping", where)
				continue
			}
			for _, p := range pairs(resolve(source), where, faults) {
				if name := resolve(p.key).Value; first[name] == 0 {
					first[name] = max(p.key.Line, 1)
					own = append(own, p)
				}
			}
		}
	}
	return own
}
