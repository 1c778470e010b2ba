package responses

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	// mostDepth is how deep documents are walked; what lies below is compared as one value.
	mostDepth = 64
	// tolerance is how far numbers with a fraction may be apart, relative to the larger one. Whole ones must be the same.
	tolerance = 1e-9
	// textKept is how long a text may be to be shown in a sample.
	textKept = 24
)

// walk compares two JSON documents. Objects are compared by key, arrays of objects by identity where they have one, other arrays by
// position. name is the key that a value stands under.
type walk struct{ found places }

func (w walk) value(path, name string, a, b any, depth int) {
	if kindOf(a) != kindOf(b) {
		w.found.add(path, KindType, kindOf(a)+" → "+kindOf(b))
		return
	}
	if depth >= mostDepth {
		if !same(a, b) {
			w.found.add(path, KindValue, "deeper than compared")
		}
		return
	}
	switch a := a.(type) {
	case map[string]any:
		w.object(path, a, b.(map[string]any), depth) //nolint:forcetypeassert // of the same kind
	case []any:
		w.array(path, name, a, b.([]any), depth) //nolint:forcetypeassert // of the same kind
	default:
		if !same(a, b) {
			w.found.add(path, KindValue, display(name, a)+" → "+display(name, b))
		}
	}
}

func (w walk) object(path string, a, b map[string]any, depth int) {
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if other, there := b[key]; there {
			w.value(step(path, key), key, a[key], other, depth+1)
		} else {
			w.found.add(step(path, key), KindMissing, display(key, a[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b)) {
		if _, there := a[key]; !there {
			w.found.add(step(path, key), KindExtra, display(key, b[key]))
		}
	}
}

func (w walk) array(path, name string, a, b []any, depth int) {
	if len(a) == len(b) && same(a, b) {
		return
	}
	if key := identity(a, b); key != "" {
		w.keyed(path+"["+key+"]", key, a, b, depth)
		return
	}
	switch {
	case len(a) == len(b) && alike(a, b):
		w.found.add(path, KindOrder, fmt.Sprintf("%d elements", len(a)))
	case len(a) == len(b):
		for i := range a {
			w.value(path+"[]", name, a[i], b[i], depth+1)
		}
	default:
		w.found.add(path, KindSize, fmt.Sprintf("%d → %d elements", len(a), len(b)))
	}
}

// keyed compares elements by identity; if their order differs as well, that is told once.
func (w walk) keyed(path, key string, a, b []any, depth int) {
	where := make(map[string]int, len(b))
	for i, element := range b {
		where[identifier(element, key)] = i
	}
	last, ordered := -1, true
	for _, element := range a {
		id := identifier(element, key)
		i, there := where[id]
		if !there {
			w.found.add(path, KindMissing, key+" "+shown(key, id, textKept))
			continue
		}
		ordered = ordered && i > last
		last = i
		w.value(path, "", element, b[i], depth+1)
		delete(where, id)
	}
	for id := range where {
		w.found.add(path, KindExtra, key+" "+shown(key, id, textKept))
	}
	if !ordered {
		w.found.add(path, KindOrder, fmt.Sprintf("%d elements", len(a)))
	}
}

// identity names the field by which the elements of two arrays can be told apart and found again, "" when there is none. Where no element
// of one is in the other, it identifies answers and not things: then position is better.
func identity(a, b []any) string {
	if len(a) == 0 || len(b) == 0 {
		return ""
	}
	for _, key := range [...]string{"id", "uuid", "key", "name"} {
		ids, unique := identifiers(a, key)
		others, uniqueToo := identifiers(b, key)
		if !unique || !uniqueToo {
			continue
		}
		for id := range ids {
			if others[id] {
				return key
			}
		}
	}
	return ""
}

func identifiers(elements []any, key string) (ids map[string]bool, unique bool) {
	ids = make(map[string]bool, len(elements))
	for _, element := range elements {
		id := identifier(element, key)
		if id == "" || ids[id] {
			return nil, false
		}
		ids[id] = true
	}
	return ids, true
}

func identifier(element any, key string) string {
	object, _ := element.(map[string]any)
	switch id := object[key].(type) {
	case string:
		return id
	case json.Number:
		return id.String()
	default:
		return ""
	}
}

// step goes one key down. Keys that look like data would make paths without end, and become {}.
func step(path, key string) string {
	switch {
	case identifies(key):
		return path + "{}"
	case key == "" || strings.ContainsAny(key, `.[]{}"$ `):
		return path + "[" + strconv.Quote(key) + "]"
	default:
		return path + "." + key
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// same says whether two values are equal.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, value := range a {
			if other, there := b[key]; !there || !same(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b)
	default:
		return a == b
	}
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	if errX != nil || errY != nil {
		return false
	}
	if whole(a) && whole(b) {
		return x == 0 && y == 0 // "-0"
	}
	return math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))
}

func whole(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }

// alike says whether two arrays of the same length have the same elements in whatever order.
func alike(a, b []any) bool {
	seed := maphash.MakeSeed()
	sum := uint64(0)
	for i := range a {
		sum += digest(seed, a[i]) - digest(seed, b[i])
	}
	return sum == 0
}

// digest is a hash of a value that does not depend on the order of keys.
func digest(seed maphash.Seed, v any) uint64 {
	switch v := v.(type) {
	case map[string]any:
		sum := uint64(len(v)) + 1
		for key, value := range v {
			sum += maphash.Comparable(seed, [2]uint64{maphash.String(seed, key), digest(seed, value)})
		}
		return maphash.Comparable(seed, sum)
	case []any:
		sum := uint64(len(v)) + 2
		for _, element := range v {
			sum = maphash.Comparable(seed, [2]uint64{sum, digest(seed, element)})
		}
		return sum
	default:
		return maphash.Comparable(seed, v)
	}
}

// display shows a value in a sample.
func display(name string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		return fmt.Sprintf("object of %d", len(v))
	case []any:
		return fmt.Sprintf("array of %d", len(v))
	case string:
		return shown(name, strconv.Quote(v), textKept+2)
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") && !secret(name) {
			return strconv.FormatFloat(f, 'g', 10, 64) // A fraction is nobody's number, however many digits it has.
		}
		return shown(name, v.String(), textKept)
	default:
		return fmt.Sprint(v)
	}
}

// shown shows a text only if it is short, and neither its name nor its looks are those of a secret: samples are kept in the journal.
func shown(name, text string, most int) string {
	const key = 16 // bytes; one word that long, with a digit in it, may be one
	lone := len(text) >= key && strings.ContainsAny(text, "0123456789") && !strings.ContainsAny(text, " /;:")
	if len(text) > most || lone || secret(name) {
		return fmt.Sprintf("(%d bytes)", len(text))
	}
	return text
}

func secret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range [...]string{
		"token", "secret", "passw", "auth", "session", "cookie", "csrf", "nonce", "apikey", "api_key", "api-key", "signature",
		"email", "phone", "iban", "card", "ssn",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
