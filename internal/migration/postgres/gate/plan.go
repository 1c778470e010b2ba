package gate

import (
	"encoding/json"
	"maps"
	"slices"
)

// plan is what EXPLAIN (VERBOSE, FORMAT JSON) gives of a statement. It is read when it is first asked for: most are not.
type plan struct {
	text  string
	tops  []node
	ready bool
}

// node is a part of a plan.
type node struct {
	kind, relation, schema, alias, operation string
	// place is how it stands to the one above.
	place string
	below []node
	// rest is all of it, for the expressions.
	rest map[string]any
}

func newNode(of map[string]any) node {
	text := func(key string) string {
		value, _ := of[key].(string)
		return value
	}
	n := node{
		kind: text("Node Type"), relation: text("Relation Name"), schema: text("Schema"), alias: text("Alias"), operation: text("Operation"),
		place: text("Parent Relationship"), rest: of,
	}
	below, _ := of["Plans"].([]any)
	for _, one := range below {
		if of, ok := one.(map[string]any); ok {
			n.below = append(n.below, newNode(of))
		}
	}
	return n
}

// each visits the nodes of a plan with the one above, nil for the first. A utility statement has no plan.
func (p *plan) each(visit func(n, above *node)) {
	if p == nil {
		return
	}
	if !p.ready {
		p.ready = true
		var trees []struct{ Plan map[string]any }
		if json.Unmarshal([]byte(p.text), &trees) == nil {
			for _, tree := range trees {
				p.tops = append(p.tops, newNode(tree.Plan))
			}
		}
	}
	var walk func(n, above *node)
	walk = func(n, above *node) {
		visit(n, above)
		for i := range n.below {
			walk(&n.below[i], n)
		}
	}
	for i := range p.tops {
		walk(&p.tops[i], nil)
	}
}

// same says whether two plans are, word for word.
func (p *plan) same(other *plan) bool {
	return p == other || p != nil && other != nil && p.text == other.text
}

// expressions gives what a node computes, in an order that does not change.
func (n *node) expressions() []text {
	var found []text
	for _, key := range slices.Sorted(maps.Keys(n.rest)) {
		switch value := n.rest[key].(type) {
		case string:
			found = append(found, read(value))
		case []any:
			for _, one := range value {
				if expression, ok := one.(string); ok {
					found = append(found, read(expression))
				}
			}
		}
	}
	return found
}

// planned gives the relations in a plan, "schema.name", each with the aliases it goes by.
func planned(p *plan) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	p.each(func(n, _ *node) {
		if n.relation == "" {
			return
		}
		full := n.schema + "." + n.relation
		if found[full] == nil {
			found[full] = map[string]bool{}
		}
		found[full][n.alias] = true
	})
	return found
}

// written gives the tables that a plan writes, "schema.name", and how: "Merge" stands for several ways.
func written(p *plan) map[string]string {
	found := map[string]string{}
	p.each(func(n, _ *node) {
		if n.operation == "" || n.relation == "" {
			return
		}
		full := n.schema + "." + n.relation
		if before := found[full]; before != "" && before != n.operation {
			n.operation = "Merge"
		}
		found[full] = n.operation
	})
	return found
}

// wholeRows gives the aliases of which a plan uses the row as one value ("c.*"): the server writes it so, whatever the statement says. What is only handed
// up is used above or not at all, and how many rows there are does not depend on what is in them.
func wholeRows(p *plan) []string {
	var aliases []string
	p.each(func(n, above *node) {
		handed := above != nil && above.operation == "" && (n.place == "Outer" || n.place == "Inner" || n.place == "Member")
		for _, expression := range n.expressions() {
			for i := range expression.tokens {
				if !expression.is(i, "*") || !expression.is(i-1, ".") || !expression.name(i-2) {
					continue
				}
				counted := expression.is(i-4, "count") && expression.is(i-3, "(") && expression.is(i+1, ")")
				if bare := handed && len(expression.tokens) == 3; !counted && !bare {
					aliases = append(aliases, expression.at(i-2).Value())
				}
			}
		}
	})
	return aliases
}

// wide gives the sizes of what a plan makes or compares whole: rows of columns, ROW(a, b), and the keys of DISTINCT and UNION.
func wide(p *plan) []int {
	var sizes []int
	p.each(func(n, _ *node) {
		for _, t := range n.expressions() {
			for i := range t.tokens {
				if t.is(i, "row") && t.is(i+1, "(") {
					sizes = append(sizes, t.listed(i+1))
				}
			}
		}
		key, _ := n.rest["Group Key"].([]any)
		if n.kind == "Unique" || n.kind == "SetOp" {
			key, _ = n.rest["Output"].([]any)
		}
		if len(key) > 0 {
			sizes = append(sizes, -len(key))
		}
	})
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// listed counts what a bracketed list that begins at i has.
func (t text) listed(i int) int {
	size := 1
	for j := i + 1; j < t.over(i)-1; j = max(t.over(j), j+1) {
		if t.is(j, ",") {
			size++
		}
	}
	return size
}
