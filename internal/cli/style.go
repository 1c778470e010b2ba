package cli

import (
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"

	"github.com/segue-deploy/segue"
)

// palette paints text, or leaves it as it is. It uses the sixteen colours of every terminal alone: they follow its theme, dark or light.
type palette struct{ color bool }

func newPalette(color bool) palette { return palette{color: color} }

func (p palette) render(style lipgloss.Style, text string) string {
	if !p.color || text == "" {
		return text
	}
	return style.Render(text)
}

func (p palette) strong(text string) string { return p.render(lipgloss.NewStyle().Bold(true), text) }

func (p palette) faint(text string) string { return p.render(lipgloss.NewStyle().Faint(true), text) }

func (p palette) good(text string) string {
	return p.render(lipgloss.NewStyle().Foreground(lipgloss.Green), text)
}

func (p palette) bad(text string) string {
	return p.render(lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true), text)
}

func (p palette) warn(text string) string {
	return p.render(lipgloss.NewStyle().Foreground(lipgloss.Yellow), text)
}

// stable and candidate are the colours of the two releases, the same as in the receipt.
func (p palette) stable(text string) string {
	return p.render(lipgloss.NewStyle().Foreground(lipgloss.Blue), text)
}

func (p palette) candidate(text string) string {
	return p.render(lipgloss.NewStyle().Foreground(lipgloss.Magenta), text)
}

// phase paints a phase's name by what it means for the reader.
func (p palette) phase(phase segue.Phase, text string) string {
	switch phase {
	case segue.PhaseSucceeded:
		return p.good(text)
	case segue.PhaseRolledBack, segue.PhaseRollingBack, segue.PhaseHeld, segue.PhasePaused:
		return p.warn(text)
	case segue.PhaseMixed:
		return p.bad(text)
	case segue.PhaseQueued:
		return p.faint(text)
	case segue.PhaseProgressing, segue.PhaseObserving:
		return p.strong(text)
	default:
		return text
	}
}

// ruling paints a ruling's word.
func (p palette) ruling(ruling segue.Ruling, text string) string {
	switch ruling {
	case segue.RulingPass:
		return p.good(text)
	case segue.RulingFail:
		return p.bad(text)
	case segue.RulingReport:
		return p.faint(text)
	default:
		return p.warn(text)
	}
}

// width counts the cells of a text, painted or not.
func width(text string) int { return lipgloss.Width(text) }

// pad fills a text up to a width; a longer one stays as it is.
func pad(text string, cells int) string {
	return text + strings.Repeat(" ", max(0, cells-width(text)))
}

// padLeft fills on the left.
func padLeft(text string, cells int) string {
	return strings.Repeat(" ", max(0, cells-width(text))) + text
}

// clip cuts a text to a width; the last cell says so. Styles are kept whole.
func clip(text string, cells int) string {
	if cells <= 0 || width(text) <= cells {
		return text
	}
	cut := lipgloss.NewStyle().Inline(true).MaxWidth(max(1, cells-1)).Render(text)
	return cut + "…"
}

// wrap breaks a text without styles between words, in lines of so many cells; 0 or less leaves it whole.
func wrap(text string, cells int) []string {
	if cells <= 0 || width(text) <= cells {
		return []string{text}
	}
	return strings.Split(lipgloss.Wrap(text, cells, ""), "\n")
}

// printable takes out of text from outside what a terminal would act on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, text)
}
