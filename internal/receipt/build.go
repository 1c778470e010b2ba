package receipt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// Version is that of the Receipt's form.
const Version = 1

const (
	// listLimit bounds the single failures that a receipt lists, findingLimit the findings.
	listLimit    = 500
	findingLimit = 50
	// seriesLimit bounds the points of Series; more are put together.
	seriesLimit = 240
)

// Input is all that a receipt is made from.
type Input struct {
	// Entries are the journal's; those of other rollouts are passed over.
	Entries []segue.Entry
	// Rollout is whose receipt is wanted; 0 means the first that was opened in Entries.
	Rollout segue.RolloutID
	// Phase, Sentence and Ended are the machine's word on where it stands; Ended is zero while it is not over.
	Phase    segue.Phase
	Sentence string
	Ended    time.Time
	// Now is how far a partial receipt reaches; zero means to the last entry.
	Now time.Time
	// Live are samples that are not in Entries (yet), later than those.
	Live []Sample
}

// moment is a sample with its place in time.
type moment struct {
	Sample
	at time.Time
}

// builder holds what Build has found so far.
type builder struct {
	in      Input
	r       Receipt
	opening *segue.Opening
	opened  time.Time
	// first is the time of the first entry of this rollout.
	first   time.Time
	plans   []*planRecord
	samples []moment
	// waits are times in which nothing new was begun because a person had not spoken.
	waits []interval
	// holdFrom is when the present wait began; zero: none.
	holdFrom time.Time
	paused   bool
	// instances has the latest life of each, lives all of them in order.
	instances map[segue.InstanceID]*life
	lives     []*life
	downs     map[segue.InstanceID]time.Time
	downSpans []downSpan
	joined    []segue.Server
}

// Build makes the receipt. It never fails: what is missing or cannot be read is said in Notes.
func Build(in Input) Receipt {
	b := &builder{in: in, instances: map[segue.InstanceID]*life{}, downs: map[segue.InstanceID]time.Time{}}
	b.r = Receipt{Version: Version, Rollout: in.Rollout, Outcome: in.Phase, Sentence: in.Sentence}
	for _, entry := range in.Entries {
		b.read(entry)
	}
	for _, sample := range in.Live {
		b.samples = append(b.samples, moment{Sample: sample, at: cmp.Or(sampleTime(sample), in.Now)})
	}
	b.frame()
	b.findSteps()
	b.findServers()
	b.findTime()
	b.findTraffic()
	b.findWitness()
	b.finish()
	return b.r
}

func (b *builder) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.r.Notes, text) {
		b.r.Notes = append(b.r.Notes, text)
	}
}

// read takes one entry in.
func (b *builder) read(entry segue.Entry) {
	event := entry.Event
	if event.Kind == segue.EventOpened && b.in.Rollout == 0 {
		b.in.Rollout = event.Rollout
		b.r.Rollout = event.Rollout
	}
	if event.Rollout != b.in.Rollout {
		return
	}
	b.first = cmp.Or(b.first, entry.At)
	if b.in.Now.IsZero() || b.in.Now.Before(entry.At) {
		// Without Now, or with a clock that was set back, the last entry is how far the receipt reaches.
		b.r.Ended = latest(b.r.Ended, entry.At)
	}
	switch event.Kind {
	case segue.EventOpened:
		b.readOpening(entry)
	case segue.EventPlanned:
		if event.Plan != nil {
			b.readPlan(*event.Plan, event.PlanNumber, entry.At)
		}
	case segue.EventStepDone, segue.EventStepFailed:
		b.readStep(entry)
	case segue.EventVerdict:
		b.readVerdict(entry)
	case segue.EventOrder:
		b.readOrder(entry)
	case segue.EventSample:
		b.readSample(entry)
	case segue.EventInstanceDown, segue.EventInstanceUp, segue.EventServerJoined, segue.EventServerLeft, segue.EventStray:
		b.readIncident(entry)
	default:
	}
}

func (b *builder) readOpening(entry segue.Entry) {
	if b.opening != nil || entry.Event.Opening == nil {
		return
	}
	b.opening, b.opened = entry.Event.Opening, entry.At
	o := b.opening
	b.r.Service = cmp.Or(entry.Event.Service, o.Settings.Name)
	b.r.From, b.r.To = o.Stable.Name, o.Candidate.Name
	b.r.Strategy = cmp.Or(o.Plan.Strategy, o.Settings.Strategy.Kind, segue.Rolling)
	b.r.By, b.r.Why = o.By, o.Why
	for _, slot := range o.Fleet.Slots {
		b.begin(slot.Instance.ID, slot.Server.Name, slot.Instance.Release, entry.At)
		if slot.Beside != nil {
			b.begin(slot.Beside.Instance.ID, slot.Server.Name, slot.Beside.Instance.Release, entry.At)
		}
	}
	if !o.Queued {
		b.readPlan(o.Plan, 1, entry.At)
	}
}

