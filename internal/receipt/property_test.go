package receipt

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// chaos draws a journal that no controller would write: entries in any order, with anything missing, counters that jump, clocks that go back.
type chaos struct {
	*rapid.T
	now time.Time
}

func (c *chaos) number(name string) int64 { return rapid.Int64Range(-3, 40).Draw(c.T, name) }

func (c *chaos) duration(name string) time.Duration {
	return time.Duration(rapid.Int64Range(-2000, 20000).Draw(c.T, name)) * time.Millisecond
}

func (c *chaos) server() segue.ServerName {
	return rapid.SampledFrom([]segue.ServerName{"", "web-1", "web-2", "web-3"}).Draw(c.T, "server")
}

func (c *chaos) release() segue.ReleaseName {
	return rapid.SampledFrom([]segue.ReleaseName{"", "v1", "v2", "v3"}).Draw(c.T, "release")
}

func (c *chaos) plan() segue.Plan {
	kinds := []segue.StepKind{
		segue.StepDrain, segue.StepStop, segue.StepStart, segue.StepAwaitReady, segue.StepAdmit, segue.StepObserve, segue.StepApprove, segue.StepFinalize, "odd",
	}
	p := segue.Plan{To: c.release(), Goal: segue.GoalForward}
	for i := range rapid.IntRange(0, 8).Draw(c.T, "steps") {
		step := segue.Step{
			ID: segue.StepID(i + 1), Kind: rapid.SampledFrom(kinds).Draw(c.T, "kind"), Server: c.server(), Release: c.release(),
			Group: string(c.server()), For: c.duration("for"), Instance: segue.InstanceID(rapid.SampledFrom([]string{"", "a", "b"}).Draw(c.T, "instance")),
		}
		for range rapid.IntRange(0, 2).Draw(c.T, "afters") {
			// Now and then it waits for itself, for what does not exist, or for what waits for it.
			step.After = append(step.After, segue.StepID(rapid.IntRange(-1, 10).Draw(c.T, "after")))
		}
		p.Steps = append(p.Steps, step)
	}
	return p
}

func (c *chaos) distribution() telemetry.Distribution {
	var h telemetry.Histogram
	for range rapid.IntRange(0, 4).Draw(c.T, "values") {
		h.Observe(c.duration("value"))
	}
	return h.Distribution()
}

func (c *chaos) counts(names ...string) map[string]int64 {
	return map[string]int64{rapid.SampledFrom(names).Draw(c.T, "name"): c.number("count")}
}

func (c *chaos) sample() Sample {
	s := Sample{Label: rapid.SampledFrom([]string{"", LabelOpen, LabelBegin, LabelEnd, LabelAfter}).Draw(c.T, "label")}
	if rapid.Bool().Draw(c.T, "balancer") {
		s.Balancer = &telemetry.Snapshot{
			At: c.now.Add(c.duration("at")), Epoch: rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(c.T, "epoch"),
			Held: c.number("held"), HeldNow: c.number("now"), HeldLongest: c.duration("longest"), Unrouted: c.counts("no_backend", "method"),
			Moves: c.number("moves"), Users: c.number("users"),
		}
		for range rapid.IntRange(0, 3).Draw(c.T, "backends") {
			b := telemetry.BackendStatus{Backend: telemetry.Backend{
				ID: segue.InstanceID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(c.T, "id")), Server: c.server(), Release: c.release(),
			}}
			b.Counters = telemetry.Counters{
				Requests: c.number("requests"), Failures: c.counts("reset", "dial"), Retries: c.number("retries"), LongCut: c.number("cut"),
				LongClosed: c.number("closed"), ClientGone: c.number("gone"), Latency: c.distribution(),
			}
			b.Counters.Classes[rapid.IntRange(0, 5).Draw(c.T, "class")] = c.number("answers")
			s.Balancer.Backends = append(s.Balancer.Backends, b)
		}
		for range rapid.IntRange(0, 3).Draw(c.T, "listed") {
			s.Balancer.Failures = append(s.Balancer.Failures, telemetry.FailedRequest{
				At: c.now.Add(c.duration("failed")), Server: c.server(), Cause: rapid.SampledFrom([]string{"reset", "", "no_backend"}).Draw(c.T, "cause"),
				Status: int(c.number("status")),
			})
		}
	}
	if rapid.Bool().Draw(c.T, "witness") {
		s.Witness = &WitnessSample{
			At: c.now, Run: rapid.SampledFrom([]string{"r", "r", "q"}).Draw(c.T, "run"), Users: int(c.number("users")), Requests: c.number("requests"),
			Failed: c.number("failed"), Failures: c.counts("status"), Latency: c.distribution(), WritesLost: c.number("lost"),
			SocketsClosed: c.counts("1001"), Logouts: []int64{c.number("logouts"), c.number("logouts")}, Moves: []int64{c.number("moves")},
		}
	}
	return s
}

