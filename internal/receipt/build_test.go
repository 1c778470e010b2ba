package receipt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

func TestACleanRolloutIsCountedInFull(t *testing.T) {
	r := Build(clean(t))
	if want := "web v1 → v2: done in 29 s, 6,800 requests, 0 failed, 20 of 20 sessions kept"; r.Headline() != want {
		t.Errorf("headline %q, want %q", r.Headline(), want)
	}
	if r.Traffic.Requests != 6800 || r.Traffic.Held != 3 || r.Traffic.LongestHold != Seconds(180*time.Millisecond) || r.Traffic.Long.Closed != 4 {
		t.Errorf("traffic: %+v", r.Traffic)
	}
	if len(r.Steps) != 22 || slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Status != StepDone }) {
		t.Errorf("%d steps, want 22 done ones", len(r.Steps))
	}
	// 5 s before, 10 s bake, and per server 1.1 s drain, 0.25 s stop, 1.98 s boot.
	if want := Seconds(5*time.Second + 10*time.Second + 4*3330*time.Millisecond); r.Time.Unavoidable != want {
		t.Errorf("unavoidable %s, want %s", r.Time.Unavoidable, want)
	}
	// From the first start of v2 to the last stop of v1.
	if want := Seconds(10*time.Second + 2*time.Second + 30*time.Millisecond + 2*3580*time.Millisecond + 1500*time.Millisecond); r.Time.Mixed != want {
		t.Errorf("mixed %s, want %s", r.Time.Mixed, want)
	}
	if r.Traffic.Before.Samples != 1000 || r.Traffic.During.Samples != 5200 || r.Traffic.After.Samples != 600 {
		t.Errorf("latencies: %+v %+v %+v", r.Traffic.Before, r.Traffic.During, r.Traffic.After)
	}
	if r.Witness.MovesMax != 2 || r.Witness.Writes.Made != 412 || r.Partial {
		t.Errorf("witness %+v, partial %v", r.Witness, r.Partial)
	}
}

func TestFailuresGoToTheStepAndServerTheyFellInto(t *testing.T) {
	r := Build(broken(t))
	type key struct {
		cause     string
		plan      int
		step      segue.StepID
		server    segue.ServerName
		estimated bool
	}
	got := map[key]int64{}
	for _, g := range r.Traffic.Failures {
		got[key{g.Cause, g.Plan, g.Step, g.Server, g.Estimated}] = g.Count
	}
	want := map[key]int64{
		{Cause5xx, 1, 6, "web-1", false}: 14, {Cause5xx, 1, 6, "web-1", true}: 4, {"reset", 2, 1, "web-3", false}: 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("failures %v, want %v", got, want)
	}
	if r.Traffic.Failed != 19 || len(r.Traffic.Listed) != 15 {
		t.Errorf("%d failed, %d listed; want 19 and 15, each once though many samples list it", r.Traffic.Failed, len(r.Traffic.Listed))
	}
	if web1 := r.Servers[0]; web1.Failures != 18 || len(web1.Spans) != 4 || !web1.Spans[3].Down {
		t.Errorf("web-1: %+v", web1)
	}
	if len(r.Plans) != 2 || r.Plans[1].Goal != segue.GoalBack || r.Verdicts[0].Findings[0].Ruling != segue.RulingFail {
		t.Errorf("plans %+v, verdicts %+v", r.Plans, r.Verdicts)
	}
}

func TestWaitingForAPersonIsNeitherOverheadNorUnavoidable(t *testing.T) {
	r := Build(awkward(t))
	// 30 s for the approval, 8 s since the pause.
	if r.Time.Person != Seconds(38*time.Second) || !r.Partial || r.Time.Overhead > Seconds(time.Second) {
		t.Errorf("time %+v, partial %v", r.Time, r.Partial)
	}
	if len(r.Orders) != 2 || r.Orders[0].By != "bo \x1b[31m<b>" || r.Orders[0].Step != 6 {
		t.Errorf("orders: %+v", r.Orders)
	}
}

func TestABalancerThatWasStartedAgainIsSaidAndNeverNegative(t *testing.T) {
	r := Build(awkward(t))
	if r.Traffic.Restarts != 1 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "the balancer was started again between") }) {
		t.Errorf("restarts %d, notes %v", r.Traffic.Restarts, r.Notes)
	}
	if r.Traffic.FailuresByCause["no_backend"] != 2 || r.Traffic.Refused != 1 || r.Traffic.Failed != 2 {
		t.Errorf("failures %v, refused %d", r.Traffic.FailuresByCause, r.Traffic.Refused)
	}
}

func TestWhatWasNotMeasuredIsNotZero(t *testing.T) {
	in := clean(t)
	in.Entries = slices.DeleteFunc(slices.Clone(in.Entries), func(e segue.Entry) bool { return e.Event.Kind == segue.EventSample })
	r := Build(in)
	if r.Traffic != nil || r.Witness != nil {
		t.Fatalf("traffic %+v, witness %+v without a sample", r.Traffic, r.Witness)
	}
	if text := Text(r, TextOptions{}); !strings.Contains(text, "not measured") || strings.Contains(text, "0 failed") {
		t.Errorf("text:\n%s", text)
	}
	if n, measured := r.Failed(); n != 0 || measured {
		t.Errorf("Failed() = %d, %v", n, measured)
	}
	in.Live = []Sample{{Balancer: &telemetry.Snapshot{At: in.Ended}}}
	if r := Build(in); r.Traffic != nil || !strings.Contains(strings.Join(r.Notes, " "), "only one sample") {
		t.Errorf("one sample: traffic %+v, notes %v", r.Traffic, r.Notes)
	}
}

func TestAnObservationThatWasPromotedPastEndsWithTheOrder(t *testing.T) {
	s := newScenario(t)
	s.open(2, rolling(2, "v1", "v2", segue.GoalForward))
	s.upgrade(1, 1, time.Second)
	s.wait(3 * time.Second)
	promoted := s.now
	s.add(segue.Event{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbPromote, By: "ana"}})
	s.upgrade(7, 2, time.Second)
	r := Build(s.input(segue.PhaseSucceeded, ""))
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Kind == segue.StepObserve })
	if i < 0 || r.Steps[i].Status != StepOvertaken || !r.Steps[i].Ended.Equal(promoted) || r.Steps[i+1].Started != promoted {
		t.Errorf("steps: %+v", r.Steps)
	}
}

func TestAHoldAfterAFailedGateIsTheWaitForAPerson(t *testing.T) {
	s := newScenario(t)
	s.open(2, rolling(2, "v1", "v2", segue.GoalForward))
	s.upgrade(1, 1, time.Second)
	s.wait(3 * time.Second)
	s.add(segue.Event{Kind: segue.EventVerdict, Step: 6, Verdict: verdict(s.now, segue.RulingFail, 1)})
	s.done(6, segue.Outcome{})
	s.wait(time.Minute)
	s.add(segue.Event{Kind: segue.EventOrder, Order: &segue.Order{Verb: segue.VerbPromote, By: "ana"}})
	s.upgrade(7, 2, time.Second)
	r := Build(s.input(segue.PhaseSucceeded, ""))
	if r.Time.Person != Seconds(time.Minute) {
		t.Errorf("waited %s for a person, want a minute", r.Time.Person)
	}
	drain := r.Steps[6]
	if drain.Kind != segue.StepDrain || drain.Duration != Seconds(1200*time.Millisecond) {
		t.Errorf("the drain after the hold: %+v", drain)
	}
}

