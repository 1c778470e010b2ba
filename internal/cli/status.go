package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

func newStatus(s *session) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show services, servers and what is being done",
		Long: `Status shows every service with its servers, the releases they run, their rotation and readiness, the rollout that is open,
the traffic of each release, and what is not as it should be. With --watch it goes on showing it until Ctrl-C, which
changes nothing.`,
		Example: `  segue status
  segue status --watch
  segue status --json`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if watch && s.json {
				return usage(c, "--watch and --json do not go together").WithHint("`segue status --json` gives one moment")
			}
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if watch {
				return s.watchStatus(c.Context(), controller)
			}
			status, err := controller.Status(c.Context())
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(status)
			}
			width, height := s.size()
			if !s.d.IsTerminal(s.out) {
				width = 0
			}
			for _, line := range statusLines(status, statusView{now: s.d.Now(), width: width, height: height, last: true}, s.paint()) {
				s.print("%s", line)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on showing it")
	return c
}

// statusView is what a status is rendered with.
type statusView struct {
	now           time.Time
	tick          int
	width, height int
	rates         map[segue.ServiceName][]rate
	last          bool
}

// statusLines renders everything at one moment.
func statusLines(status api.Status, v statusView, paint palette) []string {
	var lines []string
	if len(status.Services) == 0 {
		lines = append(lines, "Nothing was deployed here yet.")
	}
	for i, service := range status.Services {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, serviceLines(service, v, paint)...)
	}
	for i := range lines {
		lines[i] = clip(lines[i], v.width)
	}
	return lines
}

func serviceLines(service api.ServiceStatus, v statusView, paint palette) []string {
	head := paint.strong(string(service.Name)) + "  " + paint.stable(orNone(service.Stable))
	if service.Listen != "" {
		head += paint.faint("  on " + service.Listen)
	}
	if service.Previous != "" {
		head += paint.faint("  way back to " + string(service.Previous) + untilText(service.Until))
	}
	lines := []string{head}
	r := api.Rollout{Stable: service.Stable, Candidate: service.Stable}
	if service.Rollout != nil {
		r = *service.Rollout
		frame := frameView{now: v.now, tick: v.tick, width: v.width, height: v.height, last: v.last, rates: v.rates}
		lines = append(lines, "  "+frame.header(r, paint))
		lines = append(lines, frame.below(r, paint)...)
	}
	lines = append(lines, "")
	lines = append(lines, fleetLines(service, r, v, paint)...)
	if len(service.Queued) > 0 {
		ids := make([]string, len(service.Queued))
		for i, id := range service.Queued {
			ids[i] = id.String()
		}
		lines = append(lines, "  "+paint.faint("queued behind it: rollout "+strings.Join(ids, ", ")))
	}
	if traffic := trafficLines(service, r, paint); len(traffic) > 0 {
		lines = append(append(lines, ""), traffic...)
	}
	if len(service.Problems) > 0 {
		lines = append(lines, "")
	}
	for _, problem := range service.Problems {
		lines = append(lines, "  "+paint.bad("! ")+printable(problem))
	}
	if service.Rollout != nil && waitsForPerson(r) {
		lines = append(lines, "")
		for _, way := range waysOn(r) {
			lines = append(lines, "  "+paint.strong(pad("segue "+strings.Join(way.words, " "), 30))+" "+way.does)
		}
	}
	return lines
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " until " + moment(until)
}

// fleetLines is the table of servers; of a large fleet those that are not as they should be, and counts.
func fleetLines(service api.ServiceStatus, r api.Rollout, v statusView, paint palette) []string {
	const most = 40
	t := &table{head: []string{"server", "partition", "release", "rotation", "ready", "instance", "restarts", "up"}, right: map[int]bool{6: true, 7: true}}
	left := 0
	for _, slot := range service.Fleet.Slots {
		if v.width > 0 && len(service.Fleet.Slots) > most && well(slot) && len(slot.Strays) == 0 {
			left++
			continue
		}
		t.rows = append(t.rows, slotRow(slot, r, v, paint))
		for _, stray := range slot.Strays {
			t.row(paint.bad("  stray"), "", string(stray.Release), "", "", string(stray.ID), "", "")
		}
	}
	if len(t.rows) == 0 && left == 0 {
		return []string{"  " + paint.faint("no servers")}
	}
	var lines []string
	if len(t.rows) > 0 {
		lines = t.lines(paint)
	}
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("  %s in order: %s", plural(left, "server"), paint.faint("--json lists them")))
	}
	return lines
}

