package cli

import "strings"

// table lays rows out in columns, two cells apart. Cells may be painted; the last column is not padded.
type table struct {
	head []string
	rows [][]string
	// right are the columns with numbers, which stand on the right.
	right map[int]bool
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// lines gives the head, painted, and the rows. Columns that are empty throughout are left out.
func (t *table) lines(paint palette) []string {
	widths := make([]int, len(t.head))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for i, cell := range t.head {
		if widths[i] > 0 {
			widths[i] = max(widths[i], width(cell))
		}
	}
	head := make([]string, len(t.head))
	for i, cell := range t.head {
		head[i] = paint.faint(cell)
	}
	lines := append(make([]string, 0, 1+len(t.rows)), t.line(head, widths))
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths))
	}
	return lines
}

func (t *table) line(cells []string, widths []int) string {
	var line strings.Builder
	for i, cell := range cells {
		if widths[i] == 0 {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("  ")
		}
		if t.right[i] {
			cell = padLeft(cell, widths[i])
		}
		line.WriteString(pad(cell, widths[i]))
	}
	return strings.TrimRight(line.String(), " ")
}