func (c *chaos) event() segue.Event {
	event := segue.Event{
		Kind: rapid.SampledFrom([]segue.EventKind{
			segue.EventOpened, segue.EventPlanned, segue.EventStepDone, segue.EventStepDone, segue.EventStepDone, segue.EventStepFailed, segue.EventVerdict,
			segue.EventOrder, segue.EventInstanceDown, segue.EventInstanceUp, segue.EventServerJoined, segue.EventServerLeft, segue.EventStray,
			segue.EventSample, segue.EventSample, segue.EventSample, segue.EventReceipt, "future",
		}).Draw(c.T, "kind"),
		Rollout: 7, Server: c.server(), Step: segue.StepID(c.number("step") % 9), PlanNumber: int(c.number("plan") % 3), Attempt: int(c.number("attempt") % 3),
		Instance: segue.InstanceID(rapid.SampledFrom([]string{"", "a", "b"}).Draw(c.T, "instance")),
	}
	if rapid.IntRange(0, 9).Draw(c.T, "empty") == 0 {
		return event
	}
	plan := c.plan()
	event.Plan = &plan
	event.Opening = &segue.Opening{
		Stable: segue.Release{Name: c.release()}, Candidate: segue.Release{Name: c.release()}, Plan: c.plan(),
		Queued: rapid.IntRange(0, 5).Draw(c.T, "queued") == 0,
		Fleet:  segue.Fleet{Slots: []segue.Slot{{Server: segue.Server{Name: c.server()}, Instance: segue.Instance{ID: "a", Server: "web-1", Release: c.release()}}}},
	}
	event.Outcome = &segue.Outcome{Unavoidable: c.duration("unavoidable"), InFlight: int(c.number("cut")), LongClosed: int(c.number("closed"))}
	event.Failure = &segue.Failure{Message: "bad"}
	event.Verdict = &segue.Verdict{
		Ruling: rapid.SampledFrom([]segue.Ruling{"", segue.RulingPass, segue.RulingFail}).Draw(c.T, "ruling"),
		Final:  rapid.Bool().Draw(c.T, "final"), Findings: []segue.Finding{{Judge: "errors", Value: 1}},
	}
	event.Order = &segue.Order{Verb: rapid.SampledFrom([]segue.Verb{segue.VerbPause, segue.VerbResume, segue.VerbPromote, segue.VerbApprove}).Draw(c.T, "verb")}
	event.Data, _ = json.Marshal(c.sample())
	return event
}

func (c *chaos) input() Input {
	in := Input{Rollout: 7, Phase: rapid.SampledFrom([]segue.Phase{
		"", segue.PhaseSucceeded, segue.PhaseRolledBack, segue.PhaseProgressing, segue.PhaseHeld, segue.PhasePaused, segue.PhaseMixed,
	}).Draw(c.T, "phase")}
	if rapid.IntRange(0, 9).Draw(c.T, "opened") > 0 {
		opened := c.event()
		opened.Kind = segue.EventOpened
		in.Entries = append(in.Entries, segue.Entry{At: c.now, Event: opened})
	}
	for range rapid.IntRange(0, 25).Draw(c.T, "entries") {
		c.now = c.now.Add(c.duration("later"))
		in.Entries = append(in.Entries, segue.Entry{At: c.now, Event: c.event()})
	}
	if rapid.Bool().Draw(c.T, "ended") {
		in.Ended = c.now.Add(c.duration("end"))
	}
	if rapid.Bool().Draw(c.T, "now") {
		in.Now = c.now.Add(c.duration("now"))
	}
	return in
}

