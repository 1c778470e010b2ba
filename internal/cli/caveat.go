package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/operator"
)

// caveatsFile is where a project keeps its caveats, beside its file.
const caveatsFile = "caveats.yaml"

func newCaveat(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "caveat",
		Short: "Keep findings that are known and lived with",
		Long: `A caveat is a finding that the team knows of: a line of a log, a field of an answer. It stands in ` + caveatsFile + ` beside the
project's file, with an owner, a reason and a day on which it expires. It is no mute button: it moves what is expected, and at
five times its usual rate (or its ceiling) the finding counts again.`,
		Example: `  segue caveat add 8f14e45fceea167a --owner maria --reason "bank is down"
  segue caveat list`,
		Args: func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCaveatAdd(s), newCaveatList(s))
	return c
}

func newCaveatAdd(s *session) *cobra.Command {
	var caveat logs.Caveat
	var days string
	c := &cobra.Command{
		Use:   "add FINGERPRINT",
		Short: "Make a caveat of a finding",
		Long: `Add writes a caveat into ` + caveatsFile + `, of a finding that "segue compare" or "segue why" shows with its fingerprint. The first
characters of the fingerprint are enough where no other finding begins so.

What the finding saw, in lines a minute and server or as a share of the answers, is written down as usual (rate, share).`,
		Example: `  segue caveat add 8f14 --owner maria --reason "bank is down" --expires 30d`,
		Args:    needs(1, 1, "the fingerprint of one finding"),
		RunE: func(c *cobra.Command, args []string) error {
			life, err := parseDays(days)
			if err != nil {
				return usage(c, "--expires %s: %v", days, err)
			}
			if caveat.Owner == "" || caveat.Reason == "" {
				return usage(c, "give --owner and --reason: whoever meets the caveat later will want to know")
			}
			finding, err := s.findFinding(c, args[0])
			if err != nil {
				return err
			}
			if err := caveat.Learn(finding); err != nil {
				return err
			}
			caveat.Fingerprint, caveat.Expires = finding.Fingerprint, s.d.Now().Add(life).UTC().Truncate(24*time.Hour)
			if caveat.ID == "" {
				caveat.ID = finding.Judge + "-" + finding.Fingerprint[:min(8, len(finding.Fingerprint))]
			}
			return s.addCaveat(caveat, finding)
		},
	}
	c.Flags().StringVar(&caveat.ID, "id", "", "call it `name`; otherwise it is called by its judge and fingerprint")
	c.Flags().StringVar(&caveat.Owner, "owner", "", "`who` answers for it")
	c.Flags().StringVar(&caveat.Reason, "reason", "", "`why` it is lived with")
	c.Flags().StringVar(&caveat.Scope, "scope", "", "only for releases whose names fit the `pattern`, such as v2.*")
	c.Flags().StringVar(&days, "expires", "30d", "after how many days (`30d`) it counts for nothing any more")
	c.Flags().Float64Var(&caveat.Ceiling, "ceiling", 0, "at how many `times` its usual rate it alarms all the same; 0 means 5")
	return c
}

// parseDays reads "30d" or a duration.
func parseDays(text string) (time.Duration, error) {
	days, found := strings.CutSuffix(text, "d")
	if found {
		text = days + "h"
	}
	life, err := time.ParseDuration(text)
	if err != nil || life <= 0 {
		return 0, errors.New("write a number of days, like 30d")
	}
	if found {
		life *= 24
	}
	return life, nil
}

// findFinding looks for a finding by the beginning of its fingerprint: in what is compared now, and in the latest verdict.
func (s *session) findFinding(c *cobra.Command, start string) (segue.Finding, error) {
	controller, done, err := s.connect(c.Context())
	if err != nil {
		return segue.Finding{}, err
	}
	defer done()
	all, err := controller.Compare(c.Context())
	if err != nil {
		return segue.Finding{}, err
	}
	var verdicts []segue.Verdict
	for _, one := range all {
		if one.Verdict != nil {
			verdicts = append(verdicts, *one.Verdict)
		}
	}
	if replay, err := controller.Replay(c.Context(), 0); err == nil {
		verdicts = append(verdicts, verdictsOf(replay)...)
	}
	found := map[string]segue.Finding{}
	for _, verdict := range verdicts {
		for _, f := range verdict.Findings {
			if f.Fingerprint != "" && strings.HasPrefix(f.Fingerprint, start) {
				found[f.Fingerprint] = f
			}
		}
	}
	switch len(found) {
	case 0:
		return segue.Finding{}, segue.Errorf(segue.KindNotFound, "no finding has a fingerprint that begins with %q", start).
			WithHint("`segue compare` and `segue why` show findings with their fingerprints")
	case 1:
		for _, f := range found {
			return f, nil
		}
	}
	return segue.Finding{}, segue.Errorf(segue.KindInvalid, "%d findings have a fingerprint that begins with %q", len(found), start).WithHint("give more of it")
}

func verdictsOf(replay operator.Replay) []segue.Verdict {
	var all []segue.Verdict
	for _, verdict := range []*segue.Verdict{replay.Stored, replay.Verdict} {
		if verdict != nil {
			all = append(all, *verdict)
		}
	}
	return all
}

// addCaveat writes it into the project's file of caveats.
func (s *session) addCaveat(caveat logs.Caveat, finding segue.Finding) error {
	path := s.caveatsPath()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read caveats: %w", err)
	}
	text, err = logs.FormatCaveat(text, caveat)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // it is part of the repository, and no secret
		return fmt.Errorf("write caveats: %w", err)
	}
	if s.json {
		return s.writeJSON(caveat)
	}
	s.print("Added %s to %s, until %s:", caveat.ID, path, caveat.Expires.Format(time.DateOnly))
	s.print("  %s", clip(printable(finding.Text), 140))
	switch {
	case caveat.Rate > 0:
		s.print("  usual: %.3g a minute and server; it alarms again at %.3g times that", caveat.Rate, cmp.Or(caveat.Ceiling, logs.DefaultCeiling))
	case caveat.Share > 0:
		s.print("  usual: %.3g %% of the answers; it alarms again at %.3g times that", 100*caveat.Share, cmp.Or(caveat.Ceiling, logs.DefaultCeiling))
	}
	s.say("It counts from the next deploy on; commit the file.")
	return nil
}

func (s *session) caveatsPath() string { return filepath.Join(filepath.Dir(s.file), caveatsFile) }

func newCaveatList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the caveats of the project, and which have expired",
		Long:    "List reads " + caveatsFile + " beside the project's file, and shows who answers for each caveat, until when, and why.",
		Example: `  segue caveat list --json`,
		Args:    needs(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			path := s.caveatsPath()
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("read caveats: %w", err)
			}
			caveats, err := logs.ReadCaveats(bytes.NewReader(text), path)
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(append([]logs.Caveat{}, caveats...))
			}
			if len(caveats) == 0 {
				s.say("There are no caveats in " + path + ".")
				return nil
			}
			paint := s.paint()
			t := &table{head: []string{"caveat", "about", "owner", "until", "reason"}}
			for _, one := range caveats {
				until := one.Expires.Format(time.DateOnly)
				if !s.d.Now().Before(one.Expires) {
					until = paint.warn("expired " + until)
				}
				about := one.Fingerprint
				if about == "" {
					about = fmt.Sprintf("%q", cmp.Or(one.Match, one.Form))
				}
				t.row(printable(one.ID), printable(about), printable(one.Owner), until, clip(printable(one.Reason), 80))
			}
			for _, line := range t.lines(paint) {
				s.print("%s", line)
			}
			return nil
		},
	}
}
