package receipt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// figures writes what was measured: requests, latency, users, long connections, time.
func (t *text) figures() {
	t.section("Requests", t.requests())
	t.rows("Users", t.users())
	t.rows("Time", t.times())
	t.section("Latency", t.latency())
	t.section("Releases", t.releases())
}

const notMeasured = "not measured"

func (t *text) requests() []string {
	tr := t.r.Traffic
	if tr == nil {
		return []string{t.paint(warn, notMeasured)}
	}
	failed := t.paint(good, "0 failed")
	if tr.Failed > 0 {
		failed = t.paint(bad, count(tr.Failed)+" failed")
	}
	parts := []string{count(tr.Requests), failed, count(tr.Retries) + " retried"}
	held := count(tr.Held) + " held"
	if tr.Held > 0 {
		sign := ""
		if tr.AtMost {
			sign = "≤ "
		}
		held += ", longest " + sign + tr.LongestHold.String()
	}
	parts = append(parts, held)
	if tr.Refused > 0 {
		parts = append(parts, count(tr.Refused)+" refused")
	}
	if tr.ClientGone > 0 {
		parts = append(parts, count(tr.ClientGone)+" given up by clients")
	}
	long := fmt.Sprintf("long connections: %s closed properly, %s", count(tr.Long.Closed), t.cut(tr.Long.Cut))
	return []string{strings.Join(parts, " · "), long}
}

func (t *text) cut(n int64) string {
	if n > 0 {
		return t.paint(bad, count(n)+" cut")
	}
	return "0 cut"
}

// latency is a small table: one row per quantile and source.
func (t *text) latency() []string {
	type source struct {
		name                  string
		before, during, after *Latency
	}
	var sources []source
	if tr := t.r.Traffic; tr != nil {
		sources = append(sources, source{"balancer", tr.Before, tr.During, tr.After})
	}
	if w := t.r.Witness; w != nil {
		sources = append(sources, source{"witness", w.Before, w.During, w.After})
	}
	if len(sources) == 0 {
		return nil
	}
	const column = 13
	line := func(a, b, before, during, after string) string {
		return pad(a, 9) + pad(b, 5) + padLeft(before, column) + padLeft(during, column) + padLeft(after, column)
	}
	rows := []string{t.paint(faint, line("", "", "before", "during", "after"))}
	for _, s := range sources {
		rows = append(rows,
			line(s.name, "p50", quantileText(s.before, 0), quantileText(s.during, 0), quantileText(s.after, 0)),
			line("", "p99", quantileText(s.before, 1), quantileText(s.during, 1), quantileText(s.after, 1)))
	}
	return rows
}

// quantileText writes p50 (0) or p99 (1).
func quantileText(l *Latency, which int) string {
	switch {
	case l == nil:
		return "–"
	case which == 0:
		return l.P50.String()
	default:
		return l.P99.String()
	}
}

func (t *text) releases() []string {
	if t.r.Traffic == nil {
		return nil
	}
	var rows []string
	for _, release := range t.r.Traffic.Releases {
		if release.Requests == 0 && release.Release != t.r.From && release.Release != t.r.To {
			continue // a backend of long ago that the balancer still lists
		}
		var classes []string
		for _, class := range slices.Sorted(maps.Keys(release.Classes)) {
			classes = append(classes, class+" "+count(release.Classes[class]))
		}
		row := t.paint(t.toneOf(release.Release), pad(printable(string(release.Release)), 14)) + padLeft(count(release.Requests), 10) + "   "
		row += pad(strings.Join(classes, " · "), 30)
		if release.Latency != nil {
			row += "  p99 " + release.Latency.P99.String()
		}
		if release.Failed > 0 {
			row += "  " + t.paint(bad, count(release.Failed)+" failed")
		}
		rows = append(rows, strings.TrimRight(row, " "))
	}
	return rows
}

func (t *text) toneOf(release segue.ReleaseName) tone {
	switch release {
	case t.r.To:
		return candidateTone
	case t.r.From:
		return stableTone
	}
	return warn
}

