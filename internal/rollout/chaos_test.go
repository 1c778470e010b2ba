package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// TestChaos lets anything happen to a rollout, in any order and twice: it never panics, breaks no law, and comes to an end once the
// world has calmed down. At any point the journal, folded again, gives the same state and the same commands.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{T: t, world: newWorld()}
		c.settings = drawSettings(t)
		settings := c.settings
		c.feed(segue.Event{Kind: segue.EventServiceConfigured, Service: "web", Settings: &settings, Config: "sha256:c"})
		c.found()
		for _, candidate := range []string{"v2", "v3"} {
			if _, err := c.open(c.settings, c.service().Stable, release(candidate), false); err != nil {
				continue
			}
			for range rapid.IntRange(0, 80).Draw(t, "acts") {
				c.disturb()
			}
			c.calm()
		}
		if violations := c.verify(c.settings.Balanced); len(violations) > 0 {
			t.Fatalf("%v\n%s", violations, c.story())
		}
	})
}

// chaos is a world in which anything happens.
type chaos struct {
	*rapid.T
	*world
	settings segue.Service
}

func (c *chaos) service() *rollout.ServiceLedger { return c.ledger.Services["web"] }

func drawSettings(t *rapid.T) segue.Service {
	flag := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	options := []string{
		fmt.Sprintf("servers=%d", rapid.IntRange(1, 5).Draw(t, "servers")),
		fmt.Sprintf("partitions=%d", rapid.IntRange(1, 2).Draw(t, "partitions")),
		fmt.Sprintf("width=%d", rapid.IntRange(1, 3).Draw(t, "width")),
		fmt.Sprintf("crashes=%d", rapid.IntRange(0, 2).Draw(t, "crashes")),
	}
	for _, name := range []string{"surge", "workers", "all-at-once", "parallel", "hold", "approve", "bake-each", "bake=0s", "wait=1h"} {
		if flag(name) {
			options = append(options, name)
		}
	}
	settings := settingsOf(options)
	settings.MinReady = rapid.IntRange(0, len(settings.Servers)).Draw(t, "min ready")
	for _, batch := range rapid.SliceOfN(rapid.IntRange(1, 100), 0, 2).Draw(t, "batches") {
		settings.Strategy.Batches = append(settings.Strategy.Batches, segue.Batch{Percent: batch})
	}
	return settings
}

// found deploys v1 without a disturbance.
func (c *chaos) found() {
	if _, err := c.open(c.settings, segue.Release{}, release("v1"), false); err != nil {
		c.Fatal(err)
	}
	for len(c.pending) > 0 {
		c.answer(c.take(0))
	}
}

// disturb lets one thing happen.
func (c *chaos) disturb() {
	c.now = c.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(c.T, "seconds")) * time.Second)
	switch rapid.IntRange(0, 15).Draw(c.T, "act") {
	case 0, 1, 2, 3, 4, 5:
		if len(c.pending) > 0 {
			c.answer(c.take(rapid.IntRange(0, len(c.pending)-1).Draw(c.T, "answered")))
		}
	case 6, 7:
		c.fail()
	case 8:
		c.judged()
	case 9, 10:
		c.ordered()
	case 11:
		c.dies()
	case 12:
		c.revives()
	case 13:
		c.moves()
	case 14:
		c.again()
	case 15:
		c.crash()
	}
}

// fail lets an attempt fail, with or without its effect.
func (c *chaos) fail() {
	if len(c.pending) == 0 {
		return
	}
	command := c.take(rapid.IntRange(0, len(c.pending)-1).Draw(c.T, "failed"))
	effective := rapid.Bool().Draw(c.T, "with its effect") && command.Step.Kind != segue.StepAwaitReady
	if effective && command.Kind == rollout.CommandStep {
		c.act(command.Step)
	}
	kind := rapid.SampledFrom([]segue.Kind{segue.KindUnavailable, segue.KindTimeout, segue.KindFault, segue.KindInvalid, segue.KindUnhealthy}).Draw(c.T, "kind")
	c.feed(command.Failed("web", segue.Errorf(kind, "it fails")))
}

func (c *chaos) judged() {
	verdict := segue.Verdict{
		Ruling: rapid.SampledFrom([]segue.Ruling{segue.RulingPass, segue.RulingInconclusive, segue.RulingInconclusive, segue.RulingFail, segue.RulingHold, segue.RulingReport}).Draw(c.T, "ruling"),
		Final:  rapid.Bool().Draw(c.T, "final"), At: c.now,
	}
	i := slices.IndexFunc(c.pending, func(p rollout.Command) bool { return p.Step.Kind == segue.StepObserve })
	if i < 0 {
		if rapid.IntRange(0, 5).Draw(c.T, "out of the blue") == 0 {
			c.feed(segue.Event{Kind: segue.EventVerdict, Service: "web", Rollout: c.ledger.Next() - 1, Verdict: &verdict})
		}
		return
	}
	command := c.pending[i]
	if verdict.Final {
		c.take(i)
	}
	c.feed(command.Judged("web", verdict))
}

