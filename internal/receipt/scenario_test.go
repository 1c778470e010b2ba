package receipt

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// scenario writes a rollout's journal the way the controller would.
type scenario struct {
	t       *testing.T
	start   time.Time
	now     time.Time
	entries []segue.Entry
	// balancer and crowd are the running counters.
	balancer telemetry.Snapshot
	crowd    WitnessSample
	hist     map[segue.InstanceID]*telemetry.Histogram
	felt     telemetry.Histogram
	plan     segue.Plan
	number   int
}

const rollout7 = segue.RolloutID(7)

func newScenario(t *testing.T) *scenario {
	t.Helper()
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	return &scenario{
		t: t, start: start, now: start, hist: map[segue.InstanceID]*telemetry.Histogram{},
		balancer: telemetry.Snapshot{Epoch: "a", Unrouted: map[string]int64{}},
		crowd:    WitnessSample{Run: "r1", Users: 20, Logouts: make([]int64, 20), Moves: make([]int64, 20), Failures: map[string]int64{}, SocketsClosed: map[string]int64{}},
	}
}

func (s *scenario) add(event segue.Event) {
	event.Rollout, event.Service = rollout7, "web"
	s.entries = append(s.entries, segue.Entry{Index: int64(len(s.entries) + 1), At: s.now, Event: event})
}

func (s *scenario) wait(d time.Duration) { s.now = s.now.Add(d) }

func server(i int) segue.ServerName { return segue.ServerName(fmt.Sprintf("web-%d", i)) }

func instance(i int, release segue.ReleaseName) segue.InstanceID {
	return segue.InstanceID(fmt.Sprintf("web-%d.%s.7", i, release))
}

// rolling is the plan that takes the first so many servers from one release to another, one at a time, and observes after the first.
func rolling(last int, from, to segue.ReleaseName, goal segue.Goal) segue.Plan {
	p := segue.Plan{Service: "web", Strategy: segue.Rolling, Goal: goal, From: from, To: to, MinReady: 2, Batches: 2}
	add := func(step segue.Step) {
		step.ID = segue.StepID(len(p.Steps) + 1)
		if n := len(p.Steps); n > 0 {
			step.After = []segue.StepID{segue.StepID(n)}
		}
		p.Steps = append(p.Steps, step)
	}
	for i := 1; i <= last; i++ {
		group, batch := string(server(i)), 1
		if i > 1 {
			batch = 2
		}
		at := segue.Step{Group: group, Batch: batch, Server: server(i)}
		for _, kind := range []segue.StepKind{segue.StepDrain, segue.StepStop, segue.StepStart, segue.StepAwaitReady, segue.StepAdmit} {
			step := at
			step.Kind, step.Release, step.Instance = kind, to, instance(i, to)
			if kind == segue.StepDrain || kind == segue.StepStop {
				step.Release, step.Instance = from, instance(i, from)
			}
			add(step)
		}
		if i == 1 && goal == segue.GoalForward {
			add(segue.Step{Kind: segue.StepObserve, Batch: 1, For: 10 * time.Second})
		}
	}
	add(segue.Step{Kind: segue.StepFinalize, Release: to})
	return p
}

func (s *scenario) open(servers int, plan segue.Plan) {
	fleet := segue.Fleet{Service: "web"}
	for i := 1; i <= servers; i++ {
		id := instance(i, plan.From)
		fleet.Slots = append(fleet.Slots, segue.Slot{
			Server:   segue.Server{Name: server(i)},
			Instance: segue.Instance{ID: id, Server: server(i), Release: plan.From}, Rotation: segue.RotationIn, Ready: true,
		})
		s.backend(i, plan.From, segue.RotationIn)
	}
	s.plan, s.number = plan, 1
	s.add(segue.Event{Kind: segue.EventOpened, Opening: &segue.Opening{
		Settings: segue.Service{Name: "web"}, Stable: segue.Release{Name: plan.From}, Candidate: segue.Release{Name: plan.To},
		Fleet: fleet, Plan: plan, By: "ana", Why: "new search",
	}})
}

