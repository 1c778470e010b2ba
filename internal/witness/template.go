package witness

import (
	"fmt"
	"net/url"
	"strings"
)

// template is text with placeholders, taken apart once.
type template []part

// part is literal text, or a name when name is not "".
type part struct{ text, name string }

// parseTemplate finds placeholders: {name}, of letters, digits and _. Other braces stand for themselves, so that JSON and regular expressions can be
// written.
func parseTemplate(s string) template {
	var t template
	literal := 0
	for at := 0; at < len(s); at++ {
		if s[at] != '{' {
			continue
		}
		end := at + 1
		for end < len(s) && isNameByte(s[end], end == at+1) {
			end++
		}
		if end == at+1 || end == len(s) || s[end] != '}' {
			continue
		}
		if at > literal {
			t = append(t, part{text: s[literal:at]})
		}
		t = append(t, part{name: s[at+1 : end]})
		literal, at = end+1, end
	}
	if literal < len(s) {
		t = append(t, part{text: s[literal:]})
	}
	return t
}

// isNameByte says whether a byte may stand in a name; digits not first.
func isNameByte(c byte, first bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || !first && c >= '0' && c <= '9'
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

// sample fills every placeholder with something plain, to look at the rest.
func (t template) sample() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.name != "" {
			b.WriteByte('x')
		}
	}
	return b.String()
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
