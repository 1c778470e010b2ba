package jsonshape

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// property gives what is known of the value of a property where it is there. named is false where nobody says anything of it.
func (k known) property(name string) (value known, named bool) {
	value = knownOf(k.murky)
	for _, node := range k.nodes {
		said := false
		if schema, ok := node.Properties[name]; ok {
			value, said = value.and(schema), true
		}
		for pattern, schema := range patterned(node) {
			if pattern.MatchString(name) {
				value, said = value.and(schema), true
			}
		}
		if !said {
			said = value.further(node)
		}
		named = named || said
	}
	return value, named
}

// patterned goes through a node's patterns, always in the same order: the steps that a comparison takes must not depend on chance.
func patterned(node *jsonschema.Schema) iter.Seq2[jsonschema.Regexp, *jsonschema.Schema] {
	byText := func(a, b jsonschema.Regexp) int { return strings.Compare(a.String(), b.String()) }
	return func(yield func(jsonschema.Regexp, *jsonschema.Schema) bool) {
		for _, pattern := range slices.SortedFunc(maps.Keys(node.PatternProperties), byText) {
			if !yield(pattern, node.PatternProperties[pattern]) {
				return
			}
		}
	}
}

// further adds what a node says of the properties that it does not name; false for nothing.
func (k *known) further(node *jsonschema.Schema) bool {
	switch additional := node.AdditionalProperties.(type) {
	case bool:
		if !additional {
			k.kinds = 0
		}
		return !additional
	case *jsonschema.Schema:
		*k = k.and(additional)
		return additional.Bool == nil || !*additional.Bool
	}
	return false
}

// others gives what is known of the value of a property that nobody names, but for a pattern that it matches ("" for none) and those that it does not.
// Whether it matches further patterns is not known, and then neither whether it is an additional one.
func (k known) others(matches string, not map[string]bool) (value known, named bool) {
	value = knownOf(k.murky)
	for _, node := range k.nodes {
		said, unknown := false, false
		for pattern, schema := range patterned(node) {
			switch text := pattern.String(); {
			case text == matches && matches != "":
				value, said = value.and(schema), true
			case !not[text]:
				unknown = true
			}
		}
		switch {
		case said:
		case unknown:
			value.murky, said = true, true
		default:
			said = value.further(node)
		}
		named = named || said
	}
	return value, named
}