func (s *scenario) replan(plan segue.Plan) {
	s.number++
	s.plan = plan
	s.add(segue.Event{Kind: segue.EventPlanned, PlanNumber: s.number, Plan: &plan})
}

func (s *scenario) backend(i int, release segue.ReleaseName, rotation segue.Rotation) {
	id := instance(i, release)
	for n := range s.balancer.Backends {
		if s.balancer.Backends[n].ID == id {
			s.balancer.Backends[n].Rotation = rotation
			return
		}
	}
	s.hist[id] = &telemetry.Histogram{}
	s.balancer.Backends = append(s.balancer.Backends, telemetry.BackendStatus{
		Backend: telemetry.Backend{ID: id, Server: server(i), Release: release}, Rotation: rotation,
		Counters: telemetry.Counters{Failures: map[string]int64{}},
	})
}

// traffic spreads requests over the backends in rotation, each taking about as long as given.
func (s *scenario) traffic(requests int, took time.Duration) {
	var in []*telemetry.BackendStatus
	for n := range s.balancer.Backends {
		if s.balancer.Backends[n].Rotation == segue.RotationIn {
			in = append(in, &s.balancer.Backends[n])
		}
	}
	for i := range requests {
		b := in[i%len(in)]
		b.Counters.Requests++
		b.Counters.Classes[2]++
		// One in fifty is five times as slow.
		d := took + time.Duration(i%17)*took/40
		if i%50 == 49 {
			d *= 5
		}
		s.hist[b.ID].Observe(d)
		if i%5 == 0 {
			s.crowd.Requests++
			s.felt.Observe(d + time.Millisecond)
		}
	}
}

// fail counts one failed request, and lists it if asked to.
func (s *scenario) fail(i int, release segue.ReleaseName, cause string, listed bool) {
	for n := range s.balancer.Backends {
		b := &s.balancer.Backends[n]
		if b.ID != instance(i, release) {
			continue
		}
		b.Counters.Requests++
		if cause == Cause5xx {
			b.Counters.Classes[5]++
		} else {
			b.Counters.Failures[cause]++
		}
		if listed {
			s.balancer.Failures = append(s.balancer.Failures, telemetry.FailedRequest{
				At: s.now, Server: server(i), Release: release, Cause: cause, Status: 502, Method: "GET", Path: "/orders",
			})
		}
	}
}

func (s *scenario) sample(label string) {
	s.balancer.At, s.crowd.At = s.now, s.now
	for n := range s.balancer.Backends {
		b := &s.balancer.Backends[n]
		b.Counters.Latency = s.hist[b.ID].Distribution()
	}
	s.crowd.Latency = s.felt.Distribution()
	event, err := Sample{Label: label, Balancer: &s.balancer, Witness: &s.crowd}.Event("web", rollout7)
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(event)
}

func (s *scenario) done(id segue.StepID, outcome segue.Outcome) {
	s.add(segue.Event{Kind: segue.EventStepDone, PlanNumber: s.number, Step: id, Attempt: 1, Outcome: &outcome})
}

// upgrade carries out the five steps of one server that begin with the given one.
func (s *scenario) upgrade(id segue.StepID, i int, boot time.Duration) {
	step, _ := s.plan.Step(id)
	to, _ := s.plan.Step(id + 2)
	s.backend(i, step.Release, segue.RotationDraining)
	s.traffic(240, 2*time.Millisecond)
	s.wait(1200 * time.Millisecond)
	s.crowd.SocketsClosed["1001"]++
	for n := range s.balancer.Backends {
		if s.balancer.Backends[n].ID == instance(i, step.Release) {
			s.balancer.Backends[n].Counters.LongClosed++
		}
	}
	s.done(id, segue.Outcome{Unavoidable: 1100 * time.Millisecond, LongClosed: 1})
	s.backend(i, step.Release, segue.RotationOut)
	s.sample(fmt.Sprintf("step %d", id))
	s.traffic(60, 2*time.Millisecond)
	s.wait(300 * time.Millisecond)
	s.done(id+1, segue.Outcome{Unavoidable: 250 * time.Millisecond})
	s.wait(50 * time.Millisecond)
	s.done(id+2, segue.Outcome{Address: "127.0.0.1:1"})
	s.traffic(500, 2200*time.Microsecond)
	s.wait(boot)
	s.done(id+3, segue.Outcome{Unavoidable: boot - 20*time.Millisecond})
	s.wait(30 * time.Millisecond)
	s.backend(i, to.Release, segue.RotationIn)
	s.done(id+4, segue.Outcome{})
	s.sample(fmt.Sprintf("step %d", id+4))
	for user := range s.crowd.Moves {
		if user%3 == i%3 {
			s.crowd.Moves[user]++
		}
	}
}

