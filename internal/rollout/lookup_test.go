package rollout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// TestLookupsAgreeWithScans: what a ledger answers in constant time is what a look at every server and step would find, whatever happened.
func TestLookupsAgreeWithScans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{T: t, world: newWorld()}
		c.settings = drawSettings(t)
		settings := c.settings
		c.feed(segue.Event{Kind: segue.EventServiceConfigured, Service: "web", Settings: &settings, Config: "sha256:c"})
		c.found()
		c.agree()
		if _, err := c.open(c.settings, c.service().Stable, release("v2"), false); err != nil {
			t.Skip(err)
		}
		for range rapid.IntRange(0, 40).Draw(t, "acts") {
			c.disturb()
			c.agree()
		}
	})
}

// agree compares every lookup with its scan.
func (c *chaos) agree() {
	service := c.service()
	known := map[segue.InstanceID]bool{}
	for _, want := range service.Fleet.Slots {
		got, ok := service.Slot(want.Server.Name)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			c.Fatalf("slot of %s (found: %v):\n%s\n%s", want.Server.Name, ok, diff, c.story())
		}
		ids := []segue.InstanceID{want.Instance.ID}
		if want.Beside != nil {
			ids = append(ids, want.Beside.Instance.ID)
		}
		for _, stray := range want.Strays {
			ids = append(ids, stray.ID)
		}
		for _, id := range ids {
			known[id] = id != ""
			if got, want := service.Working(id), id != "" && working(service, id); got != want {
				c.Fatalf("a step works on %s: %v, want %v\n%s", id, got, want, c.story())
			}
		}
	}
	delete(known, "")
	if diff := cmp.Diff(known, service.Instances()); diff != "" {
		c.Fatalf("instances:\n%s\n%s", diff, c.story())
	}
	if slot, ok := service.Slot("nobody"); ok {
		c.Fatalf("found %+v", slot)
	}
}

// working looks at every step.
func working(service *rollout.ServiceLedger, id segue.InstanceID) bool {
	if service.Open == nil {
		return false
	}
	for i, state := range service.Open.Steps {
		step := service.Open.Plan.Steps[i]
		switch step.Kind {
		case segue.StepAdmit, segue.StepDrain, segue.StepMirror:
			continue
		default:
		}
		if state.Status == rollout.StepRunning && step.Instance == id {
			return true
		}
	}
	return false
}
