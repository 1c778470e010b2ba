package gate

import (
	"encoding/json"
	"maps"
	"slices"
)

// node is a part of a plan, as EXPLAIN (VERBOSE, FORMAT JSON) gives it.
type node struct {
	Type      string `json:"Node Type"`
	Relation  string `json:"Relation Name"`
	Schema    string
	Alias     string
	Operation string
	Place     string `json:"Parent Relationship"`
	Plans     []node
	// rest is all of it, for the expressions.
	rest map[string]any
}

// UnmarshalJSON reads a node and keeps what has no name here.
func (n *node) UnmarshalJSON(text []byte) error {
	type plain node
	if err := json.Unmarshal(text, (*plain)(n)); err != nil {
		return err
	}
	return json.Unmarshal(text, &n.rest)
}

// each visits the nodes of a plan with the one above, nil for the first. A utility statement has no plan.
func each(plan string, visit func(n, above *node)) {
	var trees []struct{ Plan node }
	if json.Unmarshal([]byte(plan), &trees) != nil {
		return
	}
	var walk func(n, above *node)
	walk = func(n, above *node) {
		visit(n, above)
		for i := range n.Plans {
			walk(&n.Plans[i], n)
		}
	}
	for i := range trees {
		walk(&trees[i].Plan, nil)
	}
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
func planned(plan string) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	each(plan, func(n, _ *node) {
		if n.Relation == "" {
			return
		}
		full := n.Schema + "." + n.Relation
		if found[full] == nil {
			found[full] = map[string]bool{}
		}
		found[full][n.Alias] = true
	})
	return found
}

// written gives the tables that a plan writes, "schema.name", and how: "Merge" stands for several ways.
func written(plan string) map[string]string {
	found := map[string]string{}
	each(plan, func(n, _ *node) {
		if n.Operation == "" || n.Relation == "" {
			return
		}
		full := n.Schema + "." + n.Relation
		if before := found[full]; before != "" && before != n.Operation {
			n.Operation = "Merge"
		}
		found[full] = n.Operation
	})
	return found
}

// wholeRows gives the aliases of which a plan uses the row as one value ("c.*"): the server writes it so, whatever the statement says. What is only handed
// up is used above or not at all, and how many rows there are does not depend on what is in them.
func wholeRows(plan string) []string {
	var aliases []string
	each(plan, func(n, above *node) {
		handed := above != nil && above.Operation == "" && (n.Place == "Outer" || n.Place == "Inner" || n.Place == "Member")
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
func wide(plan string) []int {
	var sizes []int
	each(plan, func(n, _ *node) {
		for _, t := range n.expressions() {
			for i := range t.tokens {
				if t.is(i, "row") && t.is(i+1, "(") {
					sizes = append(sizes, t.listed(i+1))
				}
			}
		}
		key, _ := n.rest["Group Key"].([]any)
		if n.Type == "Unique" || n.Type == "SetOp" {
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