// TestWhateverTheJournalHoldsTheReceiptAddsUp holds for every journal: no panic, nothing negative, sums that are sums.
func TestWhateverTheJournalHoldsTheReceiptAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{T: t, now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
		r := Build(c.input())
		checkTimes(t, r)
		checkFailures(t, r)
		if w := r.Witness; w != nil && w.SessionsKept+w.SessionsLost != w.Users {
			t.Fatalf("%d kept and %d lost are not %d", w.SessionsKept, w.SessionsLost, w.Users)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		if at := negative("", plain); at != "" {
			t.Fatalf("%s is negative", at)
		}
		var again Receipt
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		Text(again, TextOptions{Color: true})
		if err := HTML(io.Discard, again); err != nil {
			t.Fatal(err)
		}
	})
}

func checkTimes(t *rapid.T, r Receipt) {
	if sum := r.Time.Unavoidable + r.Time.Person + r.Time.Overhead; sum != r.Duration {
		t.Fatalf("unavoidable %s, person %s and overhead %s are not %s", r.Time.Unavoidable, r.Time.Person, r.Time.Overhead, r.Duration)
	}
	if r.Duration.Duration() != r.Ended.Sub(r.Started) || r.Time.Mixed > r.Duration {
		t.Fatalf("duration %s of %s to %s, mixed %s", r.Duration, r.Started, r.Ended, r.Time.Mixed)
	}
	if r.Time.Ratio != nil && (*r.Time.Ratio < 1 || math.IsInf(*r.Time.Ratio, 0)) {
		t.Fatalf("ratio %v", *r.Time.Ratio)
	}
	for _, s := range r.Steps {
		if s.Unavoidable+s.Overhead != s.Duration || s.Duration.Duration() != s.Ended.Sub(s.Started) {
			t.Fatalf("step does not add up: %+v", s)
		}
	}
}

func checkFailures(t *rapid.T, r Receipt) {
	if r.Traffic == nil {
		return
	}
	var groups, causes, releases, points, unstepped, stepped int64
	for _, group := range r.Traffic.Failures {
		groups += group.Count
		if group.Step == 0 {
			unstepped += group.Count
		}
	}
	for _, n := range r.Traffic.FailuresByCause {
		causes += n
	}
	for _, release := range r.Traffic.Releases {
		releases += release.Failed
	}
	for _, point := range r.Series {
		points += point.Failed
	}
	for _, s := range r.Steps {
		stepped += s.Failures
	}
	failed := r.Traffic.Failed
	if groups != failed || causes != failed || stepped+unstepped != failed || releases > failed || points > failed {
		t.Fatalf("%d failed; groups %d, causes %d, steps %d and none %d, releases %d, points %d", failed, groups, causes, stepped, unstepped, releases, points)
	}
}

// negative finds a number below zero in decoded JSON and says where; findings' own figures may be anything.
func negative(at string, value any) string {
	switch value := value.(type) {
	case float64:
		if value < 0 {
			return at
		}
	case []any:
		for i, item := range value {
			if found := negative(fmt.Sprint(at, "[", i, "]"), item); found != "" {
				return found
			}
		}
	case map[string]any:
		for key, item := range value {
			if key == "findings" {
				continue
			}
			if found := negative(at+"."+key, item); found != "" {
				return found
			}
		}
	}
	return ""
}

func TestSecondsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Seconds(rapid.Int64Range(0, int64(100*24*time.Hour/time.Microsecond)).Draw(t, "micros")) * Seconds(time.Microsecond)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again Seconds
		if err := json.Unmarshal(text, &again); err != nil || again != s {
			t.Fatalf("%d became %s became %d (%v)", s, text, again, err)
		}
	})
}
