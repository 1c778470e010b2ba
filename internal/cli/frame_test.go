package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// scene is a rollout of n servers of which the first few are on v2.
func scene(n, onCandidate int) api.Rollout {
	r := api.Rollout{
		ID: 7, Service: "web", Stable: "v1", Candidate: "v2", Phase: segue.PhaseProgressing, OpenedAt: noon().Add(-72 * time.Second), Batches: 3,
		Goal: segue.GoalForward, Sentence: "web: progressing.",
	}
	for i := range n {
		release := segue.ReleaseName("v1")
		if i < onCandidate {
			release = "v2"
		}
		name := segue.ServerName(fmt.Sprintf("web-%d", i+1))
		r.Fleet.Slots = append(r.Fleet.Slots, segue.Slot{
			Server: segue.Server{Name: name}, Rotation: segue.RotationIn, Ready: true,
			Instance: segue.Instance{ID: segue.InstanceID(name) + "." + segue.InstanceID(release), Release: release, State: segue.InstanceRunning},
		})
		status := stepWaiting
		if i < onCandidate {
			status = stepDone
		}
		r.Steps = append(r.Steps, api.StepStatus{Status: status, Step: segue.Step{
			ID: segue.StepID(i + 1), Kind: segue.StepDrain, Server: name, Batch: min(i, 2) + 1, Release: "v1", Within: time.Minute,
		}})
	}
	return r
}

// at makes the step of a server run since so long.
func at(r *api.Rollout, server int, kind segue.StepKind, release segue.ReleaseName, since time.Duration) *api.StepStatus {
	step := &r.Steps[server-1]
	step.Kind, step.Release, step.Status, step.Since = kind, release, stepRunning, noon().Add(-since)
	return step
}

func observing(r api.Rollout, since time.Duration, verdict *segue.Verdict) api.Rollout {
	r.Phase, r.Verdict = segue.PhaseObserving, verdict
	r.Steps = append(r.Steps, api.StepStatus{Status: stepRunning, Since: noon().Add(-since), Step: segue.Step{Kind: segue.StepObserve, Batch: 1, For: 10 * time.Minute}})
	return r
}

func looked(ruling segue.Ruling, samples int64) *segue.Verdict {
	return &segue.Verdict{Ruling: ruling, At: noon(), Findings: []segue.Finding{
		{
			Judge: "errors", Ruling: ruling, Value: 0.021, Baseline: 0.0004, Limit: 0.0104, Unit: "share", Samples: samples, BaselineSamples: 3 * samples,
			Needed: 100, Text: "2.10 % of answers failed on v2",
		},
		{Judge: "latency", Ruling: segue.RulingPass, Value: 48, Baseline: 41, Limit: 100, Unit: "ms", Samples: samples, BaselineSamples: 3 * samples, Needed: 100},
	}}
}

