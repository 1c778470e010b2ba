package jsonshape

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of the work on one direction. What goes beyond is undecided.
const (
	stepLimit = 100_000
	nestLimit = 256
	// emptyDepth bounds how far down a value is shown to be impossible.
	emptyDepth = 4
)

// prover shows that all a writer may write is valid for a reader.
type prover struct {
	steps int
	nest  int
	alike map[pair]bool
	// under are the questions that are being answered, with how deep in documents each was asked. To meet one again further down is an answer: what
	// holds of all smaller documents holds there. To meet it at the same place is none.
	under map[string]int
}

func newProver() *prover { return &prover{alike: map[pair]bool{}, under: map[string]int{}} }

// place is where in documents one is.
type place struct {
	pointer string
	depth   int
}

func (p place) at(name string) place {
	return place{p.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name), p.depth + 1}
}

// obligation is one thing that a reader's schema asks for.
type obligation struct {
	// kinds are those values that it is about. apart says whether each kind is shown for itself when all together fail.
	kinds kinds
	apart bool
	show  func(k known, at place) []Fault
}

func (p *prover) compare(writer, reader *jsonschema.Schema) []Fault {
	faults := p.valid(knownOf(false, writer), reader, place{})
	if p.steps > stepLimit {
		// What was found after that may be for want of looking on.
		return []Fault{p.undecided(place{}, reader, "", "takes too many steps to compare")}
	}
	return faults
}

// valid gives why a value of which so much is known may not be valid for the reader.
func (p *prover) valid(k known, reader *jsonschema.Schema, at place) []Fault {
	if p.steps++; p.steps > stepLimit || p.nest > nestLimit {
		return []Fault{p.undecided(at, reader, "", "is nested too deep to compare")}
	}
	if reader.Bool != nil && *reader.Bool || k.any(func(node *jsonschema.Schema) bool { return p.same(node, reader) }) || p.empty(k, 0) {
		return nil
	}
	key := k.key(reader)
	if depth, met := p.under[key]; met && depth < at.depth {
		return nil
	} else if met {
		return []Fault{p.undecided(at, reader, "$ref", "is described by a schema that refers to itself")}
	}
	p.under[key] = at.depth
	p.nest++
	defer func() { delete(p.under, key); p.nest-- }()

	if values, finite := k.values(); finite {
		return p.validEach(values, k, reader, at)
	}
	var faults []Fault
	for _, node := range flat(reader) {
		if k.any(func(n *jsonschema.Schema) bool { return p.same(n, node) }) {
			continue
		}
		for _, o := range p.obligations(node) {
			faults = append(faults, p.hold(k, o, at)...)
		}
	}
	return faults
}

// validEach tries all the values that there can be.
func (p *prover) validEach(values []any, k known, reader *jsonschema.Schema, at place) []Fault {
	var refused []string
	for _, value := range values {
		if reader.Validate(value) != nil {
			refused = append(refused, show(value))
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return []Fault{fault(k, at, pointer(reader, ""), "may be %s, which is refused", strings.Join(refused, " or "))}
}

// show writes a value of a schema, shortened.
func show(value any) string {
	if list, ok := value.(string); ok {
		value = fmt.Sprintf("%q", list)
	} else if value == nil {
		value = "null"
	}
	text := []rune(fmt.Sprint(value))
	if len(text) > 60 {
		return string(text[:57]) + "..."
	}
	return string(text)
}

// hold shows an obligation of something that can be: of all at once, or else of each alternative.
func (p *prover) hold(k known, o obligation, at place) []Fault {
	if k.kinds&o.kinds == 0 {
		return nil
	}
	faults := o.show(k, at)
	if len(faults) == 0 {
		return nil
	}
	cases := p.cases(k, o.apart)
	if cases == nil {
		return faults
	}
	faults = nil
	for _, one := range cases {
		if p.steps++; p.steps > stepLimit {
			return o.show(k, at)
		}
		faults = append(faults, p.hold(one, o, at)...)
	}
	return faults
}

// cases splits what is known into cases that cover it; nil for a single one.
func (p *prover) cases(k known, apart bool) []known {
	if a, ok := k.open(); ok {
		var cases []known
		for _, one := range a.list() {
			branch := k.and(one)
			branch.done = append(slices.Clone(k.done), a)
			branch.murky = branch.murky || a.one && p.overlaps(branch, one, a.list())
			if !p.empty(branch, 0) {
				cases = append(cases, branch)
			}
		}
		if cases == nil {
			return []known{}
		}
		return cases
	}
	each := k.kinds.each()
	if !apart || len(each) < 2 {
		return nil
	}
	cases := make([]known, 0, len(each))
	for _, kind := range each {
		one := k
		one.kinds = kind
		if !p.empty(one, 0) {
			cases = append(cases, one)
		}
	}
	return cases
}

// overlaps says whether one of several may hold together with another.
func (p *prover) overlaps(k known, one *jsonschema.Schema, all []*jsonschema.Schema) bool {
	return slices.ContainsFunc(all, func(other *jsonschema.Schema) bool { return other != one && !p.empty(k.and(other), 0) })
}

// empty says that no value can be: shown, not guessed.
func (p *prover) empty(k known, depth int) bool {
	if k.kinds == 0 {
		return true
	}
	if p.steps++; depth > emptyDepth || p.steps > stepLimit {
		return false
	}
	if values, finite := k.values(); finite {
		return len(values) == 0
	}
	for _, node := range k.nodes {
		if node.Not != nil && k.any(func(n *jsonschema.Schema) bool { return p.same(n, node.Not) }) {
			return true
		}
	}
	if a, ok := k.open(); ok {
		k.done = append(slices.Clone(k.done), a)
		return !slices.ContainsFunc(a.list(), func(one *jsonschema.Schema) bool { return !p.empty(k.and(one), depth+1) })
	}
	return p.live(k, depth) == 0
}

// live gives the kinds that are left when the impossible is taken away.
func (p *prover) live(k known, depth int) kinds {
	left := k.kinds
	if left&kindNumber != 0 && k.numbers().empty() {
		left &^= kindNumber
	}
	if shortest, longest := k.lengths(); longest >= 0 && shortest > longest {
		left &^= kindString
	}
	if left&kindArray != 0 && p.noArray(k, depth) {
		left &^= kindArray
	}
	if left&kindObject != 0 && p.noObject(k, depth) {
		left &^= kindObject
	}
	return left
}

func fault(k known, at place, keyword, format string, args ...any) Fault {
	f := Fault{Certainty: Breaks, Value: at.pointer, Pointer: keyword, Reason: fmt.Sprintf(format, args...)}
	if k.murky {
		f.Certainty = Undecided
	}
	return f
}

func (p *prover) undecided(at place, reader *jsonschema.Schema, keyword, reason string) Fault {
	return Fault{Value: at.pointer, Pointer: pointer(reader, keyword), Reason: reason}
}

// pointer gives the JSON Pointer of a keyword.
func pointer(s *jsonschema.Schema, keyword string) string {
	_, fragment, _ := strings.Cut(s.Location, "#")
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	if keyword != "" {
		fragment += "/" + keyword
	}
	return fragment
}
