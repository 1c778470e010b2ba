package receipt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// planRecord is a plan with what became of it.
type planRecord struct {
	plan   segue.Plan
	number int
	at     time.Time
	// until is when another plan came; zero for the last one.
	until time.Time
	steps map[segue.StepID]*stepRecord
	// groups says when the first step of each group was begun, of those that have ended.
	groups map[string]time.Time
}

// stepRecord is what entries say of a step. started is worked out: the journal keeps ends.
type stepRecord struct {
	segue.Step
	status   StepStatus
	started  time.Time
	ended    time.Time
	attempts int
	outcome  segue.Outcome
	failure  *segue.Failure
	// visiting guards against plans whose steps wait for each other.
	visiting bool
	timed    bool
	chain    time.Duration
	chained  bool
}

func newPlanRecord(plan segue.Plan, number int, at time.Time) *planRecord {
	p := &planRecord{plan: plan, number: number, at: at, steps: make(map[segue.StepID]*stepRecord, len(plan.Steps)), groups: map[string]time.Time{}}
	for _, step := range plan.Steps {
		p.steps[step.ID] = &stepRecord{Step: step}
	}
	return p
}

// planOf finds the plan that an event's step is of: the one it names, else the present one.
func (b *builder) planOf(number int) *planRecord {
	for _, p := range slices.Backward(b.plans) {
		if number == 0 || p.number == number {
			return p
		}
	}
	return nil
}

func (b *builder) readStep(entry segue.Entry) {
	event := entry.Event
	p := b.planOf(event.PlanNumber)
	if p == nil {
		return
	}
	s := p.steps[event.Step]
	if s == nil {
		b.note("an outcome of step %d names no step of plan %d", event.Step, p.number)
		return
	}
	s.attempts = max(s.attempts+1, event.Attempt)
	s.ended = entry.At
	if event.Kind == segue.EventStepFailed {
		s.status, s.failure = StepFailed, event.Failure
		return
	}
	s.status, s.failure = StepDone, nil
	if event.Outcome != nil {
		s.outcome = *event.Outcome
	}
	switch s.Kind {
	case segue.StepStart:
		b.begin(instanceOf(s.Step), s.Server, s.Release, entry.At)
	case segue.StepStop:
		b.end(instanceOf(s.Step), entry.At)
	default:
	}
}

// findSteps works out when steps were begun, and lists those that were.
func (b *builder) findSteps() {
	for _, p := range b.plans {
		b.inferEnds(p)
		for _, step := range p.plan.Steps {
			b.findStart(p, p.steps[step.ID])
		}
		b.findRunning(p)
		begun := 0
		for _, step := range p.plan.Steps {
			s := p.steps[step.ID]
			if s.status == "" {
				continue
			}
			begun++
			b.r.Steps = append(b.r.Steps, s.row(p.number))
		}
		b.r.Plans = append(b.r.Plans, Plan{
			Number: p.number, Goal: p.plan.Goal, To: p.plan.To, At: p.at, Steps: len(p.plan.Steps), Begun: begun, Notes: p.plan.Notes,
		})
	}
	slices.SortStableFunc(b.r.Steps, func(a, c Step) int {
		return cmp.Or(a.Started.Compare(c.Started), cmp.Compare(a.Plan, c.Plan), cmp.Compare(a.ID, c.ID))
	})
}

// inferEnds ends steps that have no outcome and yet others went on from them: an observation that was promoted past.
func (b *builder) inferEnds(p *planRecord) {
	for _, step := range slices.Backward(p.plan.Steps) {
		s := p.steps[step.ID]
		if s.ended.IsZero() {
			continue
		}
		for _, id := range s.After {
			before := p.steps[id]
			if before == nil || !before.ended.IsZero() {
				continue
			}
			before.status = StepOvertaken
			before.ended = s.ended
			for _, order := range slices.Backward(b.r.Orders) {
				if !order.At.After(s.ended) {
					before.ended = latest(order.At, p.at)
					break
				}
			}
		}
	}
}

// findStart works out when a step that has ended was begun: when the last of those it waits for had ended, its plan was there, and no person was
// waited for.
func (b *builder) findStart(p *planRecord, s *stepRecord) {
	if s.timed || s.visiting {
		return
	}
	s.visiting = true
	start := b.planBegin(p)
	for _, id := range s.After {
		if before := p.steps[id]; before != nil {
			b.findStart(p, before)
			start = latest(start, before.ended)
		}
	}
	if !p.groupBegun(s, start) {
		for _, wait := range b.waits {
			if wait.contains(start) {
				start = wait.to
			}
		}
	}
	s.started = start
	if !s.ended.IsZero() {
		s.started = earliest(s.started, s.ended)
		p.groups[s.Group] = earliest(p.groups[s.Group], s.started)
	}
	s.timed, s.visiting = true, false
}

// planBegin is when a plan's first step could begin.
func (b *builder) planBegin(p *planRecord) time.Time {
	if p.number == 1 {
		return latest(p.at, b.begun())
	}
	return p.at
}

