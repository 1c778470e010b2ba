package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/segue-deploy/segue"
)

// textValue is a scalar with a form of its own.
type textValue interface {
	// parseText reads it. Its error says what is wrong with the text, and may carry a hint.
	parseText(text string) error
}

// nodeValue is what may be written in more than one way.
type nodeValue interface {
	readNode(d *decoder, n *yaml.Node, path string)
}

// decoder fills Go values from nodes, and collects every fault on the way. Keys are the fields' JSON names; a field without omitempty or omitzero must be
// there.
type decoder struct {
	faultList
	expansions
	// values and keys are the places of what was read, by path ("services.web.strategy.batches[1]").
	valueAt, keyAt map[string]position
	// failed are the paths that have their fault: what follows from it is not reported as well.
	failed map[string]bool
}

func newDecoder(file string) *decoder {
	return &decoder{
		faultList: faultList{file: file},
		valueAt:   map[string]position{}, keyAt: map[string]position{}, failed: map[string]bool{},
	}
}

// at gives the place of a value, or of the nearest thing around it.
func (d *decoder) at(path string) position {
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if at, ok := d.valueAt[path]; ok {
			return at
		}
	}
	return position{}
}

// fault reports what is wrong with the value at a path, the first time only. Values of variables are kept out of it.
func (d *decoder) fault(path, hint, format string, args ...any) {
	if d.failed[path] {
		return
	}
	d.failed[path] = path != ""
	d.add(d.at(path), d.hide(hint), "%s", d.hide(fmt.Sprintf(format, args...)))
}

// missing reports that a mapping lacks a key, where the mapping's own key stands.
func (d *decoder) missing(path, key, hint string) {
	if d.failed[path] {
		return
	}
	at, ok := d.keyAt[path]
	if !ok {
		at = d.at(path)
	}
	d.add(at, hint, "%s has no %q", title(path), key)
}

// title names a path in a sentence.
func title(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// kindOf names a node's kind in a sentence.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	}
	return strconv.Quote(n.Value)
}

// decode fills v from n.
func (d *decoder) decode(n *yaml.Node, path string, v reflect.Value) {
	if _, ok := d.valueAt[path]; !ok {
		d.valueAt[path] = placeOf(n)
	}
	n = resolve(n)
	if custom, ok := reflect.TypeAssert[nodeValue](v.Addr()); ok {
		custom.readNode(d, n, path)
		return
	}
	if custom, ok := reflect.TypeAssert[textValue](v.Addr()); ok {
		if text, ok := d.scalar(n, path); ok {
			d.check(n, path, custom.parseText(text))
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.decode(n, path, fresh.Elem())
		v.Set(fresh)
	case reflect.Struct:
		d.mapping(n, path, v)
	case reflect.Map:
		d.table(n, path, v)
	case reflect.Slice:
		d.sequence(n, path, v)
	case reflect.Interface:
		v.Set(reflect.ValueOf(d.plain(n, path)))
	default:
		if text, ok := d.scalar(n, path); ok {
			d.primitive(n, path, text, v)
		}
	}
}

// scalar gives a scalar's text, with variables replaced.
func (d *decoder) scalar(n *yaml.Node, path string) (string, bool) {
	switch {
	case d.broken[n]:
		d.failed[path] = true
		return "", false
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		d.fault(path, `give it one, write "" for an empty one, or remove the key`, "%s has no value", path)
		return "", false
	case n.Kind != yaml.ScalarNode:
		d.fault(path, "", "%s must be a single value, not %s", path, kindOf(n))
		return "", false
	}
	return d.text(n), true
}

// check reports a parse error. What came from variables is shown as it was written.
func (d *decoder) check(n *yaml.Node, path string, err error) {
	if err == nil {
		return
	}
	message, hint := err.Error(), segue.HintOf(err)
	if text := d.text(n); text != n.Value {
		quoted := strconv.Quote(n.Value)
		if !strings.Contains(message, strconv.Quote(text)) {
			message = quoted + " cannot be used"
		}
		message, hint = strings.ReplaceAll(message, strconv.Quote(text), quoted), "look at the value of the variable"
	}
	d.fault(path, hint, "%s: %s", path, message)
}

// primitive fills what Go has a kind for.
func (d *decoder) primitive(n *yaml.Node, path, text string, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Duration:
		duration, err := ParseDuration(text)
		v.SetInt(int64(duration))
		d.check(n, path, err)
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		var number int64
		if number, err = strconv.ParseInt(text, 10, 32); err != nil {
			err = segue.Errorf(segue.KindInvalid, "%q is no whole number", text)
		}
		v.SetInt(number)
	case reflect.Float64:
		var number float64
		if !strings.ContainsAny(text, "nNxX") {
			number, err = strconv.ParseFloat(text, 64)
		}
		if err != nil || strings.ContainsAny(text, "nNxX") {
			err = segue.Errorf(segue.KindInvalid, "%q is no number", text)
		}
		v.SetFloat(number)
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
		default:
			err = segue.Errorf(segue.KindInvalid, "%q is neither true nor false", text).WithHint("write true or false")
		}
	default:
		panic("spec: no way to decode " + v.Type().String())
	}
	d.check(n, path, err)
}

