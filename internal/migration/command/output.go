package command

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds of the output.
const (
	lineLimit = 64 << 10
	tailLimit = 200
)

const masked = "[hidden]"

// mask hides secrets.
type mask struct {
	replacer *strings.Replacer
	// longest is the length of the longest secret, in bytes.
	longest int
}

// newMask hides texts, and the passwords in those that are connection URLs, plain and escaped.
func newMask(secrets []string) *mask {
	var all []string
	for _, secret := range secrets {
		all = append(all, secret)
		if parsed, err := url.Parse(secret); err == nil && parsed.User != nil {
			if password, ok := parsed.User.Password(); ok {
				all = append(all, password, url.QueryEscape(password), url.PathEscape(password))
			}
			all = append(all, parsed.String(), parsed.User.String())
		}
		if config, err := pgconn.ParseConfig(secret); err == nil {
			all = append(all, config.Password)
		}
	}
	all = slices.DeleteFunc(all, func(text string) bool { return text == "" })
	// The replacer takes the first that matches at a place: the longest must be asked first.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	m := &mask{}
	pairs := make([]string, 0, 2*len(all))
	for _, text := range all {
		pairs = append(pairs, text, masked)
		m.longest = max(m.longest, len(text))
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m
}

func (m *mask) replace(text string) string { return m.replacer.Replace(text) }

// lines takes a program's output, and hands it on line by line. It is used by one goroutine at a time.
type lines struct {
	mask   *mask
	output func(string)
	escape *regexp.Regexp
	line   []byte
	cut    int
	tail   []string
}

func newLines(mask *mask, output func(string)) *lines {
	if output == nil {
		output = func(string) {}
	}
	// Colours and cursor movements, as programs write them for terminals.
	return &lines{mask: mask, output: output, escape: regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])`)}
}

// Write implements io.Writer. It never fails: a program must not die of what is done with its output.
func (l *lines) Write(text []byte) (int, error) {
	for _, b := range text {
		switch {
		case b == '\n':
			l.end()
		case len(l.line) < lineLimit+l.mask.longest: // a secret that begins before the limit is whole
			l.line = append(l.line, b)
		default:
			l.cut++
		}
	}
	return len(text), nil
}

// end hands a line on: what a terminal would do by it is taken away first, then secrets, and then it is cut.
func (l *lines) end() {
	text := l.escape.ReplaceAllString(strings.ToValidUTF8(string(l.line), "\uFFFD"), "")
	text = strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, text)
	text = l.mask.replace(text)
	if over := len(text) - lineLimit; over > 0 || l.cut > 0 {
		note := fmt.Sprintf(" [%d bytes more]", max(over, 0)+l.cut)
		text = strings.ToValidUTF8(text[:min(len(text), lineLimit-len(note))], "") + note
	}
	l.line, l.cut = l.line[:0], 0
	if len(l.tail) == tailLimit {
		l.tail = slices.Delete(l.tail, 0, 1)
	}
	l.tail = append(l.tail, text)
	l.output(text)
}

// close ends the last line and gives the tail.
func (l *lines) close() []string {
	if len(l.line) > 0 {
		l.end()
	}
	return l.tail
}
