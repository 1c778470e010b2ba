package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/receipt"
)

// Times of following, all of them bounds and none of them a promise.
const (
	// lookEvery is how often rollouts are looked at when no event says so; lookAfter how soon after the last look an event leads to another one. A look
	// at a large fleet takes its time: lookShare times as long passes between two of them at least.
	lookEvery = time.Second
	lookAfter = 80 * time.Millisecond
	lookShare = 10
	// drawEvery is how often a live view is redrawn.
	drawEvery = 120 * time.Millisecond
	// receiptWithin bounds the wait for a receipt after the end, drainWithin that for its last events, callWithin that for one answer, reconnectWithin
	// that for a controller.
	receiptWithin   = 3 * time.Minute
	drainWithin     = 2 * time.Second
	callWithin      = 20 * time.Second
	reconnectWithin = time.Minute
)

// following says what to follow.
type following struct {
	ids []segue.RolloutID
	// from is the journal's index that events are told from.
	from  int64
	notes []string
	// stayWhenHeld goes on when a rollout waits for a person, who is there.
	stayWhenHeld bool
}

// deployment is what deploy prints as JSON.
type deployment struct {
	Rollouts []deployed `json:"rollouts"`
	Notes    []string   `json:"notes,omitempty"`
	Sentence string     `json:"sentence"`
	ExitCode int        `json:"exit_code"`
}

// deployed is a rollout with its receipt.
type deployed struct {
	api.Rollout
	// Receipt hides the rollout's flag of that name; null while there is none.
	Receipt json.RawMessage `json:"receipt"`
	// overAt is when the end was first seen.
	overAt time.Time
}

// follower follows rollouts to their end.
type follower struct {
	*link
	following
	rollouts []deployed
	narrator *narrator
	rates    rates
	screen   *screen // nil where nothing may be rewritten
	looked   time.Time
	lookTook time.Duration
	tick     int
	away     bool
}

// follow follows rollouts until all have ended and their receipts are there, then prints those and the end state.
func (s *session) follow(ctx context.Context, controller api.Controller, what following) error {
	f := &follower{link: newLink(s, controller), following: what, narrator: newNarrator(), rollouts: make([]deployed, len(what.ids))}
	defer f.close()
	if s.live() {
		f.screen = &screen{out: s.out}
	}
	if !s.json {
		for _, note := range what.notes {
			s.print("%s", printable(note))
		}
	}
	end, err := f.run(ctx)
	if f.screen != nil {
		f.draw(true)
		f.screen.release()
	}
	if err != nil {
		return err
	}
	return f.report(end)
}

// ending is how following came to its end.
type ending int

const (
	// endOver: every rollout has ended.
	endOver ending = iota
	// endHeld: what has not ended waits for a person.
	endHeld
	// endLeft: somebody left it running.
	endLeft
)

// tell notes an event, and prints it where output is only appended.
func (f *follower) tell(entry segue.Entry) {
	f.from = max(f.from, entry.Index+1)
	if !slices.Contains(f.ids, entry.Event.Rollout) {
		return
	}
	lines := f.narrator.lines(entry)
	if f.screen != nil || f.json {
		return
	}
	prefix := ""
	if len(f.ids) > 1 {
		prefix = string(entry.Event.Service) + ": "
	}
	for _, line := range lines {
		f.print("%s", stamp(entry.At)+" "+prefix+printable(line))
	}
}

// look asks for every rollout that is not settled, and for receipts that have come.
func (f *follower) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	f.looked, f.narrator.stale = f.d.Now(), false
	defer func() { f.lookTook = f.d.Now().Sub(f.looked) }()
	for i, id := range f.ids {
		if f.rollouts[i].Receipt != nil {
			continue
		}
		if err := f.lookAt(ctx, id, &f.rollouts[i]); err != nil {
			return err
		}
	}
	if f.screen == nil {
		return nil
	}
	status, err := f.controller.Status(ctx)
	if err != nil {
		return err
	}
	f.rates.take(status, f.looked)
	return nil
}

