package jsonshape

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// dependency is what a property's being there asks for: others, or a schema.
type dependency struct {
	others []string
	schema *jsonschema.Schema
}

// dependencies lists those of a property, whichever keyword has them.
func dependencies(node *jsonschema.Schema, name string) (list []dependency) {
	switch old := node.Dependencies[name].(type) {
	case []string:
		list = append(list, dependency{others: old})
	case *jsonschema.Schema:
		list = append(list, dependency{schema: old})
	}
	if others, ok := node.DependentRequired[name]; ok {
		list = append(list, dependency{others: others})
	}
	if schema, ok := node.DependentSchemas[name]; ok {
		list = append(list, dependency{schema: schema})
	}
	return list
}

// depends says that a node has any.
func depends(node *jsonschema.Schema) bool {
	return len(node.Dependencies) > 0 || len(node.DependentRequired) > 0 || len(node.DependentSchemas) > 0
}

func (p *prover) ofDependencies(node *jsonschema.Schema) (list []obligation) {
	names := map[string]bool{}
	for name := range node.Dependencies {
		names[name] = true
	}
	for name := range node.DependentRequired {
		names[name] = true
	}
	for name := range node.DependentSchemas {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, obligation{kinds: kindObject, show: func(k known, at place) []Fault {
			if value, _ := k.property(name); p.empty(value, 0) {
				return nil
			}
			return p.depend(k, name, node, at)
		}})
	}
	return list
}

// depend shows what must hold of objects that have the property.
func (p *prover) depend(k known, name string, node *jsonschema.Schema, at place) (faults []Fault) {
	there, always := k, map[string]bool{}
	for _, n := range k.nodes {
		for _, d := range dependencies(n, name) {
			for _, other := range d.others {
				always[other] = true
			}
			if d.schema != nil {
				there = there.and(d.schema)
			}
		}
	}
	there.murky = true
	for _, d := range dependencies(node, name) {
		for _, other := range d.others {
			if !always[other] && !there.requires(other) && other != name {
				faults = append(faults, p.undecided(at, node, "", "may have \""+name+"\" without \""+other+"\", which must be there then"))
			}
		}
		if d.schema != nil {
			faults = append(faults, p.valid(there, d.schema, at)...)
		}
	}
	return faults
}