// propertyNames lists all properties that some node names.
func (k known) propertyNames() []string {
	names := map[string]bool{}
	for _, node := range k.nodes {
		for name := range node.Properties {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// patterns lists the patterns of all nodes.
func (k known) patterns() map[string]bool {
	texts := map[string]bool{}
	for _, node := range k.nodes {
		for pattern := range node.PatternProperties {
			texts[pattern.String()] = true
		}
	}
	return texts
}

// requires says that a property is always there.
func (k known) requires(name string) bool {
	return k.any(func(s *jsonschema.Schema) bool { return slices.Contains(s.Required, name) })
}

// required lists the properties that are always there.
func (k known) required() []string {
	names := map[string]bool{}
	for _, node := range k.nodes {
		for _, name := range node.Required {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// members gives the bounds of the number of properties; most is -1 for none.
func (k known) members() (least, most int) {
	least, most = k.limits(func(s *jsonschema.Schema) (least, most *int) { return s.MinProperties, s.MaxProperties })
	least = max(least, len(k.required()))
	if names, closed := k.closed(); closed && (most < 0 || len(names) < most) {
		most = len(names)
	}
	return least, most
}

// closed gives the names of all properties that there can be; false where others can be too.
func (k known) closed() (names []string, closed bool) {
	if value, _ := k.others("", k.patterns()); len(k.patterns()) > 0 || value.kinds != 0 {
		return nil, false
	}
	return slices.DeleteFunc(k.propertyNames(), func(name string) bool {
		value, _ := k.property(name)
		return value.kinds == 0
	}), true
}

func (p *prover) noObject(k known, depth int) bool {
	for _, name := range k.required() {
		if value, _ := k.property(name); p.empty(value, depth+1) {
			return true
		}
	}
	if !k.any(func(s *jsonschema.Schema) bool { return s.MinProperties != nil || s.MaxProperties != nil }) {
		return false
	}
	least, most := k.members()
	return most >= 0 && least > most
}

func (p *prover) ofObjects(node *jsonschema.Schema) (list []obligation) {
	add := func(show func(k known, at place) []Fault) {
		list = append(list, obligation{kinds: kindObject, show: show})
	}
	for _, name := range node.Required {
		add(func(k known, at place) []Fault {
			if k.requires(name) {
				return nil
			}
			k.murky = k.murky || k.any(depends)
			return []Fault{fault(k, at, pointer(node, "required"), "may be without %q, which is required", name)}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(node.Properties)) {
		add(func(k known, at place) []Fault { return p.member(k, name, node.Properties[name], at) })
	}
	for _, asked := range []struct {
		of   bool
		show func(k known, at place) []Fault
	}{
		{len(node.PatternProperties) > 0, func(k known, at place) []Fault { return p.matching(k, node, at) }},
		{node.AdditionalProperties != nil && node.AdditionalProperties != true, func(k known, at place) []Fault { return p.additional(k, node, at) }},
		{node.PropertyNames != nil, func(k known, at place) []Fault { return p.names(k, node, at) }},
		{node.MinProperties != nil || node.MaxProperties != nil, func(k known, at place) []Fault { return p.size(k, node, at) }},
		{says(node.UnevaluatedProperties), func(_ known, at place) []Fault {
			return []Fault{p.undecided(at, node, "unevaluatedProperties", "may have properties that are not described otherwise")}
		}},
	} {
		if asked.of {
			add(asked.show)
		}
	}
	return append(list, p.ofDependencies(node)...)
}

func (p *prover) size(k known, node *jsonschema.Schema, at place) (faults []Fault) {
	least, most := k.members()
	if node.MinProperties != nil && least < *node.MinProperties {
		faults = append(faults, fault(k, at, pointer(node, "minProperties"), "may have less than %d properties", *node.MinProperties))
	}
	if node.MaxProperties != nil && (most < 0 || most > *node.MaxProperties) {
		faults = append(faults, fault(k, at, pointer(node, "maxProperties"), "may have more than %d properties", *node.MaxProperties))
	}
	return faults
}

// member compares the value of one property.
func (p *prover) member(k known, name string, reader *jsonschema.Schema, at place) []Fault {
	value, named := k.property(name)
	faults := p.valid(value, reader, at.at(name))
	if named || len(faults) == 0 {
		return faults
	}
	return beyond(faults, Fault{
		Value: at.at(name).pointer, Pointer: pointer(reader, ""), Reason: "is not described by the writer and may be anything, the reader does not take everything",
	})
}

// beyond puts one fault in place of those that only what a schema leaves open can cause.
func beyond(faults []Fault, one Fault) []Fault {
	if slices.ContainsFunc(faults, func(f Fault) bool { return f.Certainty != Undecided }) {
		one.Certainty = Open
	}
	return []Fault{one}
}

// matching compares the values of properties whose names match the reader's patterns.
func (p *prover) matching(k known, node *jsonschema.Schema, at place) (faults []Fault) {
	for pattern, schema := range patterned(node) {
		for _, name := range k.propertyNames() {
			if pattern.MatchString(name) {
				faults = append(faults, p.member(k, name, schema, at)...)
			}
		}
		value, named := k.others(pattern.String(), nil)
		found := p.valid(value, schema, at.at("*"))
		if !named && len(found) > 0 {
			found = beyond(found, Fault{
				Value: at.at("*").pointer, Pointer: pointer(schema, ""),
				Reason: "is not described by the writer and may be anything, the reader does not take everything",
			})
		}
		faults = append(faults, found...)
	}
	return faults
}

// additional compares the values of properties that the reader does not name.
func (p *prover) additional(k known, node *jsonschema.Schema, at place) (faults []Fault) {
	check := func(value known, named bool, name string) {
		var found []Fault
		switch further := node.AdditionalProperties.(type) {
		case bool:
			if !p.empty(value, 0) {
				found = []Fault{fault(value, at.at(name), pointer(node, "additionalProperties"), "may be there, the reader takes no property that it does not name")}
			}
		case *jsonschema.Schema:
			found = p.valid(value, further, at.at(name))
		}
		if !named && len(found) > 0 {
			found = beyond(found, Fault{
				Value: at.at(name).pointer, Pointer: pointer(node, "additionalProperties"),
				Reason: "is not described by the writer and may be anything, the reader does not take everything",
			})
		}
		faults = append(faults, found...)
	}
	own := knownOf(false, node).patterns()
	for _, name := range k.propertyNames() {
		if _, ok := node.Properties[name]; ok || matchesAny(node, name) {
			continue
		}
		value, named := k.property(name)
		check(value, named, name)
	}
	none := k.patterns()
	for _, text := range slices.Sorted(maps.Keys(none)) {
		if !own[text] {
			value, named := k.others(text, own)
			value.murky = true // whether a name matches this pattern and none of the reader's is not known
			check(value, named, "*")
		}
	}
	maps.Copy(none, own)
	value, named := k.others("", none)
	check(value, named, "*")
	return faults
}

func matchesAny(node *jsonschema.Schema, name string) bool {
	for pattern := range node.PatternProperties {
		if pattern.MatchString(name) {
			return true
		}
	}
	return false
}

// names compares what properties may be called.
func (p *prover) names(k known, node *jsonschema.Schema, at place) []Fault {
	name := knownOf(true)
	name.kinds = kindString
	for _, n := range k.nodes {
		if n.PropertyNames != nil {
			name = name.and(n.PropertyNames)
		}
	}
	if len(p.valid(name, node.PropertyNames, at.at("*"))) == 0 {
		return nil
	}
	all, closed := k.closed()
	if !closed {
		return []Fault{p.undecided(at, node, "propertyNames", "may have properties with names that are not taken")}
	}
	for _, one := range all {
		if node.PropertyNames.Validate(one) != nil {
			return []Fault{fault(k, at.at(one), pointer(node, "propertyNames"), "may be there, that name is not taken")}
		}
	}
	return nil
}