// lookAt asks for one rollout.
func (f *follower) lookAt(ctx context.Context, id segue.RolloutID, r *deployed) error {
	fresh, err := f.controller.Rollout(ctx, id)
	if err != nil {
		return err
	}
	if fresh.Phase.Over() && len(fresh.Steps) == 0 {
		// The end view has no steps; the last ones seen stay.
		fresh.Steps, fresh.Batches, fresh.Verdict = r.Steps, r.Batches, r.Verdict
	}
	r.Rollout = fresh
	f.narrator.seed(fresh)
	if !fresh.Phase.Over() {
		return nil
	}
	if r.overAt.IsZero() {
		r.overAt = f.looked
	}
	if !fresh.Receipt && f.looked.Sub(r.overAt) <= receiptWithin {
		return nil
	}
	if r.Receipt, err = f.controller.Receipt(ctx, id); err != nil {
		return fmt.Errorf("get receipt of rollout %s: %w", id, err)
	}
	return nil
}

// ended says whether there is nothing left to follow.
func (f *follower) ended() (ending, bool) {
	end := endOver
	for _, r := range f.rollouts {
		switch {
		case r.Receipt != nil:
		case waitsForPerson(r.Rollout) && !f.stayWhenHeld:
			end = endHeld
		default:
			return endOver, false
		}
	}
	return end, true
}

// waitsForPerson says whether a rollout does nothing until a person says something.
func waitsForPerson(r api.Rollout) bool {
	switch r.Phase {
	case segue.PhaseHeld:
		return true
	case segue.PhasePaused:
		return !slices.ContainsFunc(r.Steps, func(step api.StepStatus) bool {
			return step.Status == stepRunning && step.Kind != segue.StepObserve
		})
	default:
		return false
	}
}

// draw shows the present state on a terminal; the last frame has no spinner and no hints.
func (f *follower) draw(last bool) {
	if f.screen == nil {
		return
	}
	width, height := f.size()
	view := frameView{now: f.d.Now(), tick: f.tick, rates: f.rates.now, width: width, height: height, last: last, away: f.away, answers: f.interactive()}
	for _, r := range f.rollouts {
		if r.ID != 0 {
			view.rollouts = append(view.rollouts, r.Rollout)
		}
	}
	if len(view.rollouts) > 0 {
		f.screen.draw(frame(view, f.paint()))
	}
}

// report prints receipts and the end state, and sets the exit code.
func (f *follower) report(end ending) error {
	result := deployment{Rollouts: f.rollouts, Notes: f.notes, Sentence: sentences(f.rollouts)}
	for _, r := range f.rollouts {
		result.ExitCode = max(result.ExitCode, r.Phase.ExitCode())
	}
	f.code = result.ExitCode
	if f.json {
		return f.writeJSON(result)
	}
	for _, r := range f.rollouts {
		if r.Receipt == nil {
			continue
		}
		var stored receipt.Receipt
		if err := json.Unmarshal(r.Receipt, &stored); err != nil {
			return fmt.Errorf("read receipt of rollout %s: %w", r.ID, err)
		}
		f.print("\n%s", strings.TrimRight(f.receiptText(stored), "\n"))
	}
	for _, line := range f.nextSteps(end) {
		f.print("%s", line)
	}
	f.print("")
	f.say(result.Sentence)
	return nil
}

// nextSteps says how to go on with what has not ended.
func (f *follower) nextSteps(end ending) []string {
	if end == endOver {
		return nil
	}
	paint := f.paint()
	var lines []string
	if end == endLeft {
		lines = append(lines, "", "It goes on without this command: "+paint.strong(f.command("status", "--watch"))+" shows it.")
	}
	for _, r := range f.rollouts {
		if r.Phase.Over() || end == endLeft && !waitsForPerson(r.Rollout) {
			continue
		}
		lines = append(lines, "", fmt.Sprintf("%s waits for you%s:", r.Service, becauseOf(r.Rollout)))
		for _, way := range waysOn(r.Rollout) {
			lines = append(lines, "  "+paint.strong(pad(f.command(way.words...), 30))+" "+way.does)
		}
	}
	return lines
}

func becauseOf(r api.Rollout) string {
	if r.Reason == "" {
		return ""
	}
	return " (" + printable(r.Reason) + ")"
}

// sentences joins the end states into one line.
func sentences(rollouts []deployed) string {
	texts := make([]string, len(rollouts))
	for i, r := range rollouts {
		texts[i] = printable(r.Sentence)
	}
	return strings.Join(texts, " ")
}
