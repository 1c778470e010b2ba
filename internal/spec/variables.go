package spec

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Variables lists the variables that a file's values name as ${NAME} or ${NAME:-default}, each once, sorted: all that Parse will look up. A file
// that is no YAML names none.
func Variables(text []byte) []string {
	root := parseDocument(text, &faultList{})
	if root == nil {
		return nil
	}
	names := map[string]bool{}
	expandTree(root, text, &faultList{}, func(name string) (string, bool) {
		names[name] = true
		return "", true
	})
	return slices.Sorted(maps.Keys(names))
}

// expansion is a value that variables stood in.
type expansion struct {
	// raw is the value as written, text as it is with the variables' values in their places.
	raw, text string
}

// expansions are the values of a document that variables stood in, and the variables' values: secrets, all of them.
type expansions struct {
	values  map[*yaml.Node]expansion
	secrets map[string]string // by value: the variable as written
	// broken are the values that have no text, because of a fault.
	broken map[*yaml.Node]bool
}

// text gives a scalar's value with its variables replaced.
func (e expansions) text(n *yaml.Node) string {
	if x, ok := e.values[n]; ok {
		return x.text
	}
	return n.Value
}

// hide takes the values of variables out of a sentence. Short ones stay: they are no secrets, and the sentence would suffer.
func (e expansions) hide(sentence string) string {
	const shortest = 6
	// The longest first: one value may be part of another.
	for _, value := range slices.SortedFunc(maps.Keys(e.secrets), func(a, b string) int { return len(b) - len(a) }) {
		if len(value) >= shortest {
			sentence = strings.ReplaceAll(sentence, value, e.secrets[value])
		}
	}
	return sentence
}

// expandTree replaces the variables in every scalar value below n; keys stay as they are. Every variable that is not set is a fault of its own.
func expandTree(n *yaml.Node, text []byte, faults *faultList, lookup func(string) (string, bool)) expansions {
	e := expander{
		text: text, faults: faults, lookup: lookup,
		expansions: expansions{values: map[*yaml.Node]expansion{}, secrets: map[string]string{}, broken: map[*yaml.Node]bool{}},
	}
	e.walk(n)
	return e.expansions
}

type expander struct {
	expansions
	text   []byte
	faults *faultList
	lookup func(string) (string, bool)
	// uses and size bound the work and what comes out of it.
	uses, size int
}

// usesLimit bounds how often variables stand in a file.
const usesLimit = 1000

// walk visits the nodes as written: what aliases stand for is visited where it stands.
func (e *expander) walk(n *yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "${") {
			before := len(e.faults.faults)
			e.expand(n)
			e.broken[n] = len(e.faults.faults) > before
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			e.walk(n.Content[i])
		}
	case yaml.SequenceNode:
		for _, child := range n.Content {
			e.walk(child)
		}
	default:
	}
}

// expand replaces ${NAME} and ${NAME:-default}; $${ stands for a plain ${.
func (e *expander) expand(n *yaml.Node) {
	offset := e.offset(placeOf(n))
	var out strings.Builder
	for rest := n.Value; rest != ""; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if e.uses++; e.uses > usesLimit {
			if e.uses == usesLimit+1 {
				e.faults.add(placeOf(n), "", "variables stand in more than %d places", usesLimit)
			}
			return
		}
		// Where this one stands in the file: the next "${" from the last one on.
		if j := bytes.Index(e.text[offset:], []byte("${")); j >= 0 {
			offset += j
		}
		at := place(e.text, offset)
		offset = min(offset+2, len(e.text))
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		body, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			e.faults.add(at, "close it with }, or write $${ for a plain ${", "a variable is not closed")
			return
		}
		rest = after
		out.WriteString(e.value(body, at))
	}
	if e.size += out.Len(); e.size > sizeLimit {
		e.faults.add(placeOf(n), "", "with its variables replaced the file has more than %d bytes", sizeLimit)
		return
	}
	e.values[n] = expansion{raw: n.Value, text: out.String()}
}

// value gives what stands for ${body}.
func (e *expander) value(body string, at position) string {
	name, fallback, hasFallback := strings.Cut(body, ":-")
	if strings.Contains(fallback, "${") {
		e.faults.add(at, "", "a variable within the default of ${%s:-...}: that does not go", name)
		return ""
	}
	if !variableName.MatchString(name) {
		e.faults.add(at, "write ${NAME}, ${NAME:-default}, or $${ for a plain ${", "%q is no name of a variable", name)
		return ""
	}
	value, ok := e.lookup(name)
	if hasFallback && value == "" {
		return fallback
	}
	if !ok {
		e.faults.add(at, "set it in the environment, or write ${"+name+":-default}", "variable %s is not set", name)
		return ""
	}
	if value != "" {
		e.secrets[value] = "${" + name + "}"
	}
	return value
}

// offset turns a position into a byte offset.
func (e *expander) offset(at position) int {
	offset := 0
	for line := range bytes.Lines(e.text) {
		if at.line--; at.line <= 0 {
			for i := range string(line) {
				if at.column--; at.column <= 0 {
					return offset + i
				}
			}
			return offset
		}
		offset += len(line)
	}
	return 0
}
