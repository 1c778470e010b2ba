// Package templatetest writes logs in many styles, each line with the event that it is of, to test what tells events apart.
package templatetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Line is a generated event with its label: the number of the format that it came from.
type Line struct {
	Text  string
	Event int
}

// Style is a kind of log: how lines begin, and the events.
type Style struct {
	Name   string
	prefix func(v *values, severity string) string
	wrap   func(v *values, severity, message string) string
	// system is how lines of the styles of Systems begin, in place of both.
	system string
	events []string
}

// Events is how many there are.
func (s Style) Events() int { return len(s.events) }

// Generate draws n events from those that want says. The same seed gives the same lines. Events are not equally frequent.
func (s Style) Generate(seed uint64, n int, want func(event int) bool) []Line {
	v := &values{Rand: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	var chosen []int
	for i := range s.events {
		if want(i) {
			chosen = append(chosen, i)
		}
	}
	lines := make([]Line, 0, n)
	for i := range n {
		v.now = v.now.Add(time.Duration(v.IntN(5000)) * time.Millisecond)
		// Each comes at least once; of the rest the first come more often.
		event := chosen[i%len(chosen)]
		if i >= 3*len(chosen) {
			event = chosen[min(v.IntN(len(chosen)), v.IntN(len(chosen)))]
		}
		lines = append(lines, Line{Text: s.line(v, s.events[event]), Event: event})
	}
	return lines
}

// line writes one event: its format is "SEVERITY message".
func (s Style) line(v *values, format string) string {
	severity, format, _ := strings.Cut(format, " ")
	if s.system != "" {
		return v.system(s.system, severity) + v.system(format, severity)
	}
	message := v.fill(format)
	if s.wrap != nil {
		return s.wrap(v, severity, message)
	}
	return s.prefix(v, severity) + message
}

func letter(severity string) string { return severity[:1] }

func host(v *values) string { return v.pick("alpha", "combo", "gamma", "delta") }

// Styles gives all styles.
func Styles() []Style {
	return slices.Concat(daemons(), platforms(), applications(), clusters(), desktops())
}

func syslog(program string) func(*values, string) string {
	return func(v *values, _ string) string {
		return fmt.Sprintf("%s %s %s[%d]: ", v.now.Format("Jan _2 15:04:05"), host(v), program, v.IntN(30000))
	}
}
