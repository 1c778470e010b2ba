package witness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// captureLimit bounds a captured value, in bytes: it goes into later requests.
const captureLimit = 4 << 10

// value takes one value out of an answer.
func (e Extract) value(a *answer) (string, error) {
	var text string
	switch {
	case e.JSON != "":
		found, ok, err := a.lookup(e.JSON)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", fmt.Errorf("JSON %q is not in the answer", e.JSON)
		}
		text = scalar(found)
	case e.Header != "":
		text = a.header.Get(e.Header)
	case e.Cookie != "":
		text = a.cookie(e.Cookie)
	case e.Regexp != "":
		pattern, err := a.pattern(e.Regexp)
		if err != nil {
			return "", err
		}
		if match := pattern.FindSubmatch(a.body); match != nil {
			text = string(match[min(1, len(match)-1)])
		}
	}
	if text == "" {
		return "", fmt.Errorf("%s is not in the answer", e)
	}
	if len(text) > captureLimit {
		return "", fmt.Errorf("%s is longer than %d bytes", e, captureLimit)
	}
	return text, nil
}

// pattern compiles a pattern, unless that was done before.
func (a *answer) pattern(text string) (*regexp.Regexp, error) {
	if pattern, ok := a.patterns[text]; ok {
		return pattern, nil
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	return pattern, nil
}

// String names the place, for messages.
func (e Extract) String() string {
	switch {
	case e.JSON != "":
		return fmt.Sprintf("JSON %q", e.JSON)
	case e.Header != "":
		return fmt.Sprintf("header %q", e.Header)
	case e.Cookie != "":
		return fmt.Sprintf("cookie %q", e.Cookie)
	default:
		return fmt.Sprintf("pattern %q", e.Regexp)
	}
}

// count says how often a thing is there, by Verify.Count's rules.
func (e Extract) count(a *answer, id string) (int, error) {
	switch {
	case e.JSON != "":
		found, ok, err := a.lookup(e.JSON)
		if err != nil || !ok {
			return 0, err
		}
		return countOf(found), nil
	case e.Header != "":
		n, err := strconv.Atoi(a.header.Get(e.Header))
		if err != nil {
			return 0, fmt.Errorf("header %q holds no number", e.Header)
		}
		return n, nil
	default:
		quoted, err := parseTemplate(e.Regexp).fill(values{"id": regexp.QuoteMeta(id)}, nil)
		if err != nil {
			return 0, err
		}
		pattern, err := regexp.Compile(quoted)
		if err != nil {
			return 0, fmt.Errorf("compile pattern: %w", err)
		}
		return len(pattern.FindAllIndex(a.body, -1)), nil
	}
}

func countOf(value any) int {
	switch value := value.(type) {
	case nil:
		return 0
	case json.Number:
		n, _ := value.Float64()
		return int(max(0, n))
	case []any:
		return len(value)
	case bool:
		if !value {
			return 0
		}
	}
	return 1
}

// lookup follows a path into the answer's JSON body. The body is decoded once.
func (a *answer) lookup(path string) (any, bool, error) {
	if a.decoded == nil {
		decoder := json.NewDecoder(bytes.NewReader(a.body))
		decoder.UseNumber()
		if err := decoder.Decode(&a.decoded); err != nil {
			return nil, false, fmt.Errorf("decode JSON answer: %w", err)
		}
	}
	current := a.decoded
	for key := range strings.SplitSeq(path, ".") {
		switch node := current.(type) {
		case map[string]any:
			next, ok := node[key]
			if !ok {
				return nil, false, nil
			}
			current = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false, nil
			}
			current = node[i]
		default:
			return nil, false, nil
		}
	}
	return current, true, nil
}

// scalar writes a JSON value as text: strings bare, numbers as they came.
func scalar(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// equalJSON compares what was expected (as configured, strings filled in) with what came. A string in the expectation also matches a number that is
// written like it: templates are strings.
func equalJSON(want, got any) bool {
	if text, ok := want.(string); ok {
		return text == scalar(got)
	}
	return reflect.DeepEqual(plain(want), plain(got))
}

// plain brings a value into the form that decoding JSON gives, whatever number types it came with.
func plain(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return value
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return value
	}
	return out
}
