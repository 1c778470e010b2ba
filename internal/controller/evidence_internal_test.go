package controller

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// teller is a balancer that says what it is told to.
type teller struct {
	balancer.Driver
	snapshot telemetry.Snapshot
}

func (d *teller) Snapshot(context.Context) (telemetry.Snapshot, error) { return d.snapshot, nil }

// TestWindowsCountRoutes lets a balancer count by route, forget routes and begin anew: windows tell what came since the one before.
func TestWindowsCountRoutes(t *testing.T) {
	t.Parallel()
	fleet := segue.Fleet{Slots: []segue.Slot{{
		Server: segue.Server{Name: "web-1"}, Rotation: segue.RotationIn, Instance: segue.Instance{ID: "web-1.v1.1", Release: "v1"},
	}}}
	type routes = map[string]telemetry.RouteCounts
	type counts = map[string]int64
	driver := &teller{}
	counting := &counting{balancer: driver}
	for _, step := range []struct {
		name, epoch string
		routes      routes
		mirrored    int64
		want        *judge.ServerEvidence
	}{
		{"the first look only sets the mark", "1", routes{"GET /": {Requests: 10, Errors: 1}, "other": {Requests: 3}}, 4, nil},
		{
			"what came since", "1",
			routes{"GET /": {Requests: 15, Errors: 3}, "other": {Requests: 3}, "GET /a": {Requests: 1}},
			6,
			&judge.ServerEvidence{Routes: counts{"GET /": 5, "GET /a": 1}, RouteErrors: counts{"GET /": 2}, Mirrored: 2},
		},
		{"nothing came", "1", routes{"GET /": {Requests: 15, Errors: 3}, "other": {Requests: 3}, "GET /a": {Requests: 1}}, 6, &judge.ServerEvidence{}},
		{
			"a route gave way to another and came back", "1",
			routes{"GET /": {Requests: 2, Errors: 1}, "GET /b": {Requests: 7}},
			6,
			&judge.ServerEvidence{Routes: counts{"GET /": 2, "GET /b": 7}, RouteErrors: counts{"GET /": 1}},
		},
		{"the balancer began anew", "2", routes{"GET /": {Requests: 90}}, 90, nil},
		{"and counts on", "2", routes{"GET /": {Requests: 91}}, 91, &judge.ServerEvidence{Routes: counts{"GET /": 1}, Mirrored: 1}},
		{"a balancer that tells no routes apart", "2", nil, 91, &judge.ServerEvidence{}},
	} {
		driver.snapshot = telemetry.Snapshot{Epoch: step.epoch, Backends: []telemetry.BackendStatus{{
			Backend: telemetry.Backend{ID: "web-1.v1.1"}, Routes: step.routes, Mirrored: step.mirrored,
		}}}
		window, ok, err := counting.window(t.Context(), fleet, true)
		if err != nil || ok != (step.want != nil) {
			t.Fatalf("%s: a window %t, %v", step.name, ok, err)
		}
		if !ok {
			continue
		}
		step.want.Server, step.want.Release = "web-1", "v1"
		if diff := cmp.Diff([]judge.ServerEvidence{*step.want}, window.Servers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestWhatIsJudgedIsWhatIsStored: a clock that only this process reads would let a verdict that is judged again differ in its last digits.
func TestWhatIsJudgedIsWhatIsStored(t *testing.T) {
	now := time.Now()
	window := judge.Evidence{
		Since: now.Add(-time.Second), Until: now, Servers: []judge.ServerEvidence{{Server: "web-1", Started: now.Add(-time.Hour)}},
		Templates: []judge.LogTemplate{{ID: "1", First: now}}, Before: []judge.Evidence{{Since: now.Add(-time.Minute), Until: now}},
	}
	onTheWall(&window)
	text, err := json.Marshal(window)
	if err != nil {
		t.Fatal(err)
	}
	var stored judge.Evidence
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if window.Length() != stored.Length() || window.Before[0].Length() != stored.Before[0].Length() {
		t.Errorf("%s and %s long, stored %s and %s", window.Length(), window.Before[0].Length(), stored.Length(), stored.Before[0].Length())
	}
	for _, at := range []time.Time{window.Until, window.Servers[0].Started, window.Templates[0].First} {
		if at != at.Round(0) {
			t.Errorf("%s has a monotonic part", at)
		}
	}
}
