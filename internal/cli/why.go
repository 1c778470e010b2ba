package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/receipt"
)

// reasons is what `segue why --json` prints.
type reasons struct {
	Rollout  segue.RolloutID   `json:"rollout"`
	Service  segue.ServiceName `json:"service"`
	Outcome  segue.Phase       `json:"outcome"`
	Sentence string            `json:"sentence"`
	Verdicts []receipt.Verdict `json:"verdicts"`
	Orders   []receipt.Order   `json:"orders"`
}

func newWhy(s *session) *cobra.Command {
	var replay bool
	c := &cobra.Command{
		Use:   "why [N]",
		Short: "Say why a rollout went as it did: verdicts with their figures, and orders",
		Long: `Why lists the verdicts of rollout N, or of the latest one: each finding with its value, baseline, limit and sample sizes,
and the error rate it was taken at; then what operators ordered, and why.

With --replay the judges are fed once more what they were fed then, and the verdict that comes out is held against the one in the journal.`,
		Example: `  segue why
  segue why 7 --json
  segue why 7 --replay`,
		Args:              needs(0, 1, "the number of one rollout"),
		ValidArgsFunction: s.completeRollouts,
		RunE: func(c *cobra.Command, args []string) error {
			return s.aboutRollout(c, args, func(controller api.Controller, id segue.RolloutID) error {
				if replay {
					return s.replay(c.Context(), controller, id)
				}
				r, _, err := receiptOf(c.Context(), controller, id)
				if err != nil {
					return err
				}
				if s.json {
					return s.writeJSON(reasons{
						Rollout: r.Rollout, Service: r.Service, Outcome: r.Outcome, Sentence: r.Sentence,
						Verdicts: append([]receipt.Verdict{}, r.Verdicts...), Orders: append([]receipt.Order{}, r.Orders...),
					})
				}
				for _, line := range whyLines(r, s.paint()) {
					s.print("%s", line)
				}
				s.say(printable(r.Sentence))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&replay, "replay", false, "judge again, from the stored evidence")
	return c
}

// replay shows a verdict as it comes out of the stored evidence.
func (s *session) replay(ctx context.Context, controller api.Controller, id segue.RolloutID) error {
	r, err := controller.Replay(ctx, id)
	if err != nil {
		return err
	}
	if s.json {
		return s.writeJSON(r)
	}
	paint := s.paint()
	s.print("%s  %s", paint.strong("rollout "+r.Rollout.String()), paint.faint(fmt.Sprintf("%s of evidence, from %s to %s", plural(r.Windows, "look"), stamp(r.Since), stamp(r.Until))))
	if r.Verdict != nil {
		s.print("")
		for _, line := range evidenceLines(*r.Verdict, paint) {
			s.print("%s", line)
		}
	}
	switch {
	case r.Stored == nil:
		s.say("The journal has no verdict to hold it against.")
	case r.Same:
		s.say("It is the verdict of then, figure by figure: " + rulingWord(r.Stored.Ruling) + ".")
	case r.Verdict != nil && r.Verdict.Ruling == r.Stored.Ruling:
		s.say("The ruling is that of then, " + rulingWord(r.Stored.Ruling) + ", with other figures or words: another version of Segue judged it.")
	default:
		s.say("It is NOT the verdict of then, which was " + rulingWord(r.Stored.Ruling) + ": another version of Segue judged it.")
	}
	return nil
}

func whyLines(r receipt.Receipt, paint palette) []string {
	lines := []string{fmt.Sprintf("%s  %s  %s  %s", paint.strong(string(r.Service)), journey(paint, r.From, r.To),
		paint.phase(r.Outcome, string(r.Outcome)), paint.faint("rollout "+r.Rollout.String()))}
	if len(r.Verdicts) == 0 {
		lines = append(lines, "", "  no verdict was given")
	}
	for _, verdict := range r.Verdicts {
		about := fmt.Sprintf("  %s at %s", paint.ruling(verdict.Ruling, rulingWord(verdict.Ruling)), stamp(verdict.At))
		if verdict.Step != 0 {
			about += fmt.Sprintf(", step %d of plan %d", verdict.Step, verdict.Plan)
		}
		if verdict.Given > 1 {
			about += fmt.Sprintf(", the last of %d", verdict.Given)
		}
		lines = append(lines, "", about)
		lines = append(lines, findingLines(verdict.Verdict, paint, "    ")...)
		lines = append(lines, errorRates(verdict.Findings, paint)...)
		for _, finding := range verdict.Findings {
			if finding.Text != "" && finding.Ruling != segue.RulingPass {
				line := "    " + printable(finding.Text)
				if finding.Fingerprint != "" {
					line += paint.faint(" · fingerprint " + printable(finding.Fingerprint))
				}
				lines = append(lines, line)
			}
		}
	}
	for i, order := range r.Orders {
		if i == 0 {
			lines = append(lines, "")
		}
		line := orderLine(&segue.Order{Verb: order.Verb, Servers: order.Servers, All: order.All, By: order.By, Why: order.Why})
		lines = append(lines, "  "+stamp(order.At)+" "+printable(line))
	}
	return append(lines, "")
}

// errorRates says at which rates of false alarms findings were ruled on; plain limits have none.
func errorRates(findings []segue.Finding, paint palette) []string {
	var rates []float64
	judges := map[float64][]string{}
	for _, finding := range findings {
		if finding.ErrorRate <= 0 {
			continue
		}
		if !slices.Contains(rates, finding.ErrorRate) {
			rates = append(rates, finding.ErrorRate)
		}
		if name := printable(finding.Judge); !slices.Contains(judges[finding.ErrorRate], name) {
			judges[finding.ErrorRate] = append(judges[finding.ErrorRate], name)
		}
	}
	lines := make([]string, 0, len(rates))
	for _, rate := range rates {
		lines = append(lines, "    "+paint.faint(fmt.Sprintf("at an error rate of %.3g: %s", rate, strings.Join(judges[rate], ", "))))
	}
	return lines
}