func slotRow(slot segue.Slot, r api.Rollout, v statusView, paint palette) []string {
	rotation := string(slot.Rotation)
	switch slot.Rotation {
	case segue.RotationIn:
		rotation = paint.good(rotation)
	case segue.RotationDraining, segue.RotationOut:
		rotation = paint.warn(rotation)
	}
	if slot.Instance.ID == "" {
		return []string{string(slot.Server.Name), string(slot.Server.Partition), paint.faint("–"), "", "", paint.faint("empty"), "", ""}
	}
	ready := paint.good("yes")
	if !slot.Ready {
		ready = paint.bad("no")
	}
	restarts := ""
	if slot.Instance.Restarts > 0 {
		restarts = paint.warn(count(int64(slot.Instance.Restarts)))
	}
	up := ""
	if !slot.Instance.StartedAt.IsZero() {
		up = clock(v.now.Sub(slot.Instance.StartedAt))
	}
	return []string{
		string(slot.Server.Name), string(slot.Server.Partition), releasesOf(r, slot, paint), rotation, ready,
		paint.faint(slot.Instance.Address), restarts, up,
	}
}

// trafficLines is the table of what each release's backends did.
func trafficLines(service api.ServiceStatus, r api.Rollout, paint palette) []string {
	t := &table{
		head:  []string{"traffic", "servers", "requests", "errors", "in flight", "p50", "p99"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true},
	}
	for _, each := range service.Traffic {
		if past := each.Release != r.Stable && each.Release != r.Candidate && each.Release != service.Previous; past && each.Backends == 0 {
			continue
		}
		errors := count(each.Errors)
		if each.Errors > 0 {
			errors = paint.bad(errors)
		}
		t.row(releaseName(r, each.Release, paint), count(int64(each.Backends)), count(each.Requests), errors,
			count(int64(each.InFlight)), span(each.P50), span(each.P99))
	}
	if len(t.rows) == 0 {
		return nil
	}
	lines := t.lines(paint)
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	return lines
}

// watchStatus shows the status until Ctrl-C, or for as long as the output is read.
func (s *session) watchStatus(ctx context.Context, controller api.Controller) error {
	ctx, stop := s.untilInterrupt(ctx)
	defer stop()
	link := newLink(s, controller)
	defer link.close()
	var view *screen
	if s.live() {
		view = &screen{out: s.out}
		defer view.release()
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var rates rates
	var before string
	for tick := 0; ; tick++ {
		status, err := link.status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		now := s.d.Now()
		rates.take(status, now)
		width, height := s.size()
		lines := statusLines(status, statusView{now: now, tick: tick, width: width, height: height, rates: rates.now, last: view == nil}, s.paint())
		if view != nil {
			view.draw(lines[:min(len(lines), height-1)])
		} else if text := sentencesOf(status); text != before {
			s.print("%s %s", stamp(now), text)
			before = text
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// sentencesOf is the status in one line, for output that is only appended.
func sentencesOf(status api.Status) string {
	texts := make([]string, 0, len(status.Services))
	for _, service := range status.Services {
		text := fmt.Sprintf("%s: %s.", service.Name, orNone(service.Stable))
		if service.Rollout != nil {
			text = service.Rollout.Sentence
		}
		if len(service.Problems) > 0 {
			text += " Problems: " + strings.Join(service.Problems, "; ") + "."
		}
		texts = append(texts, printable(text))
	}
	if len(texts) == 0 {
		return "Nothing was deployed here yet."
	}
	return strings.Join(texts, " ")
}
