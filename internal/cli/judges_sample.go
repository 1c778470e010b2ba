package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

func newJudgesSample(s *session) *cobra.Command {
	var flags worldFlags
	var out string
	c := &cobra.Command{
		Use:   "sample",
		Short: "Write the logs and the traffic of a generated rollout, to try other tools on them",
		Long: `Sample writes what try plays: with --out a log per server (web-1.log, which has the candidate, web-2.log ...), the traffic as a balancer
sees it (traffic.jsonl: requests, errors, latency and metrics per server and in part by route, every minute before and every
10 s after), mirrored requests with the answers of two stable servers and of the candidate (answers.jsonl), what comparing them
finds, as judges are given it every 10 s (compared.jsonl), and what is true of it all (truth.json). Without --out the logs go to
standard output, in the order of time, each line behind its server and release; with --json as one JSON object per line.

The candidate starts at 09:00. The same flags write the same again. One in twenty requests is mirrored, or two a second;
answers need three servers. Without a fault, all in which they differ is noise.`,
		Example: `  segue judges sample --fault new-line-x5 --style json --out ./sample
  segue judges sample --fault wrong-field-x0.1 --fault slow-route-x3 --out ./ans
  segue judges sample --fault stack-trace --for 10m | less
  segue judges sample --json --history 0s`,
		Args: needs(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if flags.list {
				return s.listChoices()
			}
			world, complaints := flags.world()
			if err := refuseFlags(c, complaints); err != nil {
				return err
			}
			const share, most = 0.05, 120 // a minute
			world.Mirror = min(share, most/(world.Requests*float64(world.Servers)))
			return s.sample(c.Context(), world, out)
		},
	}
	flags.define(c, 10*time.Minute, 10*time.Minute)
	c.Flags().StringVar(&out, "out", "", "write files into this `folder`, which must not have them yet")
	_ = c.MarkFlagDirname("out") // the flag is there
	return c
}

func (s *session) sample(ctx context.Context, world rehearsal.World, folder string) error {
	ctx, stop := s.untilInterrupt(ctx)
	defer stop()
	err := func() error {
		if folder != "" {
			return s.sampleFiles(ctx, world, folder)
		}
		s.printed = s.json
		return writeMerged(ctx, s.out, world, s.json)
	}()
	if ctx.Err() != nil {
		return segue.Errorf(segue.KindCanceled, "stopped before the sample was whole")
	}
	return err
}

// writeMerged writes the lines of all servers.
func writeMerged(ctx context.Context, out io.Writer, world rehearsal.World, asJSON bool) error {
	buffered := bufio.NewWriterSize(out, 64<<10)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for line := range world.Written() {
		if ctx.Err() != nil {
			break
		}
		var err error
		if asJSON {
			err = encoder.Encode(line)
		} else {
			_, err = fmt.Fprintf(buffered, "%s %s | %s\n", line.Server, line.Release, line.Line)
		}
		if err != nil {
			return fmt.Errorf("write lines: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	return nil
}

// truth is what is known of a sample because it was made so.
type truth struct {
	Start     time.Time          `json:"start"`
	Seed      uint64             `json:"seed"`
	Style     string             `json:"style"`
	Stable    segue.ReleaseName  `json:"stable"`
	Candidate segue.ReleaseName  `json:"candidate"`
	On        []segue.ServerName `json:"candidate_on"`
	Servers   []segue.ServerName `json:"servers"`
	Faults    []toldFault        `json:"faults"`
}

type toldFault struct {
	rehearsal.Change
	Decoy bool   `json:"decoy,omitempty"`
	Text  string `json:"text"`
}

func truthOf(world rehearsal.World) truth {
	full := world.Full()
	t := truth{
		Start: full.Start, Seed: full.Seed, Style: full.Style, Stable: rehearsal.Stable, Candidate: rehearsal.Candidate,
		Servers: full.Names(), On: full.Names()[:full.Candidates], Faults: []toldFault{},
	}
	for _, change := range full.Changes {
		about, _ := rehearsal.FaultOf(change.Kind)
		t.Faults = append(t.Faults, toldFault{change, about.Decoy, "the candidate " + change.Says()})
	}
	return t
}

// sampled is what was written, as --json prints it.
type sampled struct {
	Folder   string `json:"folder"`
	Lines    int64  `json:"lines"`
	Traffic  int64  `json:"traffic"`
	Answers  int64  `json:"answers"`
	Compared int64  `json:"compared"`
	Truth    truth  `json:"truth"`
}

// sampleFiles writes a file per server, the traffic and the truth.
func (s *session) sampleFiles(ctx context.Context, world rehearsal.World, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // nothing of it is secret
		return segue.Errorf(segue.KindInvalid, "make folder: %w", err)
	}
	result := sampled{Folder: folder, Truth: truthOf(world)}
	for _, server := range world.Names() {
		n, err := writeNew(ctx, filepath.Join(folder, string(server)+".log"), world.Lines(server), func(out io.Writer, line rehearsal.Line) error {
			_, err := io.WriteString(out, line.Text+"\n")
			return err
		})
		if err != nil {
			return err
		}
		result.Lines += n
	}
	var err error
	if result.Traffic, err = writeRows(ctx, filepath.Join(folder, "traffic.jsonl"), world.Traffic()); err != nil {
		return err
	}
	if result.Answers, err = writeRows(ctx, filepath.Join(folder, "answers.jsonl"), world.Exchanges()); err != nil {
		return err
	}
	if result.Compared, err = writeRows(ctx, filepath.Join(folder, "compared.jsonl"), world.Compared()); err != nil {
		return err
	}
	one := func(yield func(truth) bool) { yield(result.Truth) }
	if _, err := writeNew(ctx, filepath.Join(folder, "truth.json"), one, func(out io.Writer, t truth) error {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(t)
	}); err != nil || ctx.Err() != nil {
		return err
	}
	if s.json {
		return s.writeJSON(result)
	}
	s.say(fmt.Sprintf("Wrote %s of %s, in %s, %s of traffic and %s with their answers to %s.", plural(result.Lines, "line"),
		plural(len(result.Truth.Servers), "server"), result.Truth.Style, plural(result.Traffic, "row"), plural(result.Answers, "mirrored request"), folder))
	s.say(fmt.Sprintf("web-1 has the candidate from %s on; truth.json says the rest.", result.Truth.Start.Format("15:04:05")))
	return nil
}

// writeRows writes a JSON object per line.
func writeRows[T any](ctx context.Context, path string, rows iter.Seq[T]) (int64, error) {
	return writeNew(ctx, path, rows, func(out io.Writer, row T) error { return json.NewEncoder(out).Encode(row) })
}

// writeNew writes a file that was not there, row by row, until ctx is done.
func writeNew[T any](ctx context.Context, path string, rows iter.Seq[T], write func(io.Writer, T) error) (n int64, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // nothing of it is secret
	if errors.Is(err, fs.ErrExist) {
		return 0, segue.Errorf(segue.KindInvalid, "%s is there already", path).WithHint("name another folder with --out")
	}
	if err != nil {
		return 0, fmt.Errorf("write sample: %w", err)
	}
	buffered := bufio.NewWriterSize(file, 64<<10)
	for row := range rows {
		if ctx.Err() != nil {
			break
		}
		if err := write(buffered, row); err != nil {
			return n, errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close())
		}
		n++
	}
	if err := errors.Join(buffered.Flush(), file.Close()); err != nil {
		return n, fmt.Errorf("write %s: %w", path, err)
	}
	return n, nil
}