func TestStepsSideBySideAreCountedAlongTheLongestChain(t *testing.T) {
	s := newScenario(t)
	plan := rolling(1, "v1", "v2", segue.GoalForward)
	plan.Steps = nil
	for i := 1; i <= 3; i++ {
		plan.Steps = append(plan.Steps, segue.Step{ID: segue.StepID(i), Kind: segue.StepDrain, Server: server(i)})
	}
	plan.Steps = append(plan.Steps, segue.Step{ID: 4, Kind: segue.StepFinalize, After: []segue.StepID{1, 2, 3}})
	s.open(3, plan)
	for i := 1; i <= 3; i++ {
		s.wait(time.Second)
		s.done(segue.StepID(i), segue.Outcome{Unavoidable: time.Duration(i) * time.Second})
	}
	s.wait(500 * time.Millisecond)
	s.done(4, segue.Outcome{})
	r := Build(s.input(segue.PhaseSucceeded, ""))
	if r.Time.Unavoidable != Seconds(3*time.Second) || r.Time.Overhead != Seconds(500*time.Millisecond) {
		t.Errorf("time: %+v, want 3 s unavoidable and 500 ms overhead", r.Time)
	}
}

func TestLeanSamplesGiveTheSameReceipt(t *testing.T) {
	in := broken(t)
	var earlier time.Time
	lean := Input{Rollout: in.Rollout, Phase: in.Phase, Sentence: in.Sentence, Ended: in.Ended}
	listed := 0
	for _, entry := range in.Entries {
		if entry.Event.Kind == segue.EventSample {
			var sample Sample
			if err := json.Unmarshal(entry.Event.Data, &sample); err != nil {
				t.Fatal(err)
			}
			sample = sample.Lean(earlier)
			earlier = sample.Balancer.At
			listed += len(sample.Balancer.Failures)
			event, err := sample.Event("web", in.Rollout)
			if err != nil {
				t.Fatal(err)
			}
			entry.Event = event
		}
		lean.Entries = append(lean.Entries, entry)
	}
	if diff := cmp.Diff(Build(in), Build(lean)); diff != "" {
		t.Errorf("receipt of all (-) and lean (+) samples:\n%s", diff)
	}
	if listed > 16 {
		t.Errorf("%d failures kept in samples for 15 that there were", listed)
	}
}

func TestARunningStepIsShownWhileTheRolloutGoesOn(t *testing.T) {
	s := newScenario(t)
	s.open(2, rolling(2, "v1", "v2", segue.GoalForward))
	s.upgrade(1, 1, time.Second)
	in := s.input(segue.PhaseObserving, "observing web-1")
	in.Now = s.now.Add(4 * time.Second)
	r := Build(in)
	last := r.Steps[len(r.Steps)-1]
	if last.Kind != segue.StepObserve || last.Status != StepRunning || last.Duration != Seconds(4*time.Second) || !r.Partial {
		t.Errorf("last step: %+v, partial %v", last, r.Partial)
	}
}

func TestManyServersStayOneScreen(t *testing.T) {
	const servers = 60
	s := newScenario(t)
	s.open(servers, rolling(servers, "v1", "v2", segue.GoalForward))
	s.upgrade(1, 1, 200*time.Millisecond)
	s.done(6, segue.Outcome{})
	for i := 2; i <= servers; i++ {
		s.upgrade(segue.StepID(7+5*(i-2)), i, 200*time.Millisecond)
	}
	r := Build(s.input(segue.PhaseSucceeded, "done"))
	text := Text(r, TextOptions{Width: 100})
	if n := strings.Count(text, "\n"); n > 45 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
			t.Errorf("%d cells wide: %s", n, line)
		}
	}
	if len(r.Series) > seriesLimit+1 {
		t.Errorf("%d points", len(r.Series))
	}
}

func TestSecondsAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", -time.Second: "0 s", 420 * time.Microsecond: "0.42 ms", 9400 * time.Microsecond: "9.4 ms", 999 * time.Millisecond: "999 ms",
		999800 * time.Microsecond: "1.0 s", 41200 * time.Millisecond: "41 s", 119 * time.Second: "119 s", 200 * time.Second: "3 min 20 s",
		time.Hour - 100*time.Millisecond: "1 h", 125 * time.Minute: "2 h 5 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := Seconds(d).String(); got != want {
			t.Errorf("%v = %q, want %q", d, got, want)
		}
	}
}
