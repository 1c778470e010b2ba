package rollout_test

import (
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// TestKilledWhileMirroring kills the controller after every entry of a rollout that compares answers, and goes on in every way that there is: whatever happens,
// no rollout ends with a mirror on, and none is let in before it is off.
func TestKilledWhileMirroring(t *testing.T) {
	for name, options := range map[string][]string{
		"one server":  {"servers=1", "min=1", "parallel", "approve"},
		"wide":        {"servers=3", "min=3", "parallel", "width=3", "bake=0s"},
		"held":        {"servers=2", "min=2", "parallel", "hold", "wait=1h"},
		"partitioned": {"servers=4", "min=3", "parallel", "partitions=2", "bake-each"},
	} {
		whole := rolledOnce(t, options, false, nil, nil, nil)
		for n := range whole.entries {
			if whole.entries[n].Event.Kind != segue.EventOpened && whole.entries[n].Event.Rollout != 2 {
				continue
			}
			for way, disturb := range disturbances() {
				w := replayed(whole, n+1)
				disturb(w)
				for range 200 {
					if len(w.pending) == 0 {
						w.decide()
					}
					if len(w.pending) > 0 {
						w.answer(w.take(0))
					}
				}
				if open := w.ledger.Services["web"].Open; open != nil {
					t.Errorf("%s, killed after entry %d, %s: no end: %s", name, n, way, rollout.EndSentence(*open))
				}
				if violations := w.verify(true); len(violations) > 0 || w.mirror != "" {
					t.Errorf("%s, killed after entry %d, %s: %v, %q is mirrored to\n%s", name, n, way, violations, w.mirror, w.story())
				}
			}
		}
	}
}

// disturbances are what may happen once after a crash.
func disturbances() map[string]func(*world) {
	order := func(verb segue.Verb, all bool, servers ...segue.ServerName) func(*world) {
		return func(w *world) {
			w.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: 2, Order: &segue.Order{Verb: verb, All: all, Servers: servers, By: "ann"}})
		}
	}
	judged := func(ruling segue.Ruling) func(*world) {
		return func(w *world) {
			w.feed(segue.Event{Kind: segue.EventVerdict, Service: "web", Rollout: 2, Verdict: &segue.Verdict{Ruling: ruling}})
		}
	}
	return map[string]func(*world){
		"nothing":        func(*world) {},
		"aborted":        order(segue.VerbAbort, false),
		"promoted":       order(segue.VerbPromote, true),
		"paused":         order(segue.VerbPause, false),
		"rolled back":    order(segue.VerbRollback, false, "web-1"),
		"judged to fail": judged(segue.RulingFail),
		"judged to hold": judged(segue.RulingHold),
		"joined": func(w *world) {
			w.feed(segue.Event{Kind: segue.EventServerJoined, Service: "web", Server: "web-9"})
		},
		"a step failed": func(w *world) {
			if len(w.pending) > 0 {
				w.feed(w.take(0).Failed("web", segue.Errorf(segue.KindInvalid, "it fails")))
			}
		},
		"crashed": func(w *world) {
			for _, id := range w.ids() {
				if i := w.truth[id]; i.Release == "v2" {
					event := segue.Event{Kind: segue.EventInstanceDown, Service: "web", Server: i.Server, Instance: i.ID}
					w.befall(event)
					w.feed(event)
				}
			}
		},
	}
}

// decide says yes to whatever a rollout waits for.
func (w *world) decide() {
	open := w.ledger.Services["web"].Open
	if open == nil {
		return
	}
	for _, id := range w.ids() {
		if i := w.truth[id]; !i.ready {
			event := segue.Event{Kind: segue.EventInstanceUp, Service: "web", Server: i.Server, Instance: i.ID}
			w.befall(event)
			w.feed(event)
		}
	}
	for _, verb := range []segue.Verb{segue.VerbResume, segue.VerbApprove, segue.VerbPromote} {
		order := segue.Order{Verb: verb, By: "ann"}
		if rollout.Accepts(*open, order) == nil {
			w.feed(segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: open.ID, Order: &order})
			return
		}
	}
}
