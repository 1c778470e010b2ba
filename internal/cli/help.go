package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Help is as wide as the terminal, up to helpMost cells; helpDefault where there is none.
const (
	helpDefault = 80
	helpMost    = 100
)

// fitHelp breaks the help of a command and of all below it at the terminal's width.
func (s *session) fitHelp(c *cobra.Command) {
	cells := helpDefault
	if s.d.IsTerminal(s.out) {
		cells, _ = s.size()
		cells = min(cells, helpMost)
	}
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", cells)))
	fitLong(c, cells)
}

func fitLong(c *cobra.Command, cells int) {
	paragraphs := strings.Split(c.Long, "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = strings.Join(wrap(strings.Join(strings.Fields(paragraph), " "), cells), "\n")
	}
	c.Long = strings.Join(paragraphs, "\n\n")
	for _, child := range c.Commands() {
		fitLong(child, cells)
	}
}
