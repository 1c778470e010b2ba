package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/receipt"
)

func newReceipt(s *session) *cobra.Command {
	var page string
	c := &cobra.Command{
		Use:   "receipt [N]",
		Short: "Print the measured account of a rollout",
		Long: `Receipt prints the measured account of rollout N, or of the latest one: requests and failures by cause, users and their
sessions, latency before, during and after, where the time went, verdicts and orders. During a rollout it is partial, and
says so. With --html it writes a page that needs nothing else.`,
		Example: `  segue receipt
  segue receipt 7 --json
  segue receipt 7 --html receipt-7.html`,
		Args:              needs(0, 1, "the number of one rollout"),
		ValidArgsFunction: s.completeRollouts,
		RunE: func(c *cobra.Command, args []string) error {
			return s.aboutRollout(c, args, func(controller api.Controller, id segue.RolloutID) error {
				r, text, err := receiptOf(c.Context(), controller, id)
				if err != nil {
					return err
				}
				if page != "" {
					if err := writePage(page, r); err != nil {
						return err
					}
				}
				switch {
				case s.json:
					return s.writeJSON(text)
				case page != "":
					s.print("Wrote the receipt of rollout %s to %s.", r.Rollout, page)
				default:
					s.print("%s", strings.TrimRight(s.receiptText(r), "\n"))
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&page, "html", "", "write it as a page to this `file`")
	_ = c.MarkFlagFilename("html", "html") // the flag is there
	return c
}

// receiptOf reads a receipt, and gives its text as well.
func receiptOf(ctx context.Context, controller api.Controller, id segue.RolloutID) (r receipt.Receipt, text json.RawMessage, err error) {
	if text, err = controller.Receipt(ctx, id); err != nil {
		return r, nil, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, nil, fmt.Errorf("read receipt: %w", err)
	}
	return r, text, nil
}

// receiptText renders a receipt for the output as it is.
func (s *session) receiptText(r receipt.Receipt) string {
	options := receipt.TextOptions{Color: s.paint().color, ASCII: s.asciiOnly()}
	if s.d.IsTerminal(s.out) {
		options.Width, _ = s.size()
	}
	return receipt.Text(r, options)
}

// asciiOnly says whether the locale's characters are no Unicode.
func (s *session) asciiOnly() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := s.d.Getenv(name); value != "" {
			lower := strings.ToLower(value)
			return !strings.Contains(lower, "utf-8") && !strings.Contains(lower, "utf8") && (lower == "c" || lower == "posix")
		}
	}
	return false
}

func writePage(path string, r receipt.Receipt) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := errors.Join(receipt.HTML(file, r), file.Close()); err != nil {
		return fmt.Errorf("write page %s: %w", path, err)
	}
	return nil
}
