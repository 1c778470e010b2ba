package jsonshape

import (
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func (p *prover) ofChoices(node *jsonschema.Schema) (list []obligation) {
	add := func(show func(k known, at place) []Fault) {
		list = append(list, obligation{kinds: kindAny, apart: true, show: show})
	}
	if len(node.AnyOf) > 0 {
		add(func(k known, at place) []Fault { return p.fits(k, node, "anyOf", node.AnyOf, at) })
	}
	if len(node.OneOf) > 0 {
		add(func(k known, at place) []Fault { return p.fitsOne(k, node, at) })
	}
	if node.Not != nil {
		add(func(k known, at place) []Fault { return p.avoids(k, node, at) })
	}
	if node.If != nil && (node.Then != nil || node.Else != nil) {
		add(func(k known, at place) []Fault {
			if p.follows(k, node, at) {
				return nil
			}
			return []Fault{p.undecided(at, node, "if", "may not be what then and else ask for")}
		})
	}
	return list
}

// fits shows that one of the alternatives holds.
func (p *prover) fits(k known, node *jsonschema.Schema, keyword string, all []*jsonschema.Schema, at place) []Fault {
	var candidates []*jsonschema.Schema
	var last []Fault
	for _, one := range all {
		found := p.valid(k, one, at)
		if len(found) == 0 {
			return nil
		}
		if !p.empty(k.and(one), 0) {
			candidates, last = append(candidates, one), found
		}
	}
	switch len(candidates) {
	case 0:
		return []Fault{fault(k, at, pointer(node, keyword), "may be %s that fits none of the alternatives", k.kinds)}
	case 1:
		return last
	}
	return []Fault{p.undecided(at, node, keyword, fmt.Sprintf("may fit none of %d alternatives", len(all)))}
}

// fitsOne shows that exactly one holds.
func (p *prover) fitsOne(k known, node *jsonschema.Schema, at place) []Fault {
	if k.any(func(n *jsonschema.Schema) bool { return p.permuted(n.OneOf, node.OneOf) }) {
		return nil
	}
	if found := p.fits(k, node, "oneOf", node.OneOf, at); len(found) > 0 {
		return found
	}
	fitting, possible := 0, 0
	for _, one := range node.OneOf {
		if !p.empty(k.and(one), 0) {
			possible++
		}
		if len(p.valid(k, one, at)) == 0 {
			fitting++
		}
	}
	switch {
	case possible <= 1:
		return nil
	case fitting > 1:
		return []Fault{fault(k, at, pointer(node, "oneOf"), "may be %s that fits more than one of the alternatives", k.kinds)}
	}
	return []Fault{p.undecided(at, node, "oneOf", "may fit more than one of the alternatives")}
}

// permuted says that two lists hold the same schemas, in any order.
func (p *prover) permuted(a, b []*jsonschema.Schema) bool {
	if len(a) != len(b) {
		return false
	}
	left := slices.Clone(b)
	for _, one := range a {
		i := slices.IndexFunc(left, func(other *jsonschema.Schema) bool { return p.same(one, other) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

// avoids shows that what is ruled out does not hold.
func (p *prover) avoids(k known, node *jsonschema.Schema, at place) []Fault {
	if p.empty(k.and(node.Not), 0) {
		return nil
	}
	for _, n := range k.nodes {
		if n.Not != nil && len(p.valid(k.and(node.Not), n.Not, at)) == 0 {
			return nil // the writer rules out that and more
		}
	}
	if len(p.valid(k, node.Not, at)) == 0 {
		return []Fault{fault(k, at, pointer(node, "not"), "is what the reader rules out")}
	}
	return []Fault{p.undecided(at, node, "not", "may be what the reader rules out")}
}

// follows shows that then holds where if does, and else where it does not.
func (p *prover) follows(k known, node *jsonschema.Schema, at place) bool {
	holds := func(k known, schema *jsonschema.Schema) bool {
		return schema == nil || len(p.valid(k, schema, at)) == 0
	}
	then := k.and(node.If)
	if p.empty(then, 0) {
		return holds(k, node.Else)
	}
	otherwise := k
	for _, n := range k.nodes {
		if n.If == nil || !p.same(n.If, node.If) {
			continue
		}
		if n.Then != nil {
			then = then.and(n.Then)
		}
		if n.Else != nil {
			otherwise = otherwise.and(n.Else)
		}
	}
	if !holds(then, node.Then) {
		return false
	}
	return len(p.valid(k, node.If, at)) == 0 || holds(otherwise, node.Else)
}
