package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// plan of one server and an observation.
func smallPlan() segue.Plan {
	return segue.Plan{Service: "web", Goal: segue.GoalForward, From: "v1", To: "v2", Batches: 2, Steps: []segue.Step{
		{ID: 1, Kind: segue.StepDrain, Group: "web-1", Batch: 1, Server: "web-1", Release: "v1"},
		{ID: 2, Kind: segue.StepAdmit, Group: "web-1", Batch: 1, Server: "web-1", Release: "v2", After: []segue.StepID{1}},
		{ID: 3, Kind: segue.StepObserve, Batch: 1, For: time.Minute, After: []segue.StepID{2}},
		{ID: 4, Kind: segue.StepApprove, Batch: 1, After: []segue.StepID{3}},
		{ID: 5, Kind: segue.StepDrain, Group: "web-2", Batch: 2, Server: "web-2", Release: "v1", After: []segue.StepID{4}},
	}}
}

// told gives the lines of events that come a second apart.
func told(n *narrator, events ...segue.Event) []string {
	var lines []string
	for i, event := range events {
		event.Rollout, event.Service = 7, "web"
		lines = append(lines, n.lines(segue.Entry{Index: int64(i + 1), At: noon().Add(time.Duration(i) * time.Second), Event: event})...)
	}
	return lines
}

func opened() segue.Event {
	settings := segue.Service{Name: "web", Servers: make([]segue.Server, 2), Strategy: segue.Strategy{Kind: segue.Rolling}}
	return segue.Event{Kind: segue.EventOpened, Opening: &segue.Opening{
		Settings: settings, Stable: segue.Release{Name: "v1"}, Candidate: segue.Release{Name: "v2"}, Plan: smallPlan(), By: "ana",
	}}
}

func done(step segue.StepID, outcome segue.Outcome) segue.Event {
	return segue.Event{Kind: segue.EventStepDone, PlanNumber: 1, Step: step, Outcome: &outcome}
}

