package jsonshape

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// known is what is known of a value that the writer wrote: it is valid under each of the nodes, and of one of the kinds. What of a node is not
// understood is left out, which makes the set of such values larger, never smaller: a proof for all of them holds for those that can really be.
type known struct {
	nodes []*jsonschema.Schema
	kinds kinds
	// done are alternatives that were gone through: one of each is among the nodes.
	done []alternatives
	// murky is set where something was left out: a counterexample may not exist.
	murky bool
}

// alternatives is an anyOf or oneOf of a node.
type alternatives struct {
	node *jsonschema.Schema
	one  bool
}

func (a alternatives) list() []*jsonschema.Schema {
	if a.one {
		return a.node.OneOf
	}
	return a.node.AnyOf
}

// knownOf begins with what holds of a value under schemas.
func knownOf(murky bool, schemas ...*jsonschema.Schema) known {
	return known{kinds: kindAny, murky: murky}.and(schemas...)
}

// and adds schemas that hold too, with all that they refer to and are made of.
func (k known) and(schemas ...*jsonschema.Schema) known {
	k.nodes = slices.Clone(k.nodes)
	for _, schema := range schemas {
		for _, node := range flat(schema) {
			if slices.Contains(k.nodes, node) {
				continue
			}
			k.nodes = append(k.nodes, node)
			k.kinds &= typed(node)
			if node.Bool != nil && !*node.Bool {
				k.kinds = 0
			}
			if node.MultipleOf != nil && node.MultipleOf.IsInt() {
				k.kinds &^= kindFraction
			}
			k.murky = k.murky || node.Not != nil || node.If != nil || node.UnevaluatedProperties != nil || node.UnevaluatedItems != nil
		}
	}
	return k
}

// flat gives a schema and those that hold with it: what $ref and allOf name.
func flat(schema *jsonschema.Schema) []*jsonschema.Schema {
	nodes := []*jsonschema.Schema{schema}
	for i := 0; i < len(nodes); i++ {
		for _, next := range append([]*jsonschema.Schema{nodes[i].Ref}, nodes[i].AllOf...) {
			if next != nil && !slices.Contains(nodes, next) {
				nodes = append(nodes, next)
			}
		}
	}
	return nodes
}

// open gives alternatives that were not gone through yet.
func (k known) open() (alternatives, bool) {
	for _, node := range k.nodes {
		for _, a := range []alternatives{{node, false}, {node, true}} {
			if len(a.list()) > 0 && !slices.Contains(k.done, a) {
				return a, true
			}
		}
	}
	return alternatives{}, false
}

// values lists all that the value can be, if that is a list.
func (k known) values() (list []any, finite bool) {
	for _, node := range k.nodes {
		switch {
		case node.Const != nil:
			list, finite = []any{*node.Const}, true
		case node.Enum != nil && !finite:
			list, finite = node.Enum.Values, true
		}
	}
	if !finite && k.kinds&^(kindNull|kindBoolean) == 0 {
		list, finite = []any{nil, true, false}, true
	}
	return slices.DeleteFunc(slices.Clone(list), func(value any) bool { return !k.takes(value) }), finite
}

// takes says whether a value is one of them.
func (k known) takes(value any) bool {
	return k.kinds&kindOf(value) != 0 && !slices.ContainsFunc(k.nodes, func(node *jsonschema.Schema) bool { return node.Validate(value) != nil })
}

// key names what is known, for telling whether it was met before.
func (k known) key(reader *jsonschema.Schema) string {
	names := make([]string, 0, len(k.nodes))
	for _, node := range k.nodes {
		names = append(names, fmt.Sprintf("%p", node))
	}
	slices.Sort(names)
	return fmt.Sprintf("%p %d %s", reader, k.kinds, strings.Join(names, " "))
}

// any says whether a node has something.
func (k known) any(has func(*jsonschema.Schema) bool) bool { return slices.ContainsFunc(k.nodes, has) }
