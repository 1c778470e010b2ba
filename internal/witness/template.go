package witness

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// placeholder is what a template looks like: {name}. Other braces stand for themselves, so that JSON and regular expressions can be written.
func placeholder() *regexp.Regexp { return regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`) }

// template is text with placeholders, taken apart once.
type template []part

// part is literal text, or a name when name is not "".
type part struct{ text, name string }

func parseTemplate(s string) template {
	var t template
	last := 0
	for _, at := range placeholder().FindAllStringSubmatchIndex(s, -1) {
		if at[0] > last {
			t = append(t, part{text: s[last:at[0]]})
		}
		t = append(t, part{name: s[at[2]:at[3]]})
		last = at[1]
	}
	if last < len(s) {
		t = append(t, part{text: s[last:]})
	}
	return t
}

// names lists the names that a template needs.
func (t template) names() []string {
	var names []string
	for _, p := range t {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// values are what templates are filled in with.
type values map[string]string

// missingError says that a name has no value yet.
type missingError struct{ name string }

func (e missingError) Error() string { return fmt.Sprintf("{%s} was not captured", e.name) }

// fill puts values in, each through escape (nil: as it is).
func (t template) fill(v values, escape func(string) string) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok := v[p.name]
		if !ok {
			return "", missingError{p.name}
		}
		if escape != nil {
			value = escape(value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// fillPath puts values into a path, escaped for the place they stand in: what a site sent must not become another path. A path that is one
// placeholder as a whole is taken as it is (a captured link).
func (t template) fillPath(v values) (string, error) {
	if len(t) == 1 && t[0].name != "" {
		return t.fill(v, nil)
	}
	inQuery := false
	var b strings.Builder
	for _, p := range t {
		escape := url.PathEscape
		if inQuery {
			escape = url.QueryEscape
		}
		text, err := template{p}.fill(v, escape)
		if err != nil {
			return "", err
		}
		inQuery = inQuery || p.name == "" && strings.Contains(text, "?")
		b.WriteString(text)
	}
	return b.String(), nil
}

// fillJSON puts values into every string of a decoded JSON value.
func fillJSON(value any, v values) (any, error) {
	switch value := value.(type) {
	case string:
		return parseTemplate(value).fill(v, nil)
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			filled, err := fillJSON(item, v)
			if err != nil {
				return nil, err
			}
			out[i] = filled
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(value))
		for key, item := range value {
			filled, err := fillJSON(item, v)
			if err != nil {
				return nil, err
			}
			out[key] = filled
		}
		return out, nil
	}
	return value, nil
}

// fillAll puts values into every value of a map.
func fillAll(texts map[string]string, v values) (map[string]string, error) {
	out := make(map[string]string, len(texts))
	for key, text := range texts {
		filled, err := parseTemplate(text).fill(v, nil)
		if err != nil {
			return nil, err
		}
		out[key] = filled
	}
	return out, nil
}
