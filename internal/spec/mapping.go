package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// field is a key of a mapping and the struct field that it fills.
type field struct {
	name     string
	index    []int
	optional bool
	// later names what a key is known for although this version does not do it; "" for a key that works.
	later string
}

// fieldsOf lists the keys of a struct type, those of embedded structs with them. The `later` tag marks a key that is known and not supported.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		fields = append(fields, field{
			name: name, index: f.Index, later: f.Tag.Get("later"),
			optional: strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"),
		})
	}
	return fields
}

func namesOf(fields []field) []string {
	var names []string
	for _, f := range fields {
		if f.later == "" {
			names = append(names, f.name)
		}
	}
	return names
}

// mapping fills a struct: every key must be known, and every key that is needed must be there.
func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		hint := ""
		if n.Tag == "!!null" {
			hint = "give it keys, write {}, or remove it"
		}
		d.fault(path, hint, "%s must be a mapping, not %s", title(path), kindOf(n))
		return
	}
	fields := fieldsOf(v.Type())
	found := map[string]bool{}
	for _, p := range pairs(n, title(path), &d.faultList) {
		key := resolve(p.key).Value
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
		switch {
		case i < 0:
			// The key that it was likely meant to be is not missed as well.
			found[d.unknown(p.key, key, path, namesOf(fields))] = true
		case fields[i].later != "":
			d.add(placeOf(p.key), fields[i].later, "%q in %s is not supported by this version", key, title(path))
		default:
			found[key] = true
			d.keyAt[join(path, key)] = placeOf(p.key)
			d.decode(p.value, join(path, key), v.FieldByIndex(fields[i].index))
		}
	}
	for _, f := range fields {
		if !f.optional && !found[f.name] {
			d.missing(path, f.name, "")
		}
	}
}

// unknown reports a key that is not known here, and gives what it was likely meant to be, or "".
func (d *decoder) unknown(n *yaml.Node, key, path string, known []string) (meant string) {
	if len(d.faults) > 10*faultLimit {
		// Nobody will read it.
		d.add(placeOf(n), "", "unknown key in %s", title(path))
		return ""
	}
	hint := didYouMean(key, known)
	if meant = suggest(key, known); meant == "" {
		if home := homeOf(key); home != "" {
			hint = fmt.Sprintf("%q belongs in %s", key, home)
		}
	}
	if len(key) > 80 {
		key = key[:80] + "..."
	}
	d.add(placeOf(n), hint, "unknown key %q in %s", key, title(path))
	return meant
}

// homeOf finds the one block that a key belongs in; "" when there is none, or several.
func homeOf(key string) string {
	blocks := []struct {
		name string
		kind reflect.Type
	}{
		{"the file's top level", reflect.TypeFor[file]()},
		{"a database", reflect.TypeFor[databaseBlock]()},
		{"a service", reflect.TypeFor[serviceBlock]()},
		{"a service's workload", reflect.TypeFor[workloadBlock]()},
		{"a service's balancer", reflect.TypeFor[balancerBlock]()},
		{"a service's strategy", reflect.TypeFor[strategyBlock]()},
		{"a service's judges", reflect.TypeFor[judgesBlock]()},
		{"the witness", reflect.TypeFor[Witness]()},
	}
	home := ""
	for _, block := range blocks {
		if slices.Contains(namesOf(fieldsOf(block.kind)), key) {
			if home != "" {
				return ""
			}
			home = block.name
		}
	}
	return home
}