// begun is the time of the sample that says that steps may begin; zero without one.
func (b *builder) begun() time.Time {
	for _, m := range b.samples {
		if m.Label == LabelBegin {
			return m.at
		}
	}
	return time.Time{}
}

// groupBegun says whether a step of the same group was begun before: then it goes on through a pause.
func (p *planRecord) groupBegun(s *stepRecord, at time.Time) bool {
	begun := p.groups[s.Group]
	return s.Group != "" && !begun.IsZero() && begun.Before(at)
}

// findRunning finds the steps of a plan that have no outcome and were begun all the same.
func (b *builder) findRunning(p *planRecord) {
	last := p.until.IsZero()
	for _, step := range p.plan.Steps {
		s := p.steps[step.ID]
		if s.status != "" || s.started.After(b.r.Ended) || slices.ContainsFunc(s.After, p.open) {
			continue
		}
		watching := s.Kind == segue.StepObserve || s.Kind == segue.StepApprove
		switch {
		case last && b.r.Partial && b.working(p, s):
			s.status, s.ended = StepRunning, b.r.Ended
		case watching && !last && s.started.Before(p.until):
			s.status, s.ended = StepOvertaken, p.until
		}
	}
}

// working says whether a step that could run does: a pause or a hold keeps new groups back.
func (b *builder) working(p *planRecord, s *stepRecord) bool {
	switch b.r.Outcome {
	case segue.PhaseQueued:
		return false
	case segue.PhasePaused, segue.PhaseHeld:
		return s.Kind == segue.StepApprove || p.groupBegun(s, s.started)
	default:
		return b.opening != nil
	}
}

// open says whether a step has not gone well, nor been passed over.
func (p *planRecord) open(id segue.StepID) bool {
	s := p.steps[id]
	return s != nil && s.status != StepDone && s.status != StepOvertaken
}

// unavoidable is the part of a step's time that no tool could have saved. An observation, or a wait for readiness, that failed counts whole: it was
// bake, or boot, that led nowhere. A person's time is counted elsewhere.
func (s *stepRecord) unavoidable() time.Duration {
	took := s.took()
	switch {
	case s.Kind == segue.StepApprove:
		return 0
	case s.status == StepFailed && (s.Kind == segue.StepAwaitReady || s.Kind == segue.StepObserve):
		return took
	case s.Kind == segue.StepObserve && s.outcome.Unavoidable == 0:
		return min(took, max(0, cmp.Or(s.For, took)))
	}
	return min(max(0, s.outcome.Unavoidable), took)
}

func (s *stepRecord) took() time.Duration { return max(0, s.ended.Sub(s.started)) }

func (s *stepRecord) row(plan int) Step {
	row := Step{
		Plan: plan, ID: s.ID, Kind: s.Kind, Batch: s.Batch, Server: s.Server, Release: s.Release, Status: s.status,
		Started: s.started, Ended: s.ended, Duration: Seconds(s.took()), Unavoidable: Seconds(s.unavoidable()),
		Attempts: max(1, s.attempts), Deadline: s.outcome.Deadline, Cut: max(0, s.outcome.InFlight), Closed: max(0, s.outcome.LongClosed),
		Note: s.outcome.Note, Database: s.Step.Database, Title: s.Step.Title, Work: workOf(s.outcome), Owed: s.outcome.Owed,
	}
	row.Overhead = row.Duration - row.Unavoidable
	if s.failure != nil {
		row.Note, row.Hint = s.failure.Message, s.failure.Hint
	}
	return row
}

// title says in a few words what a step does.
func (s Step) title() string {
	text := string(s.Kind)
	if s.Title != "" {
		return text + " " + s.Title
	}
	if s.Server != "" {
		text += " " + string(s.Server)
	}
	if s.Release != "" && (s.Kind == segue.StepStart || s.Kind == segue.StepStop || s.Kind == segue.StepAwaitReady) {
		text += " (" + string(s.Release) + ")"
	}
	return text
}

// longest is the critical chain's unavoidable time up to and with a step.
func (p *planRecord) longest(s *stepRecord) time.Duration {
	if s.chained || s.visiting {
		return s.chain
	}
	s.visiting = true
	var before time.Duration
	for _, id := range s.After {
		if other := p.steps[id]; other != nil {
			before = max(before, p.longest(other))
		}
	}
	s.chain, s.chained, s.visiting = before, true, false
	if s.status != "" {
		s.chain += s.unavoidable()
	}
	return s.chain
}

// where names a step of a receipt for people: "step 3, drain web-1".
func (r Receipt) where(plan int, id segue.StepID) string {
	if id == 0 {
		return "between steps"
	}
	for _, s := range r.Steps {
		if s.Plan == plan && s.ID == id {
			if len(r.Plans) > 1 {
				return fmt.Sprintf("plan %d step %d, %s", plan, id, s.title())
			}
			return fmt.Sprintf("step %d, %s", id, s.title())
		}
	}
	return fmt.Sprintf("step %d", id)
}