func (t *text) users() []string {
	w := t.r.Witness
	if w == nil {
		return []string{t.paint(warn, "no witness: sessions not measured")}
	}
	tone := good
	if w.SessionsLost > 0 {
		tone = bad
	}
	sessions := t.paint(tone, fmt.Sprintf("%s of %s kept", count(int64(w.SessionsKept)), plural(int64(w.Users), "session")))
	failed := t.paint(good, "0 failed")
	if w.Failed > 0 {
		failed = t.paint(bad, count(w.Failed)+" failed")
	}
	rows := []string{
		sessions + fmt.Sprintf(" · moved to another server %.1f times on average, %s at most", w.MovesMean, count(w.MovesMax)),
		count(w.Requests) + " requests of its own · " + failed + countsText(w.Failures, " ("),
	}
	if w.Writes.Made+w.Writes.Lost+w.Writes.Doubled > 0 {
		writes := fmt.Sprintf("%s: %s read back, ", plural(w.Writes.Made, "write"), count(w.Writes.Verified))
		broken := fmt.Sprintf("%s lost, %s applied twice", count(w.Writes.Lost), count(w.Writes.Doubled))
		if w.Writes.Lost+w.Writes.Doubled > 0 {
			broken = t.paint(bad, broken)
		}
		if w.Writes.Unverified > 0 {
			broken += fmt.Sprintf(", %s not verified", count(w.Writes.Unverified))
		}
		rows = append(rows, writes+broken)
	}
	if w.Sockets.Opened > 0 {
		var closed int64
		for _, n := range w.Sockets.Closed {
			closed += n
		}
		row := fmt.Sprintf("%s: %s closed properly%s, ", plural(w.Sockets.Opened, "WebSocket"), count(closed), countsText(w.Sockets.Closed, " (code "))
		rows = append(rows, row+t.cut(w.Sockets.Cut))
	}
	return rows
}

// countsText writes counts by name in parentheses that begin with open, the largest first; "" when there are none.
func countsText(counts map[string]int64, open string) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return int(counts[b] - counts[a]) })
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s ×%s", printable(name), count(counts[name])))
	}
	if len(parts) == 0 {
		return ""
	}
	return open + strings.Join(parts, ", ") + ")"
}

func (t *text) times() []string {
	time := t.r.Time
	row := fmt.Sprintf("%s = %s unavoidable", t.r.Duration, time.Unavoidable)
	if time.Person > 0 {
		row += fmt.Sprintf(" + %s waiting for a person", time.Person)
	}
	row += fmt.Sprintf(" + %s overhead", time.Overhead)
	if time.Ratio != nil {
		row += fmt.Sprintf(" · ratio %.2f", *time.Ratio)
	}
	return []string{row, fmt.Sprintf("fleet mixed for %s", time.Mixed)}
}

// trouble lists failures by cause, step and server, failed steps, and what nobody ordered.
func (t *text) trouble() {
	rows := t.failures()
	for _, s := range t.r.Steps {
		if s.Status == StepFailed {
			rows = append(rows, t.prose(fmt.Sprintf("%s: %s", t.r.where(s.Plan, s.ID), s.Note))...)
			if s.Hint != "" {
				rows = append(rows, t.prose("hint: "+s.Hint)...)
			}
		}
		if s.Cut > 0 {
			text := fmt.Sprintf("%s: %s cut at the drain deadline", t.r.where(s.Plan, s.ID), plural(int64(s.Cut), "request"))
			rows = append(rows, t.paint(bad, t.fit(text)))
		}
	}
	const incidents, findings = 6, 4
	for _, incident := range first(t.r.Incidents, incidents) {
		row := strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", incident.At.UTC().Format("15:04:05"), incident.Kind, incident.Server, incident.Text), ": ")
		rows = append(rows, t.prose(row)...)
	}
	rows = append(rows, t.more(len(t.r.Incidents)-incidents, "further incident")...)
	if w := t.r.Witness; w != nil {
		for _, finding := range first(w.Findings, findings) {
			rows = append(rows, t.prose("witness: "+finding.Text)...)
		}
		rows = append(rows, t.more(len(w.Findings)+w.FindingsMore-findings, "further finding")...)
	}
	t.section("Trouble", rows)
}

// failures lists groups of failed requests.
func (t *text) failures() []string {
	if t.r.Traffic == nil {
		return nil
	}
	const most = 8
	var rows []string
	for _, group := range first(t.r.Traffic.Failures, most) {
		row := fmt.Sprintf("%s × %s", padLeft(count(group.Count), 5), group.Cause)
		if group.Server != "" {
			row += " on " + string(group.Server)
		}
		sign := ""
		if group.Estimated {
			sign = "about "
		}
		rows = append(rows, t.paint(bad, t.fit(row+" · "+sign+t.r.where(group.Plan, group.Step))))
	}
	return append(rows, t.more(len(t.r.Traffic.Failures)-most, "further group")...)
}

// more says how many are not shown; nothing when all are.
func (t *text) more(n int, noun string) []string {
	if n <= 0 {
		return nil
	}
	return []string{t.paint(faint, fmt.Sprintf("and %s (see --json)", plural(int64(n), noun)))}
}

// fit cuts text from outside to the column beside the section names.
func (t *text) fit(s string) string { return clip(printable(s), t.o.Width-labelWidth-2) }

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }
