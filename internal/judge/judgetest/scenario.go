package judgetest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// Scenario is a rollout with the ruling that it should end with: RulingFail for a fault; RulingHold for one that people decide about, where a fail
// is as good; RulingPass for what is none, where anything but a fail will do.
type Scenario struct {
	Name  string          `json:"name"`
	World rehearsal.World `json:"world"`
	Want  segue.Ruling    `json:"want"`
}

// suite collects scenarios.
type suite struct {
	scenarios []Scenario
	styles    []rehearsal.Style
}

// add takes a scenario; its name, seed and style come from what is in it.
func (s *suite) add(want segue.Ruling, what string, w rehearsal.World) {
	w.Style = s.styles[len(s.scenarios)%len(s.styles)].Name
	w.Servers = cmp.Or(w.Servers, 4)
	var parts []string
	for _, c := range w.Changes {
		parts = append(parts, c.String())
	}
	if what != "" {
		parts = append(parts, what)
	}
	name := fmt.Sprintf("%s, %d servers, %s", strings.Join(parts, ", "), w.Servers, w.Style)
	seed := fnv.New64a()
	seed.Write([]byte(name))
	w.Seed = seed.Sum64()
	s.scenarios = append(s.scenarios, Scenario{name, w, want})
}

// fleets adds it for small and large fleets.
func (s *suite) fleets(want segue.Ruling, what string, w rehearsal.World) {
	for _, servers := range []int{2, 4, 10} {
		w.Servers = servers
		s.add(want, what, w)
	}
}

func one(kind rehearsal.Kind, size float64) rehearsal.World {
	return rehearsal.World{Changes: []rehearsal.Change{{Kind: kind, Size: size}}}
}

func severe(kind rehearsal.Kind, size float64, severity string) rehearsal.World {
	return rehearsal.World{Changes: []rehearsal.Change{{Kind: kind, Size: size, Severity: severity}}}
}

// Suite gives the scenarios: faults that must be found in fleets of 2, 4 and 10 servers, and what only looks like one.
func Suite() []Scenario {
	s := &suite{styles: rehearsal.Styles()}
	s.logFaults()
	s.trafficFaults()
	s.answerFaults()
	s.decoys()
	s.routes()
	return s.scenarios
}

func (s *suite) logFaults() {
	s.fleets(segue.RulingFail, "", one(rehearsal.NewLine, 1))
	s.fleets(segue.RulingFail, "", one(rehearsal.NewLine, 5))
	for _, servers := range []int{4, 10} {
		s.add(segue.RulingFail, "", one(rehearsal.NewLine, 0.5).With(func(w *rehearsal.World) { w.Servers = servers }))
	}
	s.fleets(segue.RulingFail, "", severe(rehearsal.NewLine, 5, "warn"))
	s.add(segue.RulingFail, "", severe(rehearsal.NewLine, 1, "fatal"))
	busy := func(w *rehearsal.World) { w.LogRate = 600 }
	s.fleets(segue.RulingFail, "a busy log", one(rehearsal.MoreWarnings, 3).With(busy))
	s.fleets(segue.RulingFail, "", one(rehearsal.MoreWarnings, 10))
	s.fleets(segue.RulingFail, "", one(rehearsal.NoHeartbeat, 0.5))
	s.fleets(segue.RulingFail, "", one(rehearsal.NoHeartbeat, 1))
	s.add(segue.RulingFail, "four hours of history", one(rehearsal.NoHeartbeat, 5).With(func(w *rehearsal.World) { w.Servers, w.History = 10, 4*time.Hour }))
	s.fleets(segue.RulingFail, "", one(rehearsal.StackTrace, 1))
	for range 5 { // in the next styles
		s.add(segue.RulingFail, "", one(rehearsal.StackTrace, 2))
	}
	late := func(w *rehearsal.World) { w.Changes[0].After = 20 * time.Minute }
	s.add(segue.RulingFail, "after 20 minutes", one(rehearsal.NewLine, 2).With(late))
	s.add(segue.RulingFail, "after 20 minutes", one(rehearsal.StackTrace, 2).With(late))
	s.add(segue.RulingFail, "among decoys", rehearsal.World{Changes: []rehearsal.Change{{Kind: rehearsal.NewLine, Size: 2}, {Kind: rehearsal.Wording}, {Kind: rehearsal.StartLines, Size: 8}, {Kind: rehearsal.NewInfo, Size: 6}}})
	s.add(segue.RulingFail, "no starts in the history", one(rehearsal.NewLine, 2).With(func(w *rehearsal.World) { w.Restarts = -1 }))
	s.add(segue.RulingFail, "bursts of 20", one(rehearsal.NewLine, 2).With(func(w *rehearsal.World) { w.Burst = 20 }))
	s.add(segue.RulingFail, "two candidates", one(rehearsal.StackTrace, 2).With(func(w *rehearsal.World) { w.Servers, w.Candidates = 10, 2 }))
}