func (c *chaos) ordered() {
	verbs := []segue.Verb{
		segue.VerbPromote, segue.VerbPromote, segue.VerbPause, segue.VerbResume, segue.VerbResume, segue.VerbApprove, segue.VerbRollback, segue.VerbAbort,
	}
	order := segue.Order{Verb: rapid.SampledFrom(verbs).Draw(c.T, "verb"), All: rapid.IntRange(0, 4).Draw(c.T, "all") == 0, By: "ann"}
	if order.Verb == segue.VerbRollback {
		for _, slot := range c.service().Fleet.Slots {
			if rapid.Bool().Draw(c.T, "rolled back") {
				order.Servers = append(order.Servers, slot.Server.Name)
			}
		}
	}
	c.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: c.ledger.Next() - 1, Order: &order})
}

// dies lets an instance die by itself, revives brings one back.
func (c *chaos) dies() {
	if ids := c.ids(); len(ids) > 0 {
		i := c.truth[rapid.SampledFrom(ids).Draw(c.T, "dies")]
		c.report(segue.EventInstanceDown, i)
	}
}

func (c *chaos) revives() {
	for _, id := range c.ids() {
		if i := c.truth[id]; !i.ready && !c.starting(i) {
			c.report(segue.EventInstanceUp, i)
			return
		}
	}
}

// starting says whether it is not ready because nobody has awaited that yet.
func (c *chaos) starting(i *instance) bool {
	return slices.ContainsFunc(c.pending, func(p rollout.Command) bool { return p.Step.Instance == i.ID })
}

func (c *chaos) report(kind segue.EventKind, i *instance) {
	event := segue.Event{Kind: kind, Service: "web", Server: i.Server, Instance: i.ID}
	c.befall(event)
	c.feed(event)
}

// moves lets servers join and leave, and strays turn up.
func (c *chaos) moves() {
	slots := c.service().Fleet.Slots
	switch n := rapid.IntRange(0, 2).Draw(c.T, "move"); {
	case n == 0 && len(slots) < 7:
		partition := rapid.SampledFrom([]segue.PartitionName{"", "a", "b"}).Draw(c.T, "partition")
		c.feed(segue.Event{Kind: segue.EventServerJoined, Service: "web", Server: segue.ServerName(fmt.Sprintf("new-%d", len(c.entries))), Partition: partition})
	case n == 1 && len(slots) > 1:
		c.feed(segue.Event{Kind: segue.EventServerLeft, Service: "web", Server: rapid.SampledFrom(slots).Draw(c.T, "leaves").Server.Name})
	case n == 2 && len(slots) > 0:
		server := rapid.SampledFrom(slots).Draw(c.T, "has a stray").Server.Name
		event := segue.Event{Kind: segue.EventStray, Service: "web", Server: server, Instance: segue.InstanceID(fmt.Sprintf("stray-%d", len(c.entries)))}
		c.befall(event)
		c.feed(event)
	}
	c.settings.Servers = c.service().Settings.Servers
}

// again repeats an event that happened.
func (c *chaos) again() {
	event := rapid.SampledFrom(c.entries).Draw(c.T, "again").Event
	switch event.Kind {
	case segue.EventStepDone, segue.EventStepFailed, segue.EventVerdict, segue.EventPlanned:
		c.feed(event)
	default:
	}
}

// crash folds the journal again: it gives the same state, and hands out again what was not answered.
func (c *chaos) crash() {
	var again rollout.Ledger
	for _, entry := range c.entries {
		again, _ = again.Apply(entry)
	}
	if diff := differ(c.ledger, again); diff != "" {
		c.Fatalf("the journal gives another state: %s", diff)
	}
	c.ledger, c.pending = again, again.Outstanding()
}

// calm lets everything go well until the rollout is over.
func (c *chaos) calm() {
	for n := range 2000 {
		open := c.service().Open
		if open == nil {
			return
		}
		for _, id := range c.ids() {
			if i := c.truth[id]; !i.ready && !c.starting(i) && !i.stray {
				c.report(segue.EventInstanceUp, i)
			}
		}
		switch {
		case len(c.pending) > 0:
			c.answer(c.take(0))
		case open.Phase == segue.PhaseHeld || open.Phase == segue.PhasePaused:
			verb := rapid.SampledFrom([]segue.Verb{segue.VerbPromote, segue.VerbResume, segue.VerbAbort}).Draw(c.T, "decision")
			if n > 1000 {
				verb = segue.VerbAbort
			}
			c.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: open.ID, Order: &segue.Order{Verb: verb, By: "ann"}})
		case n%10 == 9 && n > 1000:
			c.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: open.ID, Order: &segue.Order{Verb: segue.VerbAbort, By: "ann"}})
		default:
			// Nothing is under way and nobody is asked: it would be stuck, unless a look at it moves it.
			c.feed(segue.Event{Kind: segue.EventSample, Service: "web"})
			if n > 1500 {
				c.Fatalf("stuck: %s", rollout.EndSentence(*open))
			}
		}
	}
	c.Fatalf("no end in sight: %s", rollout.EndSentence(*c.service().Open))
}
