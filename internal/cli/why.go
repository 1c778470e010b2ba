package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
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
	return &cobra.Command{
		Use:   "why [N]",
		Short: "Say why a rollout went as it did: verdicts with their figures, and orders",
		Long: `Why lists the verdicts of rollout N, or of the latest one: each finding with its value, baseline, limit and sample sizes,
and the error rate it was taken at; then what operators ordered, and why.`,
		Example: `  segue why
  segue why 7 --json`,
		Args:              needs(0, 1, "the number of one rollout"),
		ValidArgsFunction: s.completeRollouts,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := rolloutArgument(c, args)
			if err != nil {
				return err
			}
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			text, err := controller.Receipt(c.Context(), id)
			if err != nil {
				return err
			}
			var r receipt.Receipt
			if err := json.Unmarshal(text, &r); err != nil {
				return fmt.Errorf("read receipt: %w", err)
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
		},
	}
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
				lines = append(lines, "    "+printable(finding.Text))
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
		judges[finding.ErrorRate] = append(judges[finding.ErrorRate], printable(finding.Judge))
	}
	lines := make([]string, 0, len(rates))
	for _, rate := range rates {
		lines = append(lines, "    "+paint.faint(fmt.Sprintf("at an error rate of %.3g: %s", rate, strings.Join(judges[rate], ", "))))
	}
	return lines
}
