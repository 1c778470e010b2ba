package receipt

import (
	"fmt"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"

	"github.com/segue-deploy/segue"
)

const (
	// widthDefault is used where no terminal says its width; text is never wider than widthMost, nor laid out for less than widthLeast.
	widthDefault = 100
	widthMost    = 120
	widthLeast   = 60
	// labelWidth is that of the column of section names.
	labelWidth = 12
)

// TextOptions say what a terminal can do.
type TextOptions struct {
	// Width in cells; 0 where there is no terminal.
	Width int
	// Color allows the sixteen colours of every terminal, which follow its theme. Leave it false when NO_COLOR is set or output is no terminal.
	Color bool
	// ASCII draws bars and arrows without Unicode.
	ASCII bool
}

// Text renders the receipt for a terminal: about one screen, ending in a newline. What came from outside is stripped of control characters.
func Text(r Receipt, o TextOptions) string {
	if o.Width <= 0 {
		o.Width = widthDefault
	}
	o.Width = max(widthLeast, min(o.Width, widthMost))
	t := &text{r: r, o: o}
	t.headline()
	t.figures()
	t.trouble()
	t.database()
	t.timeline()
	t.judgements()
	t.notes()
	out := t.b.String()
	if o.ASCII {
		out = strings.NewReplacer("→", "->", "·", "-", "×", "x", "…", "...", "“", "\"", "”", "\"", "≤", "<=", "–", "-").Replace(out)
	}
	return out
}

// text lays a receipt out.
type text struct {
	r Receipt
	o TextOptions
	b strings.Builder
}

// tone is what a piece of text means; its colour follows.
type tone int

const (
	plainTone tone = iota
	strong
	faint
	good
	bad
	warn
	stableTone
	candidateTone
)

func (t *text) paint(tone tone, s string) string {
	if !t.o.Color || s == "" {
		return s
	}
	style := lipgloss.NewStyle()
	switch tone {
	case strong:
		style = style.Bold(true)
	case faint:
		style = style.Faint(true)
	case good:
		style = style.Foreground(lipgloss.Green)
	case bad:
		style = style.Foreground(lipgloss.Red).Bold(true)
	case warn:
		style = style.Foreground(lipgloss.Yellow)
	case stableTone:
		style = style.Foreground(lipgloss.Blue)
	case candidateTone:
		style = style.Foreground(lipgloss.Magenta)
	case plainTone:
		return s
	}
	return style.Render(s)
}

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format, args...)
	t.b.WriteByte('\n')
}

// section writes rows under a name, a blank line before them. Nothing is written without rows.
func (t *text) section(name string, rows []string) {
	if len(rows) > 0 {
		t.b.WriteByte('\n')
	}
	t.rows(name, rows)
}

// rows writes rows under a name.
func (t *text) rows(name string, rows []string) {
	for i, row := range rows {
		label := strings.Repeat(" ", labelWidth)
		if i == 0 {
			label = t.paint(strong, pad(name, labelWidth))
		}
		t.line("  %s%s", label, row)
	}
}

// prose wraps a sentence into the column beside the section names.
func (t *text) prose(s string) []string { return t.wrap(s, 0) }

// wrap is prose that stands further in.
func (t *text) wrap(s string, indent int) []string {
	return strings.Split(lipgloss.Wrap(printable(s), t.o.Width-labelWidth-2-indent, " "), "\n")
}

// mark is a word for how it went, at a glance.
func (t *text) mark() string {
	sign, tone := "✓", good
	switch {
	case !t.r.Outcome.Over():
		sign, tone = "…", warn
	case t.r.Outcome == segue.PhaseMixed:
		sign, tone = "!", bad
	case !t.r.clean():
		sign, tone = "!", warn
		if n, _ := t.r.Failed(); n > 0 || t.r.Witness != nil && t.r.Witness.SessionsLost > 0 {
			tone = bad
		}
	case t.r.Outcome == segue.PhaseRolledBack:
		sign, tone = "↩", warn
	}
	if t.o.ASCII {
		sign = map[string]string{"✓": "*", "…": "~", "!": "!", "↩": "<"}[sign]
	}
	return t.paint(tone, sign)
}

func (t *text) headline() {
	head, rest, _ := strings.Cut(t.r.Headline(), ": ")
	t.line("%s %s", t.mark(), t.paint(strong, printable(head))+": "+t.paintCounts(printable(rest)))
	when := t.r.Started.UTC().Format("2006-01-02 15:04:05") + " – " + t.r.Ended.UTC().Format("15:04:05") + " UTC"
	if t.r.Started.IsZero() {
		when = "time not known"
	}
	parts := []string{"rollout " + t.r.Rollout.String(), string(t.r.Strategy), when}
	if t.r.By != "" {
		by := "by " + t.r.By
		if t.r.Why != "" {
			by += ": " + t.r.Why
		}
		parts = append(parts, by)
	}
	if t.r.Partial {
		parts = append(parts, "not over yet")
	}
	t.line("  %s", t.paint(faint, clip(printable(strings.Join(parts, " · ")), t.o.Width-2)))
	if t.r.Sentence != "" {
		for row := range strings.SplitSeq(lipgloss.Wrap(printable(t.r.Sentence), t.o.Width-2, " "), "\n") {
			t.line("  %s", row)
		}
	}
}

// paintCounts colours the headline's verdict: "0 failed" green, any other number red.
func (t *text) paintCounts(s string) string {
	parts := strings.Split(s, ", ")
	for i, part := range parts {
		switch {
		case part == "0 failed":
			parts[i] = t.paint(good, part)
		case strings.HasSuffix(part, " failed"), part == "requests not measured":
			parts[i] = t.paint(bad, part)
		case strings.HasSuffix(part, " kept"):
			tone := good
			if t.r.Witness != nil && t.r.Witness.SessionsLost > 0 {
				tone = bad
			}
			parts[i] = t.paint(tone, part)
		}
	}
	return strings.Join(parts, ", ")
}

// printable takes control characters out: terminals obey them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-lipgloss.Width(s))) + s
}

// clip cuts plain text to a width in cells.
func clip(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	for s != "" && lipgloss.Width(s) > width-1 {
		runes := []rune(s)
		s = string(runes[:len(runes)-1])
	}
	return s + "…"
}
