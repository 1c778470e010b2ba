package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// answers reads the lines that somebody types. A read of a terminal cannot be given up, so it goes on by itself until the input ends or the process
// does; it holds one line at most that nobody asked for.
type answers struct{ lines chan string }

func newAnswers(in io.Reader) *answers {
	a := &answers{lines: make(chan string)}
	go func() {
		defer close(a.lines)
		reader := bufio.NewReader(io.LimitReader(in, 1<<20))
		for {
			line, err := reader.ReadString('\n')
			if err != nil && line == "" {
				return
			}
			a.lines <- strings.ToLower(strings.TrimSpace(line))
			if err != nil {
				return
			}
		}
	}()
	return a
}

// ask puts a question and gives the answer in lower case. It is not ok when there is none: Ctrl-C, the end of the input, or ctx is done.
func (s *session) ask(ctx context.Context, question string, interrupts <-chan os.Signal) (answer string, ok bool) {
	if s.answers == nil {
		s.answers = newAnswers(s.in)
	}
	fmt.Fprint(s.out, question)
	select {
	case answer, ok = <-s.answers.lines:
	case <-interrupts:
	case <-ctx.Done():
	}
	if !ok {
		// The cursor stands behind the question.
		fmt.Fprintln(s.out)
	}
	return answer, ok
}
