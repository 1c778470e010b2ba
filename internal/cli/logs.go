package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

func newLogs(s *session) *cobra.Command {
	var tail int
	var follow, diff bool
	c := &cobra.Command{
		Use:   "logs SERVER",
		Short: "Print the output of what runs on a server, or what the releases of a rollout wrote",
		Long: `Logs prints the last lines of what the instance on a server has written, and with --follow what it goes on to write. With
--json each line is an object of its own.

With --diff it takes the number of a rollout, or none for the latest, and shows which kinds of lines the candidate wrote that stable did
not, or more often, or no more.`,
		Example: `  segue logs web-1
  segue logs web-1 -F --tail 10
  segue logs --diff`,
		Args:              needs(0, 1, "one server"),
		ValidArgsFunction: s.completeServers,
		RunE: func(c *cobra.Command, args []string) error {
			if diff {
				return s.aboutRollout(c, args, func(controller api.Controller, id segue.RolloutID) error {
					return s.logDiff(c.Context(), controller, id)
				})
			}
			if len(args) == 0 {
				return usage(c, "give one server")
			}
			if tail < 0 || tail > 100000 {
				return usage(c, "--tail %d: give 0 to 100,000 lines", tail)
			}
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			ctx, stop := s.untilInterrupt(c.Context())
			defer stop()
			server := segue.ServerName(args[0])
			logs, err := controller.Logs(ctx, server, tail, follow)
			if err != nil {
				return err
			}
			defer logs.Close()
			err = s.copyLogs(server, logs)
			if ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	c.Flags().IntVarP(&tail, "tail", "n", 100, "begin with so `many` lines of what there is")
	c.Flags().BoolVarP(&follow, "follow", "F", false, "go on with what is written from now on")
	c.Flags().BoolVar(&diff, "diff", false, "compare what the releases of a rollout wrote")
	c.MarkFlagsMutuallyExclusive("diff", "follow")
	c.MarkFlagsMutuallyExclusive("diff", "tail")
	return c
}

// copyLogs prints what comes, as it comes. Instances may colour their lines: they are printed as they are.
func (s *session) copyLogs(server segue.ServerName, logs io.Reader) error {
	s.printed = true
	if !s.json {
		if _, err := io.Copy(s.out, logs); err != nil {
			return fmt.Errorf("read logs of %s: %w", server, err)
		}
		return nil
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	lines := bufio.NewReader(logs)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if werr := encoder.Encode(map[string]string{"server": string(server), "line": trimNewline(line)}); werr != nil {
				return fmt.Errorf("write logs: %w", werr)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read logs of %s: %w", server, err)
		}
	}
}

func trimNewline(line string) string {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		return line[:n-1]
	}
	return line
}

// untilInterrupt gives a context that Ctrl-C ends, for commands that watch and change nothing.
func (s *session) untilInterrupt(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	interrupts, release := s.d.Interrupts()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
		release()
	}
}

// logDiff shows what the releases of a rollout wrote, side by side.
func (s *session) logDiff(ctx context.Context, controller api.Controller, id segue.RolloutID) error {
	rows, err := controller.LogDiff(ctx, id)
	if err != nil {
		return err
	}
	if s.json {
		return s.writeJSON(rows)
	}
	paint := s.paint()
	t := &table{head: []string{"", "candidate", "stable", "severity", "line"}, right: map[int]bool{1: true, 2: true}}
	same := 0
	for _, row := range rows {
		if row.Kind == "same" {
			same++
			continue
		}
		text := row.Sample
		if text == "" {
			text = row.Text
		}
		t.row(paintKind(paint, row.Kind), perMinute(row.CandidateRate), perMinute(row.StableRate), row.Severity, clip(printable(text), 120))
	}
	if len(t.rows) > 0 {
		for _, line := range t.lines(paint) {
			s.print("%s", line)
		}
	}
	kinds := "kinds of lines"
	if same == 1 {
		kinds = "kind of line"
	}
	s.say(count(int64(same)) + " " + kinds + " written by both as often, within a factor of two. Rates are per server and minute, a burst within 10 s counts once")
	return nil
}

func paintKind(paint palette, kind string) string {
	switch kind {
	case "new", "more":
		return paint.ruling(segue.RulingHold, kind)
	default:
		return paint.faint(kind)
	}
}

func perMinute(rate float64) string {
	if rate == 0 {
		return "–"
	}
	return short(rate) + "/min"
}