// sequence fills a slice.
func (d *decoder) sequence(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			hint = fmt.Sprintf("write [%s]", flow(strings.Fields(n.Value)))
		}
		d.fault(path, hint, "%s must be a list, not %s", path, kindOf(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, child := range n.Content {
		d.decode(child, item(path, i), out.Index(i))
	}
	v.Set(out)
}

// flow writes words as the items of a flow list.
func flow(words []string) string {
	for i, word := range words {
		if strings.ContainsAny(word[:1], "{[&*!|>'\"%@`#,-?:") && !strings.HasPrefix(word, "--") || strings.ContainsAny(word, ",]") {
			words[i] = strconv.Quote(word)
		}
	}
	return strings.Join(words, ", ")
}

// table fills a map with text keys.
func (d *decoder) table(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fault(path, "", "%s must be a mapping, not %s", title(path), kindOf(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, p := range pairs(n, path, &d.faultList) {
		key := resolve(p.key).Value
		value := reflect.New(v.Type().Elem()).Elem()
		d.keyAt[join(path, key)] = placeOf(p.key)
		d.decode(p.value, join(path, key), value)
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
}

// plain turns a node into what decoding JSON would give.
func (d *decoder) plain(n *yaml.Node, path string) any {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for _, p := range pairs(n, path, &d.faultList) {
			key := resolve(p.key).Value
			d.keyAt[join(path, key)] = placeOf(p.key)
			d.valueAt[join(path, key)] = placeOf(p.value)
			out[key] = d.plain(p.value, join(path, key))
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, child := range n.Content {
			d.valueAt[item(path, i)] = placeOf(child)
			out[i] = d.plain(child, item(path, i))
		}
		return out
	default:
		return d.plainScalar(n)
	}
}

// plainScalar gives a scalar the type that YAML gives it.
func (d *decoder) plainScalar(n *yaml.Node) any {
	text := d.text(n)
	switch n.Tag {
	case "!!int":
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			return number
		}
	case "!!float":
		if number, err := strconv.ParseFloat(text, 64); err == nil && number-number == 0 {
			return number
		}
	case "!!bool":
		return text == "true" || text == "True" || text == "TRUE"
	case "!!null":
		return nil
	}
	return text
}

// namer adapts one of package segue's Parse functions to a place in the file.
func namer[N ~string](d *decoder, path, text string, parse func(string) (N, error)) N {
	name, err := parse(text)
	if err != nil {
		d.fault(path, segue.HintOf(err), "%s", err)
	}
	return name
}

// hinted gives an error with a hint, for parseText.
func hinted(hint, format string, args ...any) error {
	err := segue.Errorf(segue.KindInvalid, format, args...)
	if hint != "" {
		return err.WithHint("%s", hint)
	}
	return err
}
