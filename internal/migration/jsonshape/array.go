package jsonshape

import (
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// tuple gives what a node says of elements by position, and of those after; rest is nil where it says nothing. closed is set where there are none after.
func tuple(node *jsonschema.Schema) (first []*jsonschema.Schema, rest *jsonschema.Schema, closed bool) {
	if node.DraftVersion >= 2020 {
		return node.PrefixItems, node.Items2020, false
	}
	switch items := node.Items.(type) {
	case *jsonschema.Schema:
		return nil, items, false
	case []*jsonschema.Schema:
		switch more := node.AdditionalItems.(type) {
		case bool:
			return items, nil, !more
		case *jsonschema.Schema:
			return items, more, false
		}
		return items, nil, false
	}
	return nil, nil, false
}

// item gives what is known of the element at an index.
func (k known) item(index int) known {
	element := knownOf(k.murky)
	for _, node := range k.nodes {
		first, rest, closed := tuple(node)
		switch {
		case index < len(first):
			element = element.and(first[index])
		case closed:
			element.kinds = 0
		case rest != nil:
			element = element.and(rest)
		}
	}
	return element
}

// named gives how many elements some node has its own word for.
func (k known) named() (n int) {
	for _, node := range k.nodes {
		first, _, _ := tuple(node)
		n = max(n, len(first))
	}
	return n
}

// count gives the bounds of an array's length; most is -1 for none.
func (p *prover) count(k known, depth int) (least, most int) {
	least, most = k.limits(func(s *jsonschema.Schema) (least, most *int) { return s.MinItems, s.MaxItems })
	for i := range k.named() + 1 {
		if most >= 0 && i >= most {
			break
		}
		if p.empty(k.item(i), depth+1) {
			return least, i
		}
	}
	return least, most
}

func (p *prover) noArray(k known, depth int) bool {
	least, most := p.count(k, depth)
	return most >= 0 && least > most
}

func (p *prover) ofArrays(node *jsonschema.Schema) (list []obligation) {
	first, rest, closed := tuple(node)
	for _, asked := range []struct {
		of   bool
		show func(k known, at place) []Fault
	}{
		{len(first) > 0 || rest != nil || closed, func(k known, at place) []Fault { return p.elements(k, node, at) }},
		{node.MinItems != nil || node.MaxItems != nil, func(k known, at place) []Fault { return p.length(k, node, at) }},
		{node.UniqueItems, func(k known, at place) []Fault { return p.unique(k, node, at) }},
		{node.Contains != nil, func(k known, at place) []Fault { return p.contains(k, node, at) }},
		{says(node.UnevaluatedItems), func(_ known, at place) []Fault {
			return []Fault{p.undecided(at, node, "unevaluatedItems", "may have elements that are not described otherwise")}
		}},
	} {
		if asked.of {
			list = append(list, obligation{kinds: kindArray, show: asked.show})
		}
	}
	return list
}

// says is whether a schema asks for anything.
func says(s *jsonschema.Schema) bool { return s != nil && (s.Bool == nil || !*s.Bool) }

func (p *prover) length(k known, node *jsonschema.Schema, at place) (faults []Fault) {
	least, most := p.count(k, 0)
	if node.MinItems != nil && least < *node.MinItems {
		faults = append(faults, fault(k, at, pointer(node, "minItems"), "may be an array of less than %d elements", *node.MinItems))
	}
	if node.MaxItems != nil && (most < 0 || most > *node.MaxItems) {
		faults = append(faults, fault(k, at, pointer(node, "maxItems"), "may be an array of more than %d elements", *node.MaxItems))
	}
	return faults
}

func (p *prover) unique(k known, node *jsonschema.Schema, at place) []Fault {
	if _, most := p.count(k, 0); most == 0 || most == 1 || k.any(func(s *jsonschema.Schema) bool { return s.UniqueItems }) {
		return nil
	}
	return []Fault{fault(k, at, pointer(node, "uniqueItems"), "may hold an element twice")}
}

func (p *prover) contains(k known, node *jsonschema.Schema, at place) []Fault {
	if p.containsEnough(k, node, at) && p.containsFew(k, node, at) {
		return nil
	}
	return []Fault{p.undecided(at, node, "contains", "may not hold as many of the elements that are asked for")}
}

// elements compares them one by one where somebody tells them apart, and the others together.
func (p *prover) elements(k known, node *jsonschema.Schema, at place) (faults []Fault) {
	first, rest, closed := tuple(node)
	_, most := p.count(k, 0)
	last := max(len(first), k.named())
	for i := range last + 1 {
		if most >= 0 && i >= most {
			break
		}
		name := strconv.Itoa(i)
		if i == last {
			name = "*"
		}
		switch {
		case i < len(first):
			faults = append(faults, p.valid(k.item(i), first[i], at.at(name))...)
		case closed:
			return append(faults, fault(k, at, pointer(node, "additionalItems"), "may be an array of more than %d elements", len(first)))
		case rest != nil:
			faults = append(faults, p.valid(k.item(i), rest, at.at(name))...)
		}
	}
	return faults
}

// containsEnough says that at least as many elements as asked for are of the kind that is.
func (p *prover) containsEnough(k known, node *jsonschema.Schema, at place) bool {
	wanted := least(node)
	if wanted == 0 {
		return true
	}
	for _, n := range k.nodes {
		if n.Contains != nil && least(n) >= wanted && len(p.valid(knownOf(true, n.Contains), node.Contains, at.at("*"))) == 0 {
			return true
		}
	}
	if fewest, _ := p.count(k, 0); fewest < wanted {
		return false
	}
	for i := range k.named() + 1 {
		if len(p.valid(k.item(i), node.Contains, at.at("*"))) > 0 {
			return false
		}
	}
	return true
}

// containsFew says that no more are.
func (p *prover) containsFew(k known, node *jsonschema.Schema, at place) bool {
	if node.MaxContains == nil {
		return true
	}
	if _, most := p.count(k, 0); most >= 0 && most <= *node.MaxContains {
		return true
	}
	return k.any(func(n *jsonschema.Schema) bool {
		return n.Contains != nil && n.MaxContains != nil && *n.MaxContains <= *node.MaxContains &&
			len(p.valid(knownOf(true, node.Contains), n.Contains, at.at("*"))) == 0
	})
}

// least is how many elements must match contains.
func least(node *jsonschema.Schema) int {
	if node.MinContains != nil {
		return *node.MinContains
	}
	return 1
}
