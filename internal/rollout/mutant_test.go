package rollout_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/rollout/laws"
)

// TestDeliberateBreaks is a test of the tests: each law is broken once on purpose, by a doctored plan, a doctored answer or a world that
// does not obey, and the checker of that law must notice. The same rollout without the break breaks none.
func TestDeliberateBreaks(t *testing.T) {
	breaks := []struct {
		law      string
		settings []string
		// doctor changes each plan forward or back; misdo plays a step in the world in another way, and says whether it did.
		doctor func(segue.Plan) segue.Plan
		misdo  func(*world, segue.Step) bool
		play   func(*world)
	}{
		{law: "capacity", settings: []string{"servers=3", "min=2", "bake=0s"}, doctor: atOnce},
		{law: "capacity", settings: []string{"servers=3", "min=2", "bake=0s", "workers"}, doctor: atOnce},
		{law: "acknowledged drain", settings: []string{"servers=2", "min=1"}, doctor: without(segue.StepDrain)},
		{law: "acknowledged drain", settings: []string{"servers=2", "min=1"}, misdo: confirmedWithoutWaiting},
		{law: "two at most", settings: []string{"servers=3", "min=1"}, doctor: third},
		{law: "contract last", settings: []string{"servers=2", "min=1"}, play: removed("v1", false)},
		{law: "contract last", settings: []string{"servers=2", "min=1"}, play: removed("v1", true)},
		{law: "way back", settings: []string{"servers=3", "min=1"}, doctor: half(segue.GoalBack), play: abort},
		{law: "nothing hidden", settings: []string{"servers=2", "min=1"}, misdo: forgetsToAdmit},
		{law: "nothing hidden", settings: []string{"servers=2", "min=1"}, play: lies},
		{law: "mirror ends", settings: []string{"servers=2", "min=2", "parallel"}, doctor: leftOn},
		{law: "mirror ends", settings: []string{"servers=2", "min=2", "parallel"}, misdo: keepsMirror},
		{law: "no data lost", settings: []string{"servers=2", "min=1"}, play: func(w *world) { w.fact(laws.Fact{Kind: laws.Written, Index: 9999}) }},
	}
	for _, b := range breaks {
		t.Run(strings.ReplaceAll(b.law, " ", "_"), func(t *testing.T) {
			for _, broken := range []bool{false, true} {
				w := rolledOnce(t, b.settings, broken, b.doctor, b.misdo, b.play)
				got := map[string]bool{}
				for _, violation := range w.verify(settingsOf(b.settings).Balanced) {
					got[violation.Law] = true
				}
				if got[b.law] != broken || !broken && len(got) > 0 {
					t.Errorf("broken on purpose: %v; found: %v", broken, got)
				}
			}
		})
	}
}

// rolledOnce plays v1, then a rollout to v2 that goes well, with or without the break.
func rolledOnce(t *testing.T, options []string, broken bool, doctor func(segue.Plan) segue.Plan, misdo func(*world, segue.Step) bool, play func(*world)) *world {
	t.Helper()
	w, settings := newWorld(), settingsOf(options)
	w.feed(segue.Event{Kind: segue.EventServiceConfigured, Service: "web", Settings: &settings, Config: "sha256:c"})
	deploy := func(stable, candidate segue.Release) {
		if _, err := w.open(settings, stable, candidate, false); err != nil {
			t.Fatal(err)
		}
		for n := 0; len(w.pending) > 0 && n < 500; n++ {
			command := w.take(0)
			if broken && candidate.Name == "v2" && misdo != nil && command.Kind == rollout.CommandStep && misdo(w, command.Step) {
				w.feed(command.Done("web", segue.Outcome{}))
				continue
			}
			w.answer(command)
			if broken && n == 5 && candidate.Name == "v2" && play != nil {
				play(w)
			}
		}
	}
	deploy(segue.Release{}, release("v1"))
	if broken && doctor != nil {
		w.plans = doctor
	}
	deploy(release("v1"), release("v2"))
	return w
}

// atOnce lets all servers of a plan go at the same time and forgets the bound.
func atOnce(plan segue.Plan) segue.Plan {
	plan.MinReady = 0
	for i := range plan.Steps {
		if kind := plan.Steps[i].Kind; kind == segue.StepDrain || kind == segue.StepStop && i > 0 && plan.Steps[i-1].Kind != segue.StepDrain {
			plan.Steps[i].After = nil
		}
	}
	return plan
}

// without makes a kind of step observe nothing for no time: it is never carried out.
func without(kind segue.StepKind) func(segue.Plan) segue.Plan {
	return func(plan segue.Plan) segue.Plan {
		for i := range plan.Steps {
			if plan.Steps[i].Kind == kind {
				plan.Steps[i] = segue.Step{ID: plan.Steps[i].ID, Kind: segue.StepObserve, After: plan.Steps[i].After}
			}
		}
		return plan
	}
}

// leftOn takes the end of a mirror out of a plan.
func leftOn(plan segue.Plan) segue.Plan {
	for i := range plan.Steps {
		if step := &plan.Steps[i]; step.Kind == segue.StepMirror && !step.On {
			*step = segue.Step{ID: step.ID, Kind: segue.StepObserve, After: step.After}
		}
	}
	return plan
}

// keepsMirror is a balancer that says that it copies no requests any more, and does.
func keepsMirror(_ *world, step segue.Step) bool { return step.Kind == segue.StepMirror && !step.On }

// third starts another release on the last server.
func third(plan segue.Plan) segue.Plan {
	for i := range plan.Steps {
		if step := &plan.Steps[i]; step.Server == "web-2" && step.Kind == segue.StepStart {
			step.Release = "v9"
		}
	}
	return plan
}

// half cuts everything but the end off plans to a goal.
func half(goal segue.Goal) func(segue.Plan) segue.Plan {
	return func(plan segue.Plan) segue.Plan {
		if plan.Goal == goal {
			last := plan.Steps[len(plan.Steps)-1]
			last.ID, last.After = 1, nil
			plan.Steps = []segue.Step{last}
		}
		return plan
	}
}

// confirmedWithoutWaiting is a drain that says done while requests are in flight.
func confirmedWithoutWaiting(w *world, step segue.Step) bool {
	i := w.truth[step.Instance]
	if step.Kind != segue.StepDrain || i == nil {
		return false
	}
	i.rotation = segue.RotationDraining
	w.fact(i.fact(laws.Drained))
	return true
}

// forgetsToAdmit is a balancer that says yes and does nothing.
func forgetsToAdmit(_ *world, step segue.Step) bool { return step.Kind == segue.StepAdmit }

// removed takes away what a release needs: while it runs, or while one may go back to it.
func removed(name segue.ReleaseName, later bool) func(*world) {
	return func(w *world) {
		if later {
			for len(w.pending) > 0 {
				w.answer(w.take(0))
			}
		}
		w.fact(laws.Fact{Kind: laws.Removed, Release: name})
	}
}

func abort(w *world) {
	w.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: 2, Order: &segue.Order{Verb: segue.VerbAbort, By: "ann"}})
}

// lies ends a rollout that goes on, with the best of words.
func lies(w *world) {
	state, _ := w.ledger.Rollout(2)
	end := endOf(state)
	end.Phase, end.ExitCode, end.Sentence = segue.PhaseSucceeded, 0, "web: v2 runs on all 2 servers."
	w.fact(laws.Fact{Kind: laws.Ended, End: end})
}

// TestCrashAnywhere folds the journal of a rollout up to every entry, goes on from there with what is handed out again, and comes to the same
// end; and the law's checker notices when it does not.
func TestCrashAnywhere(t *testing.T) {
	options := []string{"servers=4", "min=2", "width=2", "partitions=2", "surge"}
	whole := rolledOnce(t, options, false, nil, nil, nil)
	end := func(w *world) laws.End {
		var last laws.End
		for _, fact := range w.facts {
			if fact.Kind == laws.Ended {
				last = *fact.End
			}
		}
		return last
	}
	opened := 0
	for i, entry := range whole.entries {
		if entry.Event.Kind == segue.EventOpened {
			opened = i + 1
		}
	}
	for n := opened; n < len(whole.entries); n++ {
		w := replayed(whole, n)
		for len(w.pending) > 0 {
			w.answer(w.take(0))
		}
		for _, violation := range laws.CrashAnywhere(end(whole), end(w)) {
			t.Errorf("killed after entry %d: %v", n, violation)
		}
		for _, violation := range w.verify(true) {
			t.Errorf("killed after entry %d: %v", n, violation)
		}
	}
	w := replayed(whole, opened+3)
	abort(w)
	for len(w.pending) > 0 {
		w.answer(w.take(0))
	}
	if len(laws.CrashAnywhere(end(whole), end(w))) == 0 {
		t.Error("another end is not noticed")
	}
}

// replayed is the world as it was after n entries, with the ledger folded anew.
func replayed(whole *world, n int) *world {
	w := newWorld()
	for _, entry := range whole.entries[:n] {
		event := entry.Event
		if event.Kind == segue.EventStepDone {
			w.act(stepOf(w, event))
		}
		w.feed(event)
	}
	var again rollout.Ledger
	for _, entry := range w.entries {
		again, _ = again.Apply(entry)
	}
	w.ledger, w.pending = again, again.Outstanding()
	return w
}

// stepOf finds the step that an event is about.
func stepOf(w *world, event segue.Event) segue.Step {
	for _, command := range w.pending {
		if command.Kind == rollout.CommandStep && command.Rollout == event.Rollout && command.Step.ID == event.Step {
			return command.Step
		}
	}
	return segue.Step{}
}

// TestApplyIsAFunction: the same events give the same states and commands, whether or not the state was written out and read again, or
// cloned, between any two of them.
func TestApplyIsAFunction(t *testing.T) {
	whole := rolledOnce(t, []string{"servers=3", "min=1", "width=2", "bake-each"}, false, nil, nil, nil)
	var straight, cloned rollout.Ledger
	for _, entry := range whole.entries {
		var a, b []rollout.Command
		straight, a = straight.Apply(entry)
		cloned, b = cloned.Apply(entry)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("entry %d: other commands: %s", entry.Index, diff)
		}
		before := cloned.Clone()
		if diff := differ(straight, before); diff != "" {
			t.Fatalf("entry %d: %s", entry.Index, diff)
		}
		cloned = before.Clone()
		if diff := differ(straight, cloned); diff != "" {
			t.Fatalf("entry %d: a clone differs: %s", entry.Index, diff)
		}
	}
}
