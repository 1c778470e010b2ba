package cli

import (
	"fmt"
	"io"
	"strings"
)

// screen rewrites a block of lines at the end of a terminal's output.
type screen struct {
	out   io.Writer
	lines int
}

// Control sequences (ECMA-48; 2026 is the terminals' agreed mode for whole frames, which others ignore).
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	frameBegin = "\x1b[?2026h"
	frameEnd   = "\x1b[?2026l"
	eraseRight = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// draw replaces the block by these lines, none of which may be wider than the terminal, nor may they be as many as it is high.
func (s *screen) draw(lines []string) {
	var out strings.Builder
	out.WriteString(frameBegin + hideCursor)
	s.home(&out)
	for _, line := range lines {
		out.WriteString(line + eraseRight + "\n")
	}
	out.WriteString(eraseBelow + frameEnd)
	s.lines = len(lines)
	_, _ = io.WriteString(s.out, out.String()) // a terminal that is gone has no reader
}

// home goes to the block's first line.
func (s *screen) home(out *strings.Builder) {
	if s.lines > 0 {
		fmt.Fprintf(out, "\r\x1b[%dA", s.lines)
	}
}

// release leaves the block as it is, and gives the cursor back.
func (s *screen) release() {
	s.lines = 0
	_, _ = io.WriteString(s.out, showCursor)
}
