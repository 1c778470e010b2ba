package receipt

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/segue-deploy/segue"
)

// rowLimit bounds the rows of the time line, so that a receipt stays about one screen.
const rowLimit = 16

// bar is one row of the time line.
type bar struct {
	name  string
	steps []Step
	// took is how much time they cover.
	took Seconds
}

// timeline draws servers as rows and their steps as bars over time; what concerns the whole fleet has rows of its own.
func (t *text) timeline() {
	window := interval{t.r.Started, t.r.Ended}
	if len(t.r.Steps) == 0 || window.length() <= 0 {
		return
	}
	rows := t.bars()
	nameWidth := labelWidth - 2
	for _, row := range rows {
		nameWidth = max(nameWidth, min(24, lipgloss.Width(row.name)))
	}
	tookWidth := 11
	cells := t.o.Width - 2 - nameWidth - 2 - tookWidth
	t.b.WriteByte('\n')
	axis := pad("0 s", cells-lipgloss.Width(t.r.Duration.String())) + t.r.Duration.String()
	t.line("  %s  %s", t.paint(strong, pad("Steps", nameWidth)), t.paint(faint, axis))
	for _, row := range rows {
		took := row.took.String()
		t.line("  %s  %s%s", pad(clip(printable(row.name), nameWidth), nameWidth), t.draw(row, window, cells), t.paint(faint, padLeft(took, tookWidth)))
	}
	t.line("  %s  %s", pad("", nameWidth), t.legend())
}

// bars puts steps into rows: by server while there are few, else by batch.
func (t *text) bars() []bar {
	byServer := map[segue.ServerName]bool{}
	for _, s := range t.r.Steps {
		byServer[s.Server] = true
	}
	var rows []bar
	index := map[string]int{}
	for _, s := range t.r.Steps {
		name := string(s.Server)
		switch {
		case s.Kind == segue.StepFinalize:
			continue
		case name == "":
			name = string(s.Kind)
		case len(byServer) > rowLimit:
			name = fmt.Sprintf("batch %d", s.Batch)
			if s.Plan > 1 {
				name = fmt.Sprintf("plan %d %s", s.Plan, name)
			}
		}
		i, ok := index[name]
		if !ok {
			if len(rows) >= 2*rowLimit {
				continue
			}
			i = len(rows)
			index[name] = i
			rows = append(rows, bar{name: name})
		}
		rows[i].steps = append(rows[i].steps, s)
	}
	for i := range rows {
		var times []interval
		for _, s := range rows[i].steps {
			times = append(times, interval{s.Started, s.Ended})
		}
		var took time.Duration
		for _, part := range union(times) {
			took += part.length()
		}
		rows[i].took = Seconds(took)
	}
	return rows
}

// glyph is how a kind of step is drawn.
func (t *text) glyph(s Step) (string, tone) {
	glyph, ascii, tone := "█", "#", candidateTone
	switch s.Kind {
	case segue.StepDrain:
		glyph, ascii, tone = "▒", "d", warn
	case segue.StepStop:
		glyph, ascii, tone = "░", "s", faint
	case segue.StepStart, segue.StepAwaitReady:
		glyph, ascii, tone = "█", "b", t.toneOf(s.Release)
	case segue.StepAdmit, segue.StepWeigh:
		glyph, ascii, tone = "▓", "a", good
	case segue.StepObserve:
		glyph, ascii, tone = "━", "=", good
	case segue.StepApprove, segue.StepHold, segue.StepMaintenance:
		glyph, ascii, tone = "╌", "-", warn
	case segue.StepExpand, segue.StepBackfill, segue.StepContract:
		glyph, ascii, tone = "▞", "#", candidateTone
	default:
	}
	if s.Status == StepFailed {
		tone = bad
	}
	if t.o.ASCII {
		glyph = ascii
	}
	return glyph, tone
}

// draw fills a row's cells.
func (t *text) draw(row bar, window interval, cells int) string {
	at := row.cells(window, cells)
	var b strings.Builder
	for start := 0; start < cells; {
		end := start + 1
		for end < cells && t.alike(row, at[start], at[end]) {
			end++
		}
		b.WriteString(t.run(row, at[start], end-start))
		start = end
	}
	return b.String()
}

// alike says whether two cells are drawn as one run. A failed step ends with a cross of its own.
func (t *text) alike(row bar, a, b int) bool {
	if a == b || a == 0 || b == 0 {
		return a == b
	}
	one, other := row.steps[a-1], row.steps[b-1]
	glyph, tone := t.glyph(one)
	otherGlyph, otherTone := t.glyph(other)
	return glyph == otherGlyph && tone == otherTone && one.Status != StepFailed
}

// cells says, for each cell, which of the row's steps covers most of its time, from 1; 0 is none. A failed step goes before others.
func (row bar) cells(window interval, cells int) []int {
	scale := float64(cells) / float64(window.length())
	at := make([]int, cells)
	cover := make([]float64, cells)
	for i, s := range row.steps {
		from, to := float64(s.Started.Sub(window.from))*scale, float64(s.Ended.Sub(window.from))*scale
		for cell := max(0, int(from)); cell < cells && (float64(cell) < to || cell == int(from)); cell++ {
			// Even a step of no length shows where the cell is free.
			share := min(to, float64(cell+1)) - max(from, float64(cell)) + 1e-9
			if s.Status == StepFailed {
				share += 2
			}
			if share > cover[cell] {
				cover[cell], at[cell] = share, i+1
			}
		}
	}
	return at
}

// run draws neighbouring cells of one step, or of none.
func (t *text) run(row bar, step, cells int) string {
	if step == 0 {
		empty := "·"
		if t.o.ASCII {
			empty = "."
		}
		return t.paint(faint, strings.Repeat(empty, cells))
	}
	s := row.steps[step-1]
	glyph, tone := t.glyph(s)
	if s.Status == StepFailed {
		return t.paint(tone, strings.Repeat(glyph, cells-1)+t.cross())
	}
	return t.paint(tone, strings.Repeat(glyph, cells))
}

// cross ends the bar of a step that failed.
func (t *text) cross() string {
	if t.o.ASCII {
		return "X"
	}
	return "✗"
}

// legend explains the glyphs that occur.
func (t *text) legend() string {
	kinds := []struct {
		kind segue.StepKind
		word string
	}{
		{segue.StepDrain, "drain"},
		{segue.StepStop, "stop"},
		{segue.StepStart, "boot"},
		{segue.StepAdmit, "admit"},
		{segue.StepObserve, "observe"},
		{segue.StepApprove, "wait"},
		{segue.StepBackfill, "backfill"},
		{segue.StepExpand, "expand"},
	}
	var parts []string
	failed := false
	for _, kind := range kinds {
		for _, s := range t.r.Steps {
			failed = failed || s.Status == StepFailed
			if s.Kind == kind.kind {
				glyph, tone := t.glyph(Step{Kind: kind.kind, Release: s.Release})
				parts = append(parts, t.paint(tone, glyph)+t.paint(faint, " "+kind.word))
				break
			}
		}
	}
	if failed {
		parts = append(parts, t.paint(bad, t.cross())+t.paint(faint, " failed"))
	}
	return strings.Join(parts, "  ")
}
