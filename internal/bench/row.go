// Package bench measures Segue beside what a user would pick instead and beside the physical limit, in one run. It prints figures and ratios and
// asserts nothing: machines are noisy. CPU time per unit of work, and ratios within one run, are what to trust.
package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// Row is one figure.
type Row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Versus says what the value is a ratio to, or what it stands beside; "" for a plain figure.
	Versus string `json:"versus,omitempty"`
}

// Table collects rows in the order of measuring.
type Table struct {
	Rows []Row
	// Log is where progress is told.
	Log io.Writer
}

// Add puts a row in.
func (t *Table) Add(name string, value float64, unit, versus string) {
	t.Rows = append(t.Rows, Row{Name: name, Value: value, Unit: unit, Versus: versus})
}

// Ratio puts the ratio of two figures in; nothing when one of them is missing.
func (t *Table) Ratio(name string, value, to float64, versus string) {
	if value > 0 && to > 0 {
		t.Add(name, value/to, "ratio", versus)
	}
}

// Say tells progress.
func (t *Table) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.Log, format+"\n", args...)
}

// Print writes the table for people.
func (t *Table) Print(out io.Writer) {
	name, versus := len("name"), len("versus")
	for _, row := range t.Rows {
		name, versus = max(name, len(row.Name)), max(versus, len(row.Versus))
	}
	_, _ = fmt.Fprintf(out, "%-*s  %12s  %-14s  %s\n%s\n", name, "name", "value", "unit", "versus", strings.Repeat("-", name+versus+32))
	for _, row := range t.Rows {
		_, _ = fmt.Fprintf(out, "%-*s  %12s  %-14s  %s\n", name, row.Name, figure(row.Value), row.Unit, row.Versus)
	}
}

// figure keeps three digits that count.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}

// Write keeps the rows as JSON.
func (t *Table) Write(path string) error {
	text, err := json.MarshalIndent(t.Rows, "", "  ")
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}