func (s *scenario) input(phase segue.Phase, sentence string) Input {
	in := Input{Entries: s.entries, Rollout: rollout7, Phase: phase, Sentence: sentence}
	if phase.Over() {
		for _, entry := range s.entries {
			if entry.Event.Kind != segue.EventSample {
				in.Ended = entry.At
			}
		}
	}
	return in
}

func verdict(at time.Time, ruling segue.Ruling, value float64) *segue.Verdict {
	given := &segue.Verdict{Ruling: ruling, At: at, Final: true, Findings: []segue.Finding{
		{
			Judge: "latency", Ruling: segue.RulingPass, Release: "v2", Value: 11, Baseline: 10.2, Limit: 15.3, Unit: "ms", Samples: 1240,
			BaselineSamples: 3720, Needed: 200, Text: "p99 of v2 beside v1",
		},
		{
			Judge: "errors", Ruling: ruling, Release: "v2", Value: value, Baseline: 0.0004, Limit: 0.01, Unit: "share", Samples: 1240,
			BaselineSamples: 3720, Needed: 200, ErrorRate: 0.01, Text: "share of failed answers of v2 beside v1",
		},
	}}
	if ruling == segue.RulingFail {
		given.Findings = append(given.Findings, segue.Finding{
			Judge: "logs", Ruling: ruling, Server: "web-1", Release: "v2", Value: 4, Limit: 1, Unit: "per minute", Samples: 12, Evidence: 812.4, Threshold: 66,
			ErrorRate: 0.01, Text: "new error: 12 times on web-1, never on v1", Sample: `ERROR checkout: "charge declined" order=4711 user=<script>`,
		})
	}
	return given
}

// clean is a rollout in which all goes well.
func clean(t *testing.T) Input {
	t.Helper()
	s := newScenario(t)
	s.open(4, rolling(4, "v1", "v2", segue.GoalForward))
	s.sample(LabelOpen)
	s.traffic(1000, 2*time.Millisecond)
	s.wait(5 * time.Second)
	s.sample(LabelBegin)
	s.crowd.SocketsOpened = 10
	s.upgrade(1, 1, 2*time.Second)
	for range 5 {
		s.traffic(400, 2100*time.Microsecond)
		s.wait(2 * time.Second)
		s.sample("")
	}
	s.add(segue.Event{Kind: segue.EventVerdict, Step: 6, PlanNumber: 1, Verdict: verdict(s.now, segue.RulingPass, 0)})
	s.done(6, segue.Outcome{Unavoidable: 10 * time.Second})
	for i := 2; i <= 4; i++ {
		s.upgrade(segue.StepID(7+5*(i-2)), i, 2*time.Second)
	}
	s.balancer.Held, s.balancer.HeldLongest = 3, 180*time.Millisecond
	s.crowd.WritesMade, s.crowd.WritesVerified = 412, 412
	s.wait(20 * time.Millisecond)
	s.done(22, segue.Outcome{})
	s.sample(LabelEnd)
	s.traffic(600, 2*time.Millisecond)
	s.wait(3 * time.Second)
	s.sample(LabelAfter)
	return s.input(segue.PhaseSucceeded, "web runs v2 on all 4 servers.")
}