func frames() map[string]frameView {
	views := map[string]frameView{}
	show := func(name string, width int, rollouts ...api.Rollout) {
		views[name] = frameView{
			rollouts: rollouts, now: noon(), width: width, height: 40, answers: true,
			rates: map[segue.ServiceName][]rate{"web": {
				{release: "v0"},
				{release: "v1", backends: 3, perSecond: 240, share: 0.75, inFlight: 12},
				{release: "v2", backends: 1, perSecond: 80, share: 0.25, errors: 1.6},
			}},
		}
	}
	draining := scene(4, 1)
	at(&draining, 2, segue.StepDrain, "v1", 23*time.Second)
	show("draining", 80, draining)

	starting := scene(4, 1)
	at(&starting, 2, segue.StepAwaitReady, "v2", 4*time.Second).Attempt = 2
	starting.Fleet.Slots[1].Rotation, starting.Fleet.Slots[1].Ready = segue.RotationOut, false
	starting.Fleet.Slots[3].Instance.State, starting.Fleet.Slots[3].Instance.Restarts = segue.InstanceBackOff, 3
	starting.Fleet.Slots[3].Ready = false
	starting.Steps = starting.Steps[:3]
	show("starting-and-a-crash", 80, starting)

	show("observing", 80, observing(scene(4, 1), 4*time.Minute, looked(segue.RulingPass, 2410)))
	show("observing-without-data", 80, observing(scene(4, 1), 11*time.Minute, looked(segue.RulingInconclusive, 12)))
	show("observing-first-look", 80, observing(scene(4, 1), time.Second, nil))

	held := scene(4, 1)
	held.Phase, held.Reason, held.Verdict = segue.PhaseHeld, "errors: 2.10 % of answers failed on v2", looked(segue.RulingFail, 2410)
	show("held", 80, held)

	back := scene(4, 2)
	back.Phase, back.Goal, back.Reason, back.Verdict = segue.PhaseRollingBack, segue.GoalBack, "errors: 2.10 % of answers failed on v2", looked(segue.RulingFail, 2410)
	at(&back, 2, segue.StepStart, "v1", 0)
	show("rolling-back", 80, back)

	over := scene(4, 4)
	over.Phase, over.EndedAt = segue.PhaseSucceeded, noon()
	show("counting-up", 80, over)
	last := views["counting-up"]
	last.last = true
	views["last"] = last

	many := scene(120, 37)
	for i := 38; i <= 43; i++ {
		at(&many, i, segue.StepDrain, "v1", time.Duration(i)*time.Second)
	}
	many.Fleet.Slots[99].Instance.ID, many.Fleet.Slots[99].Ready = "", false
	many.Steps[99].Status = stepDone
	show("many", 80, many)
	low := views["many"]
	low.height = 12
	views["many-on-a-low-terminal"] = low

	sites := scene(4, 1)
	for i := range sites.Fleet.Slots {
		sites.Fleet.Slots[i].Server.Partition = segue.PartitionName([]string{"east", "west"}[i/2])
	}
	sites.Fleet.Slots[1].Beside = &segue.Occupant{Instance: segue.Instance{ID: "web-2.v2.7", Release: "v2"}}
	at(&sites, 2, segue.StepAwaitReady, "v2", 2*time.Second)
	worker := scene(2, 0)
	worker.Service, worker.ID, worker.Phase = "worker", 8, segue.PhaseQueued
	show("two-services", 100, sites, worker)
	show("narrow", 44, observing(scene(4, 1), 4*time.Minute, looked(segue.RulingPass, 2410)))

	away := views["draining"]
	away.away = true
	views["no-controller"] = away
	return views
}

func TestFrames(t *testing.T) {
	for name, view := range frames() {
		t.Run(name, func(t *testing.T) {
			lines := frame(view, newPalette(false))
			golden(t, "frame-"+name, strings.Join(lines, "\n")+"\n")
			for _, line := range frame(view, newPalette(true)) {
				if width(line) > view.width {
					t.Errorf("line is %d cells wide, of %d: %q", width(line), view.width, line)
				}
			}
			if len(lines) >= view.height {
				t.Errorf("%d lines on a terminal of %d", len(lines), view.height)
			}
		})
	}
}

// TestPaintChangesNoText: colour adds escape sequences, nothing else.
func TestPaintChangesNoText(t *testing.T) {
	for name, view := range frames() {
		plain, painted := frame(view, newPalette(false)), frame(view, newPalette(true))
		for i := range plain {
			if i < len(painted) && width(plain[i]) != width(painted[i]) {
				t.Errorf("%s, line %d: plain %q, painted %q", name, i, plain[i], painted[i])
			}
		}
	}
}

func TestPrintableTakesOutWhatTerminalsActOn(t *testing.T) {
	for given, want := range map[string]string{
		"plain → text": "plain → text", "a\x1b[2Jb": "a[2Jb", "one\ntwo\tthree\r": "one two three ", "rtl\u202eoverride": "rtloverride", "bell\x07": "bell",
	} {
		if got := printable(given); got != want {
			t.Errorf("printable(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestRatesCountAnewWhenCountersDo(t *testing.T) {
	var r rates
	status := func(requests int64) api.Status {
		return api.Status{Services: []api.ServiceStatus{{Name: "web", Traffic: []api.ReleaseTraffic{{Release: "v1", Requests: requests}}}}}
	}
	r.take(status(1000), noon())
	r.take(status(1500), noon().Add(100*time.Millisecond)) // too soon to be told
	r.take(status(3000), noon().Add(2*time.Second))
	if got := r.now["web"][0].perSecond; got != 1000 {
		t.Errorf("rate = %v/s, want 1000", got)
	}
	r.take(status(50), noon().Add(3*time.Second))
	if got := r.now["web"][0].perSecond; got != 50 {
		t.Errorf("rate after the counters began anew = %v/s, want 50", got)
	}
}