func (b *builder) readPlan(plan segue.Plan, number int, at time.Time) {
	if n := len(b.plans); n > 0 {
		b.plans[n-1].until = at
	}
	b.endWait(at)
	if n := len(b.plans); n > 0 {
		number = max(number, b.plans[n-1].number+1)
	}
	number = max(1, number)
	b.plans = append(b.plans, newPlanRecord(plan, number, at))
}

func (b *builder) readOrder(entry segue.Entry) {
	order := entry.Event.Order
	if order == nil {
		return
	}
	plan := 0
	if order.Step != 0 && len(b.plans) > 0 {
		plan = b.plans[len(b.plans)-1].number
	}
	b.r.Orders = append(b.r.Orders, Order{
		At: entry.At, Verb: order.Verb, By: order.By, Why: order.Why, Servers: order.Servers, Plan: plan, Step: order.Step, All: order.All,
	})
	if order.Verb == segue.VerbPause {
		b.paused = true
		b.beginWait(entry.At)
		return
	}
	if order.Verb != segue.VerbApprove {
		b.paused = false
		b.endWait(entry.At)
	}
}

func (b *builder) beginWait(at time.Time) {
	if b.holdFrom.IsZero() {
		b.holdFrom = at
	}
}

func (b *builder) endWait(at time.Time) {
	if !b.holdFrom.IsZero() {
		b.waits = append(b.waits, interval{b.holdFrom, at})
		b.holdFrom = time.Time{}
	}
}

// endObservation ends the step that a final verdict was the outcome of, where the rollout goes on from it.
func (b *builder) endObservation(entry segue.Entry) {
	verdict := entry.Event.Verdict
	waits := b.opening != nil && b.opening.Settings.Limits.Wait > 0
	goesOn := verdict.Ruling == segue.RulingPass || verdict.Ruling != segue.RulingFail && !waits
	p := b.planOf(entry.Event.PlanNumber)
	if !verdict.Final || !goesOn || p == nil {
		return
	}
	if s := p.steps[entry.Event.Step]; s != nil && s.Kind == segue.StepObserve {
		s.status, s.ended, s.outcome.Unavoidable = StepDone, entry.At, s.For
	}
}

func (b *builder) readVerdict(entry segue.Entry) {
	verdict := entry.Event.Verdict
	if verdict == nil {
		return
	}
	v := Verdict{Plan: max(0, entry.Event.PlanNumber), Step: max(0, entry.Event.Step), Given: 1, Verdict: *verdict}
	if v.Plan == 0 && len(b.plans) > 0 {
		v.Plan = b.plans[len(b.plans)-1].number
	}
	if v.At.IsZero() {
		v.At = entry.At
	}
	if more := len(v.Findings) - findingLimit; more > 0 {
		v.Findings = slices.Clone(v.Findings[:findingLimit])
		b.note("a verdict had %d findings more than are listed here", more)
	}
	for i, had := range b.r.Verdicts {
		if had.Plan == v.Plan && had.Step == v.Step {
			v.Given += had.Given
			b.r.Verdicts = slices.Delete(b.r.Verdicts, i, i+1)
			break
		}
	}
	b.r.Verdicts = append(b.r.Verdicts, v)
	b.endObservation(entry)
	if verdict.Final && verdict.Ruling != segue.RulingPass {
		b.beginWait(entry.At)
	}
}

func (b *builder) readSample(entry segue.Entry) {
	var sample Sample
	if err := json.Unmarshal(entry.Event.Data, &sample); err != nil {
		b.note("a sample in the journal (entry %d) could not be read", entry.Index)
		return
	}
	b.samples = append(b.samples, moment{Sample: sample, at: entry.At})
}

func (b *builder) readIncident(entry segue.Entry) {
	event := entry.Event
	incident := Incident{At: entry.At, Kind: event.Kind, Server: event.Server, Instance: event.Instance}
	if l, ok := b.instances[event.Instance]; ok {
		incident.Release = l.release
		incident.Server = cmp.Or(incident.Server, l.server)
	}
	if event.Failure != nil {
		incident.Text = event.Failure.Message
	}
	b.r.Incidents = append(b.r.Incidents, incident)
	switch event.Kind {
	case segue.EventInstanceDown:
		if _, down := b.downs[event.Instance]; !down {
			b.downs[event.Instance] = entry.At
		}
	case segue.EventInstanceUp:
		b.endDown(event.Instance, entry.At)
	case segue.EventServerJoined:
		b.joined = append(b.joined, segue.Server{Name: event.Server, Partition: event.Partition})
	case segue.EventServerLeft:
		for id, l := range b.instances {
			if l.server == event.Server {
				b.end(id, entry.At)
			}
		}
	default:
	}
}

// sampleTime is when a sample was taken, as its parts say; zero when they do not.
func sampleTime(s Sample) time.Time {
	if s.Balancer != nil && !s.Balancer.At.IsZero() {
		return s.Balancer.At
	}
	if s.Witness != nil {
		return s.Witness.At
	}
	return time.Time{}
}

// latest and earliest pass over zero times.
func latest(a, b time.Time) time.Time {
	if a.IsZero() || b.After(a) {
		return b
	}
	return a
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
