package jsonshape

import (
	"math/big"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// obligations lists what one node asks for; what its $ref and allOf ask for are nodes of their own.
func (p *prover) obligations(node *jsonschema.Schema) []obligation {
	if node.Bool != nil {
		if *node.Bool {
			return nil
		}
		return []obligation{{kinds: kindAny, show: func(k known, at place) []Fault {
			return []Fault{fault(k, at, pointer(node, ""), "may be there, nothing is taken there")}
		}}}
	}
	list := p.ofKinds(node)
	list = append(list, p.ofNumbers(node)...)
	list = append(list, p.ofStrings(node)...)
	list = append(list, p.ofArrays(node)...)
	list = append(list, p.ofObjects(node)...)
	return append(list, p.ofChoices(node)...)
}

func (p *prover) ofKinds(node *jsonschema.Schema) (list []obligation) {
	if typed(node) != kindAny {
		list = append(list, obligation{kinds: kindAny, show: func(k known, at place) []Fault {
			if other := p.live(k, 0) &^ typed(node); other != 0 {
				return []Fault{fault(k, at, pointer(node, "type"), "may be %s, only %s is taken", other, typed(node))}
			}
			return nil
		}})
	}
	for _, listed := range []struct {
		keyword string
		is      bool
	}{{"enum", node.Enum != nil}, {"const", node.Const != nil}} {
		if listed.is {
			list = append(list, obligation{kinds: kindAny, apart: true, show: func(k known, at place) []Fault {
				if values, finite := k.values(); finite {
					return p.validEach(values, k, node, at)
				}
				if !k.endless() {
					return []Fault{p.undecided(at, node, listed.keyword, "may be more than the values that are listed")}
				}
				return []Fault{fault(k, at, pointer(node, listed.keyword), "may be %s other than the values that are listed", k.kinds)}
			}})
		}
	}
	return list
}

// endless says that there are surely more values than any list has.
func (k known) endless() bool {
	if _, longest := k.lengths(); k.kinds&kindString != 0 && longest < 0 && !k.any(shaped) {
		return true
	}
	n := k.numbers()
	return k.kinds&kindNumber != 0 && (n.min == nil || n.max == nil)
}

// shaped says that a schema wants strings of some shape.
func shaped(s *jsonschema.Schema) bool { return s.Pattern != nil || s.Format != nil }

// interval is where numbers lie; nil bounds are none. Open bounds are not part of it.
type interval struct {
	min, max         *big.Rat
	minOpen, maxOpen bool
}

func (k known) numbers() interval {
	var all interval
	for _, node := range k.nodes {
		all = all.meet(intervalOf(node))
	}
	if k.kinds&kindFraction != 0 {
		return all
	}
	one := big.NewRat(1, 1)
	if all.min != nil {
		whole := ceil(all.min)
		if all.minOpen && whole.Cmp(all.min) == 0 {
			whole.Add(whole, one)
		}
		all.min, all.minOpen = whole, false
	}
	if all.max != nil {
		whole := ceil(new(big.Rat).Neg(all.max))
		whole.Neg(whole)
		if all.maxOpen && whole.Cmp(all.max) == 0 {
			whole.Sub(whole, one)
		}
		all.max, all.maxOpen = whole, false
	}
	return all
}

func ceil(r *big.Rat) *big.Rat {
	quotient, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return new(big.Rat).SetInt(quotient)
}

func intervalOf(node *jsonschema.Schema) interval {
	return interval{min: node.Minimum, max: node.Maximum}.
		meet(interval{min: node.ExclusiveMinimum, max: node.ExclusiveMaximum, minOpen: true, maxOpen: true})
}

// meet gives what lies in both.
func (i interval) meet(other interval) interval {
	if other.min != nil && !i.above(other.min, other.minOpen) {
		i.min, i.minOpen = other.min, other.minOpen
	}
	if other.max != nil && !i.below(other.max, other.maxOpen) {
		i.max, i.maxOpen = other.max, other.maxOpen
	}
	return i
}

// above says that all lies above a bound, or on it where that is not open.
func (i interval) above(bound *big.Rat, open bool) bool {
	if i.min == nil {
		return false
	}
	order := i.min.Cmp(bound)
	return order > 0 || order == 0 && (i.minOpen || !open)
}

// below likewise.
func (i interval) below(bound *big.Rat, open bool) bool {
	if i.max == nil {
		return false
	}
	order := i.max.Cmp(bound)
	return order < 0 || order == 0 && (i.maxOpen || !open)
}

func (i interval) empty() bool {
	if i.min == nil || i.max == nil {
		return false
	}
	order := i.min.Cmp(i.max)
	return order > 0 || order == 0 && (i.minOpen || i.maxOpen)
}

func (p *prover) ofNumbers(node *jsonschema.Schema) (list []obligation) {
	bound := func(keyword string, limit *big.Rat, relation string, within func(interval) bool) {
		if limit != nil {
			list = append(list, obligation{kinds: kindNumber, show: func(k known, at place) []Fault {
				if within(k.numbers()) {
					return nil
				}
				return []Fault{fault(k, at, pointer(node, keyword), "may be a number that is not %s %s", relation, limit.RatString())}
			}})
		}
	}
	bound("minimum", node.Minimum, "at least", func(i interval) bool { return i.above(node.Minimum, false) })
	bound("maximum", node.Maximum, "at most", func(i interval) bool { return i.below(node.Maximum, false) })
	bound("exclusiveMinimum", node.ExclusiveMinimum, "above", func(i interval) bool { return i.above(node.ExclusiveMinimum, true) })
	bound("exclusiveMaximum", node.ExclusiveMaximum, "below", func(i interval) bool { return i.below(node.ExclusiveMaximum, true) })
	if node.MultipleOf != nil {
		list = append(list, obligation{kinds: kindNumber, show: func(k known, at place) []Fault {
			divides := func(n *jsonschema.Schema) bool {
				return n.MultipleOf != nil && new(big.Rat).Quo(n.MultipleOf, node.MultipleOf).IsInt()
			}
			if k.any(divides) || k.kinds&kindFraction == 0 && new(big.Rat).Inv(node.MultipleOf).IsInt() {
				return nil
			}
			return []Fault{fault(k, at, pointer(node, "multipleOf"), "may be a number that is no multiple of %s", node.MultipleOf.RatString())}
		}})
	}
	return list
}

// lengths gives the bounds of a string; longest is -1 for none.
func (k known) lengths() (shortest, longest int) {
	return k.limits(func(s *jsonschema.Schema) (least, most *int) { return s.MinLength, s.MaxLength })
}

// limits gives the larger of all lower limits and the smaller of all upper ones; most is -1 for none.
func (k known) limits(of func(*jsonschema.Schema) (least, most *int)) (least, most int) {
	most = -1
	for _, node := range k.nodes {
		low, high := of(node)
		if low != nil {
			least = max(least, *low)
		}
		if high != nil && (most < 0 || *high < most) {
			most = *high
		}
	}
	return least, most
}

func (p *prover) ofStrings(node *jsonschema.Schema) (list []obligation) {
	add := func(keyword string, fits func(k known) bool, format string, args ...any) {
		list = append(list, obligation{kinds: kindString, show: func(k known, at place) []Fault {
			if fits(k) {
				return nil
			}
			k.murky = k.murky || k.any(shaped)
			return []Fault{fault(k, at, pointer(node, keyword), format, args...)}
		}})
	}
	if node.MinLength != nil {
		add("minLength", func(k known) bool { shortest, _ := k.lengths(); return shortest >= *node.MinLength },
			"may be a string of less than %d characters", *node.MinLength)
	}
	if node.MaxLength != nil {
		add("maxLength", func(k known) bool { _, longest := k.lengths(); return longest >= 0 && longest <= *node.MaxLength },
			"may be a string of more than %d characters", *node.MaxLength)
	}
	if node.Pattern != nil {
		add("pattern", func(k known) bool {
			return k.any(func(s *jsonschema.Schema) bool {
				return s.Pattern != nil && s.Pattern.String() == node.Pattern.String()
			})
		}, "may be a string that does not match %s", node.Pattern)
	}
	if node.Format != nil {
		add("format", func(k known) bool {
			return k.any(func(s *jsonschema.Schema) bool { return s.Format != nil && s.Format.Name == node.Format.Name })
		}, "may be a string that is not of format %s", node.Format.Name)
	}
	return list
}