func (s *suite) trafficFaults() {
	s.fleets(segue.RulingFail, "", one(rehearsal.Slow, 1.5))
	s.fleets(segue.RulingFail, "", one(rehearsal.Slow, 2))
	s.fleets(segue.RulingFail, "", one(rehearsal.SlowRoute, 4))
	s.fleets(segue.RulingFail, "", one(rehearsal.MoreErrors, 3))
	s.fleets(segue.RulingFail, "", one(rehearsal.RouteErrors, 0.3))
	s.fleets(segue.RulingFail, "", one(rehearsal.CrashLoop, 2))
	s.fleets(segue.RulingHold, "", one(rehearsal.Leak, 0.05))
	s.add(segue.RulingFail, "little traffic", one(rehearsal.RouteErrors, 1).With(func(w *rehearsal.World) { w.Requests = 30 }))
	s.add(segue.RulingFail, "after 30 minutes", one(rehearsal.Slow, 2).With(func(w *rehearsal.World) { w.Changes[0].After = 30 * time.Minute }))
	s.add(segue.RulingFail, "at night", one(rehearsal.MoreErrors, 5).With(func(w *rehearsal.World) { w.Start = time.Date(2026, 3, 3, 2, 0, 0, 0, time.UTC) }))
}

func (s *suite) answerFaults() {
	mirrored := func(w *rehearsal.World) { w.Mirror = 0.1 }
	for _, kind := range []string{"missing", "type", "status"} {
		s.add(segue.RulingFail, "", severe(rehearsal.WrongField, 1, kind).With(mirrored))
	}
	s.fleets(segue.RulingFail, "", severe(rehearsal.WrongField, 0.1, "missing").With(mirrored))
	s.fleets(segue.RulingHold, "", severe(rehearsal.WrongField, 0.3, "value").With(mirrored))
	s.add(segue.RulingFail, "mirrored", one(rehearsal.RouteErrors, 0.2).With(mirrored))
}

func (s *suite) decoys() {
	none := rehearsal.World{}
	s.fleets(segue.RulingPass, "nothing new", none)
	s.fleets(segue.RulingPass, "nothing new, mirrored", none.With(func(w *rehearsal.World) { w.Mirror = 0.1 }))
	s.fleets(segue.RulingPass, "no starts in the history", none.With(func(w *rehearsal.World) { w.Restarts = -1 }))
	s.fleets(segue.RulingPass, "", one(rehearsal.Wording, 0))
	s.fleets(segue.RulingPass, "", one(rehearsal.StartLines, 10))
	s.add(segue.RulingPass, "", severe(rehearsal.StartLines, 2, "warn"))
	s.add(segue.RulingPass, "", one(rehearsal.Version, 0))
	s.add(segue.RulingPass, "", one(rehearsal.Keys, 0))
	s.fleets(segue.RulingPass, "", one(rehearsal.NewInfo, 5))
	s.add(segue.RulingPass, "", rehearsal.World{Changes: []rehearsal.Change{{Kind: rehearsal.Merge, After: 10 * time.Minute}}})
	s.add(segue.RulingPass, "", one(rehearsal.ExtraField, 0).With(func(w *rehearsal.World) { w.Mirror = 0.1 }))
	s.add(segue.RulingPass, "", one(rehearsal.Fewer, 10))
	s.fleets(segue.RulingPass, "", rehearsal.World{Changes: []rehearsal.Change{{Kind: rehearsal.Incident, Size: 10, After: 10 * time.Minute}}})
	s.add(segue.RulingPass, "", one(rehearsal.Lossy, 20))
	s.add(segue.RulingPass, "", one(rehearsal.Slow, 1.1))
	s.add(segue.RulingPass, "bursts of 20", none.With(func(w *rehearsal.World) { w.Burst = 20 }))
	s.add(segue.RulingPass, "little traffic", none.With(func(w *rehearsal.World) { w.Requests = 6 }))
	s.add(segue.RulingPass, "servers start all the time", none.With(func(w *rehearsal.World) { w.Restarts = 24 }))
	s.add(segue.RulingPass, "morning rise", none.With(func(w *rehearsal.World) { w.Start, w.Day = time.Date(2026, 3, 3, 7, 0, 0, 0, time.UTC), 0.9 }))
}

// routes are of single routes: what fails on one that is rare, so that all errors hardly move, and what fails wherever it is asked for.
func (s *suite) routes() {
	const rare = "rare"
	s.fleets(segue.RulingFail, "", severe(rehearsal.RouteErrors, 0.5, rare))
	s.fleets(segue.RulingFail, "", severe(rehearsal.RouteErrors, 1, rare))
	s.add(segue.RulingFail, "after 20 minutes", severe(rehearsal.RouteErrors, 1, rare).With(func(w *rehearsal.World) { w.Changes[0].After = 20 * time.Minute }))
	broken := rehearsal.Change{Kind: rehearsal.BrokenRoute, Size: 0.01}
	also := func(w *rehearsal.World) { w.Changes = append(w.Changes, broken) }
	s.fleets(segue.RulingFail, "", severe(rehearsal.RouteErrors, 1, rare).With(also))
	s.fleets(segue.RulingFail, "", one(rehearsal.MoreErrors, 5).With(also))

	s.fleets(segue.RulingPass, "", one(rehearsal.OtherMix, 0.3))
	s.fleets(segue.RulingPass, "", one(rehearsal.OtherMix, 0.1))
	s.fleets(segue.RulingPass, "", one(rehearsal.BrokenRoute, 0.01))
	s.add(segue.RulingPass, "", one(rehearsal.BrokenRoute, 0.1))
	late := func(w *rehearsal.World) { w.Changes[0].After = 20 * time.Minute }
	s.fleets(segue.RulingPass, "at once", one(rehearsal.StrayClient, 60))
	s.fleets(segue.RulingPass, "after 20 minutes", one(rehearsal.StrayClient, 60).With(late))
	s.fleets(segue.RulingPass, "after 20 minutes", one(rehearsal.StrayClient, 60).With(late).With(also))
}
