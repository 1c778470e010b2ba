package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

func newDBCheck(s *session) *cobra.Command {
	var sql bool
	c := &cobra.Command{
		Use:   "check {RELEASE | SERVICE=RELEASE...}",
		Short: "Say what a release does to the database, and which release works with which stage of it",
		Long: `Check tries the release's migrations on an empty copy of the database's schema, on the same server version, and says for each
statement when it would run, which lock it takes, how long it is likely to take and who waits meanwhile. Statements that are
known of the releases are tried against the schema as it is, expanded, and contracted. Nothing is changed.

Exit codes: 0 a rollout may begin; 12 it would be refused; 2 the migrations have faults.`,
		Example: `  segue db check v2
  segue db check v2 --sql`,
		Args:              needs(1, -1, "a release, or SERVICE=RELEASE"),
		ValidArgsFunction: s.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return s.aboutReleases(c, args, func(controller api.Controller, project api.Project, to []api.Target) error {
				checks, err := controller.CheckDatabases(c.Context(), operator.PrepareRequest{Project: project, Targets: to})
				if err != nil {
					return err
				}
				for _, check := range checks {
					if check.Refused != "" {
						s.code = api.ExitCode(segue.Errorf(segue.KindRefused, "%s", check.Refused))
					}
				}
				if s.json {
					return s.writeJSON(checks)
				}
				s.showChecks(checks, sql)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&sql, "sql", false, "show the statements that would be run, too")
	return c
}

func (s *session) showChecks(checks []operator.DatabaseCheck, sql bool) {
	if len(checks) == 0 {
		s.print("The release uses no database.")
	}
	for i, check := range checks {
		if i > 0 {
			s.print("")
		}
		for _, line := range checkLines(s.paint(), check, sql, s.textWidth()) {
			s.print("%s", line)
		}
	}
}

// checkLines renders what a release does to one database.
func checkLines(paint palette, check operator.DatabaseCheck, sql bool, cells int) []string {
	head := fmt.Sprintf("%s: what %s %s needs of it", check.Database, check.Service, check.Release)
	lines := []string{paint.strong(head) + paint.faint("  "+check.Server)}
	phase := ""
	for _, change := range check.Changes {
		if change.Phase != phase {
			phase = change.Phase
			lines = append(lines, paint.strong("  "+phaseHeading(phase)))
		}
		lines = append(lines, checkedChange(paint, change, sql, cells)...)
	}
	if len(check.Changes) == 0 {
		lines = append(lines, "  nothing: every migration is done")
	}
	lines = append(lines, matrixLines(paint, check.Cells)...)
	for _, note := range check.Notes {
		lines = append(lines, "  "+paint.faint("note  ")+printable(note))
	}
	if check.Classified > 0 {
		lines = append(lines, "  "+paint.faint(fmt.Sprintf("%s tried on an empty copy in %s", plural(check.Classified, "statement"), span(check.Took))))
	}
	if check.Refused != "" {
		lines = append(lines, "", paint.bad("A rollout would be refused: ")+printable(check.Refused))
		if check.Hint != "" {
			lines = append(lines, printable(check.Hint))
		}
	}
	return lines
}

func phaseHeading(phase string) string {
	switch phase {
	case "expand":
		return "expand, before the release"
	case "backfill":
		return "backfill, in batches, before the release"
	case "contract":
		return "contract, when nothing needs it any more"
	default:
		return "breaking: no order of steps serves both releases"
	}
}

func checkedChange(paint palette, change operator.Change, sql bool, cells int) []string {
	facts := []string{}
	if change.Status != "planned" && change.Status != "owed" {
		facts = append(facts, change.Status)
	}
	if change.Lock != "" {
		facts = append(facts, change.Lock+" lock")
	}
	if change.Rows > 0 {
		facts = append(facts, "about "+count(change.Rows)+" rows")
	}
	if change.Takes > 0 {
		facts = append(facts, "about "+span(change.Takes))
	}
	if change.Waits != "" {
		facts = append(facts, change.Waits+" wait")
	}
	line := "    " + printable(change.Title)
	if len(facts) > 0 {
		line += paint.faint("  " + strings.Join(facts, ", "))
	}
	lines := []string{line}
	add := func(label, text string) {
		for _, row := range wrap(printable(text), cells-16) {
			lines = append(lines, "      "+paint.faint(pad(label, 9))+row)
			label = ""
		}
	}
	if change.Why != "" {
		add("why", change.Why)
	}
	if change.At != "" {
		add("from", change.At)
	}
	for _, caveat := range change.Caveats {
		add("mind", caveat)
	}
	if change.Split != "" {
		add("split", change.Split)
	}
	if change.Gate != nil {
		add("gate", change.Gate.Answer+": "+groundText(*change.Gate, change.Gate.Answer))
	}
	if sql {
		for _, statement := range change.SQL {
			add("sql", strings.Join(strings.Fields(statement), " "))
		}
	}
	return lines
}

// matrixLines renders which release works with which stage.
func matrixLines(paint palette, cells []operator.Cell) []string {
	if len(cells) == 0 {
		return nil
	}
	t := table{head: []string{"release", "now", "expanded", "contracted"}}
	column := map[string]int{"now": 1, "expanded": 2, "contracted": 3}
	rows := map[segue.ReleaseName][]string{}
	var order []segue.ReleaseName
	for _, cell := range cells {
		row, ok := rows[cell.Release]
		if !ok {
			row = []string{orUnnamed(cell.Release), "", "", ""}
			order = append(order, cell.Release)
		}
		row[column[cell.Stage]] = cellText(paint, cell)
		rows[cell.Release] = row
	}
	for _, release := range order {
		t.row(rows[release]...)
	}
	lines := []string{paint.strong("  statements that work with the schema")}
	for _, line := range t.lines(paint) {
		lines = append(lines, "    "+line)
	}
	return append(lines, misfitLines(paint, cells)...)
}

// misfitLines lists what does not work, each once, with the stages that it does not work with: what does not work now says nothing of the release.
func misfitLines(paint palette, cells []operator.Cell) []string {
	type misfit struct {
		release      segue.ReleaseName
		sql, message string
	}
	stages := map[misfit][]string{}
	var order []misfit
	for _, cell := range cells {
		for _, m := range cell.Misfits {
			key := misfit{cell.Release, m.SQL, m.Message}
			if stages[key] == nil {
				order = append(order, key)
			}
			stages[key] = append(stages[key], cell.Stage)
		}
	}
	const most = 10
	var lines []string
	for _, m := range order[:min(most, len(order))] {
		lines = append(lines, fmt.Sprintf("    %s, %s: %s", orUnnamed(m.release), strings.Join(stages[m], " and "), printable(m.message)),
			paint.faint("      "+shorten(strings.Join(strings.Fields(printable(m.sql)), " "), 100)))
	}
	if len(order) > most {
		lines = append(lines, fmt.Sprintf("    and %d more (--json lists all)", len(order)-most))
	}
	return lines
}

func orUnnamed(release segue.ReleaseName) string {
	if release == "" {
		return "unnamed"
	}
	return string(release)
}

func cellText(paint palette, cell operator.Cell) string {
	fits := cell.Tried - len(cell.Misfits)
	switch {
	case cell.Tried == 0:
		return paint.warn("none known")
	case len(cell.Misfits) > 0:
		return paint.bad(fmt.Sprintf("%d of %d", fits, cell.Tried))
	default:
		return paint.good(fmt.Sprintf("all %d", cell.Tried))
	}
}

// shorten cuts text at so many characters.
func shorten(text string, most int) string {
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most-1]) + "…"
}