func TestNarrator(t *testing.T) {
	inconclusive := segue.Verdict{Findings: []segue.Finding{{Judge: "errors", Text: "not enough data yet"}}}
	again := inconclusive
	passing := segue.Verdict{Ruling: segue.RulingPass, Final: true}
	for name, test := range map[string]struct {
		events []segue.Event
		want   []string
	}{
		"a deadline and what it cut": {
			[]segue.Event{opened(), done(1, segue.Outcome{Deadline: true, InFlight: 1, LongClosed: 12})},
			[]string{
				"rollout opened: v1 to v2, rolling, 2 servers, by ana", "batch 1 of 2",
				"web-1 drained, 12 long connections closed properly, the deadline passed, 1 request cut (1 s)",
			},
		},
		"a verdict is told again only when a ruling changes": {
			[]segue.Event{
				opened(), done(1, segue.Outcome{}), done(2, segue.Outcome{}),
				{Kind: segue.EventVerdict, Step: 3, PlanNumber: 1, Verdict: &inconclusive},
				{Kind: segue.EventVerdict, Step: 3, PlanNumber: 1, Verdict: &again},
				{Kind: segue.EventVerdict, Step: 3, PlanNumber: 1, Verdict: &passing},
				{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbApprove, By: "joe", Why: "fine"}},
			},
			[]string{
				"rollout opened: v1 to v2, rolling, 2 servers, by ana", "batch 1 of 2", "web-1 drained (1 s)", "web-1 admitted on v2 (2 s)",
				"observing v2 for 60 s", "verdict so far: inconclusive", "  inconclusive  errors: not enough data yet", "verdict: pass",
				"waits for approval", "order: approve, by joe: fine", "batch 2 of 2",
			},
		},
		"promoted past an observation": {
			[]segue.Event{
				opened(), done(1, segue.Outcome{}), done(2, segue.Outcome{}),
				{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbPromote, All: true, By: "joe"}},
			},
			[]string{
				"rollout opened: v1 to v2, rolling, 2 servers, by ana", "batch 1 of 2", "web-1 drained (1 s)", "web-1 admitted on v2 (2 s)",
				"observing v2 for 60 s", "order: promote --all, by joe", "waits for approval",
			},
		},
		"failures, fresh plans and late words": {
			[]segue.Event{
				opened(),
				{Kind: segue.EventStepFailed, PlanNumber: 1, Step: 1, Attempt: 2, Failure: &segue.Failure{Message: "balancer is away", Hint: "start it"}},
				{Kind: segue.EventPlanned, PlanNumber: 2, Failure: &segue.Failure{Message: "nothing left"}},
				{Kind: segue.EventPlanned, PlanNumber: 2, Plan: &segue.Plan{Goal: segue.GoalBack, To: "v1", Steps: []segue.Step{{ID: 1, Kind: segue.StepFinalize}}}},
				done(2, segue.Outcome{}), // of the plan before
				{Kind: segue.EventStepDone, PlanNumber: 2, Step: 1, Outcome: &segue.Outcome{Note: "all is well"}},
				{Kind: segue.EventReceipt},
			},
			[]string{
				"rollout opened: v1 to v2, rolling, 2 servers, by ana", "batch 1 of 2", "web-1 drain failed, attempt 2: balancer is away", "  hint: start it",
				"no plan could be made: nothing left", "fresh plan: back to v1, 1 step", "finalized: all is well", "receipt is ready",
			},
		},
		"what nobody ordered": {
			[]segue.Event{
				{Kind: segue.EventInstanceDown, Server: "web-1", Failure: &segue.Failure{Message: "killed by signal 9"}},
				{Kind: segue.EventInstanceUp, Server: "web-1"},
				{Kind: segue.EventStray, Server: "web-2", Instance: "web-2.v0.1"},
				{Kind: segue.EventServerJoined, Server: "web-3"},
				{Kind: segue.EventServerLeft, Server: "web-3"},
				{Kind: segue.EventSample},
				{Kind: segue.EventStepDone, Step: 99},
			},
			[]string{
				"web-1 is down or not ready: killed by signal 9", "web-1 is ready again", "web-2 runs web-2.v0.1, which nobody started",
				"web-3 joined", "web-3 left",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, told(newNarrator(), test.events...)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNarratorJoinsInTheMiddle: whoever follows a rollout that runs already is told nothing twice.
func TestNarratorJoinsInTheMiddle(t *testing.T) {
	n := newNarrator()
	r := api.Rollout{ID: 7, Service: "web", Stable: "v1", Candidate: "v2", OpenedAt: noon().Add(-time.Minute), Batches: 2}
	for i, step := range smallPlan().Steps {
		status := api.StepStatus{Step: step, Status: stepWaiting}
		if i == 0 {
			status.Status, status.Since = stepRunning, noon().Add(-3*time.Second)
		}
		r.Steps = append(r.Steps, status)
	}
	n.seed(r)
	got := strings.Join(told(n, segue.Event{Kind: segue.EventStepDone, PlanNumber: 4, Step: 1, Outcome: &segue.Outcome{}}), "\n")
	if want := "web-1 drained (3 s)"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestExitCodeIsTheWorst(t *testing.T) {
	for name, test := range map[string]struct {
		phases []segue.Phase
		want   int
	}{
		"all well":             {[]segue.Phase{segue.PhaseSucceeded, segue.PhaseSucceeded}, 0},
		"one held":             {[]segue.Phase{segue.PhaseSucceeded, segue.PhaseHeld}, 10},
		"one paused":           {[]segue.Phase{segue.PhasePaused}, 10},
		"one left running":     {[]segue.Phase{segue.PhaseProgressing, segue.PhaseSucceeded}, 10},
		"one rolled back":      {[]segue.Phase{segue.PhaseRolledBack, segue.PhaseHeld}, 11},
		"one mixed":            {[]segue.Phase{segue.PhaseMixed, segue.PhaseRolledBack}, 13},
		"one waits in a queue": {[]segue.Phase{segue.PhaseQueued}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			s := newSession(Dependencies{Stdio: Stdio{Out: &out, Err: &out}})
			f := &follower{link: newLink(s, nil), narrator: newNarrator()}
			for _, phase := range test.phases {
				f.rollouts = append(f.rollouts, deployed{Rollout: api.Rollout{Phase: phase, Sentence: "web: so it is."}})
			}
			if err := f.report(endLeft); err != nil || s.code != test.want {
				t.Errorf("code %d, error %v, want %d", s.code, err, test.want)
			}
			if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.HasPrefix(lines[len(lines)-1], "web: so it is.") {
				t.Errorf("last line %q is not the end state", lines[len(lines)-1])
			}
		})
	}
}