// broken is a rollout whose candidate answers with errors: the first server is taken back.
func broken(t *testing.T) Input {
	t.Helper()
	s := newScenario(t)
	s.open(4, rolling(4, "v1", "v2", segue.GoalForward))
	s.sample(LabelOpen)
	s.traffic(1000, 2*time.Millisecond)
	s.wait(2 * time.Second)
	s.sample(LabelBegin)
	s.upgrade(1, 1, 2*time.Second)
	for i := range 4 {
		s.traffic(400, 2100*time.Microsecond)
		s.wait(1500 * time.Millisecond)
		for n := range 3 + i {
			s.fail(1, "v2", Cause5xx, n != 0)
			s.wait(90 * time.Millisecond)
		}
		s.sample("")
	}
	s.fail(3, "v1", "reset", true)
	s.crowd.Failed, s.crowd.Failures["status"] = 4, 4
	s.crowd.Findings = []segue.Finding{{
		Judge: "witness", Ruling: segue.RulingFail, Server: "web-1", Release: "v2", At: s.now,
		Text: `step "orders" of user 7 on web-1 (v2) at 10:00:08.412: status 500, want 200 to 299`,
	}}
	s.add(segue.Event{Kind: segue.EventInstanceDown, Server: "web-1", Instance: instance(1, "v2"), Failure: &segue.Failure{Message: "exited with 2"}})
	s.add(segue.Event{Kind: segue.EventVerdict, Step: 6, PlanNumber: 1, Verdict: verdict(s.now, segue.RulingFail, 0.021)})
	s.add(segue.Event{Kind: segue.EventStepFailed, PlanNumber: 1, Step: 6, Attempt: 1, Failure: &segue.Failure{
		Kind: segue.KindUnhealthy, Message: "errors: 2.1 % of the answers of v2 failed, limit 1 %",
	}})
	back := rolling(1, "v2", "v1", segue.GoalBack)
	s.replan(back)
	s.wait(10 * time.Millisecond)
	s.upgrade(1, 1, 1500*time.Millisecond)
	s.wait(10 * time.Millisecond)
	s.done(6, segue.Outcome{})
	s.sample(LabelEnd)
	return s.input(segue.PhaseRolledBack, "web is back on v1 on all 4 servers: v2 failed its observation (errors).")
}

// awkward is under way, was paused and approved, its balancer was started again, its witness is missing, and its texts are hostile.
func awkward(t *testing.T) Input {
	t.Helper()
	s := newScenario(t)
	plan := rolling(3, "v1", "v2", segue.GoalForward)
	plan.Notes = []string{`worker: unchanged <script>alert("x")</script>`}
	plan.Steps[5].Kind = segue.StepApprove
	s.open(3, plan)
	s.sample(LabelOpen)
	s.upgrade(1, 1, time.Second)
	s.wait(30 * time.Second)
	s.add(segue.Event{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbApprove, Step: 6, By: "bo \x1b[31m<b>", Why: "looks & is good"}})
	s.done(6, segue.Outcome{})
	s.balancer = telemetry.Snapshot{Epoch: "b", Unrouted: map[string]int64{"no_backend": 2, "method": 1}}
	for i := 1; i <= 3; i++ {
		release := segue.ReleaseName("v1")
		if i == 1 {
			release = "v2"
		}
		s.backend(i, release, segue.RotationIn)
	}
	s.upgrade(7, 2, time.Second)
	s.add(segue.Event{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbPause, By: "bo"}})
	s.wait(7 * time.Second)
	s.entries = append(s.entries, segue.Entry{Index: 99, At: s.now, Event: segue.Event{
		Kind: segue.EventSample, Rollout: rollout7, Data: json.RawMessage(`{"balancer": 3}`),
	}})
	in := s.input(segue.PhasePaused, "web is paused: 2 of 3 servers run v2.")
	in.Now = s.now.Add(time.Second)
	for i, entry := range in.Entries {
		if entry.Event.Kind == segue.EventSample {
			var sample Sample
			if json.Unmarshal(entry.Event.Data, &sample) == nil {
				sample.Witness = nil
				in.Entries[i].Event.Data, _ = json.Marshal(sample)
			}
		}
	}
	return in
}
