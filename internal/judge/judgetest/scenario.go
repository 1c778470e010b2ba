package judgetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Scenario is a rollout with the ruling that it should end with: RulingFail for a fault; RulingHold for one that people decide about, where a fail
// is as good; RulingPass for what is none, where anything but a fail will do.
type Scenario struct {
	Name  string       `json:"name"`
	World World        `json:"world"`
	Want  segue.Ruling `json:"want"`
}

// suite collects scenarios.
type suite struct {
	scenarios []Scenario
	styles    []Style
}

// add takes a scenario; its name, seed and style come from what is in it.
func (s *suite) add(want segue.Ruling, what string, w World) {
	w.Style = s.styles[len(s.scenarios)%len(s.styles)].Name
	def(&w.Servers, 4)
	var parts []string
	for _, c := range w.Changes {
		parts = append(parts, c.String())
	}
	if what != "" {
		parts = append(parts, what)
	}
	name := fmt.Sprintf("%s, %d servers, %s", strings.Join(parts, ", "), w.Servers, w.Style)
	w.Seed = hash(name)
	s.scenarios = append(s.scenarios, Scenario{name, w, want})
}

// fleets adds it for small and large fleets.
func (s *suite) fleets(want segue.Ruling, what string, w World) {
	for _, servers := range []int{2, 4, 10} {
		w.Servers = servers
		s.add(want, what, w)
	}
}

func one(kind Kind, size float64) World { return World{Changes: []Change{{Kind: kind, Size: size}}} }

func severe(kind Kind, size float64, severity string) World {
	return World{Changes: []Change{{Kind: kind, Size: size, Severity: severity}}}
}

func (w World) with(change func(*World)) World {
	change(&w)
	return w
}

// Suite gives the scenarios: faults that must be found in fleets of 2, 4 and 10 servers, and what only looks like one.
func Suite() []Scenario {
	s := &suite{styles: Styles()}
	s.logFaults()
	s.trafficFaults()
	s.answerFaults()
	s.decoys()
	return s.scenarios
}

func (s *suite) logFaults() {
	s.fleets(segue.RulingFail, "", one(NewLine, 1))
	s.fleets(segue.RulingFail, "", one(NewLine, 5))
	for _, servers := range []int{4, 10} {
		s.add(segue.RulingFail, "", one(NewLine, 0.5).with(func(w *World) { w.Servers = servers }))
	}
	s.fleets(segue.RulingFail, "", severe(NewLine, 5, "warn"))
	s.add(segue.RulingFail, "", severe(NewLine, 1, "fatal"))
	busy := func(w *World) { w.LogRate = 600 }
	s.fleets(segue.RulingFail, "a busy log", one(MoreWarnings, 3).with(busy))
	s.fleets(segue.RulingFail, "", one(MoreWarnings, 10))
	s.fleets(segue.RulingFail, "", one(NoHeartbeat, 0.5))
	s.fleets(segue.RulingFail, "", one(NoHeartbeat, 1))
	s.add(segue.RulingFail, "four hours of history", one(NoHeartbeat, 5).with(func(w *World) { w.Servers, w.History = 10, 4*time.Hour }))
	s.fleets(segue.RulingFail, "", one(StackTrace, 1))
	for range 5 { // in the next styles
		s.add(segue.RulingFail, "", one(StackTrace, 2))
	}
	late := func(w *World) { w.Changes[0].After = 20 * time.Minute }
	s.add(segue.RulingFail, "after 20 minutes", one(NewLine, 2).with(late))
	s.add(segue.RulingFail, "after 20 minutes", one(StackTrace, 2).with(late))
	s.add(segue.RulingFail, "among decoys", World{Changes: []Change{{Kind: NewLine, Size: 2}, {Kind: Wording}, {Kind: StartLines, Size: 8}, {Kind: NewInfo, Size: 6}}})
	s.add(segue.RulingFail, "no starts in the history", one(NewLine, 2).with(func(w *World) { w.Restarts = -1 }))
	s.add(segue.RulingFail, "bursts of 20", one(NewLine, 2).with(func(w *World) { w.Burst = 20 }))
	s.add(segue.RulingFail, "two candidates", one(StackTrace, 2).with(func(w *World) { w.Servers, w.Candidates = 10, 2 }))
}

func (s *suite) trafficFaults() {
	s.fleets(segue.RulingFail, "", one(Slow, 1.5))
	s.fleets(segue.RulingFail, "", one(Slow, 2))
	s.fleets(segue.RulingFail, "", one(SlowRoute, 4))
	s.fleets(segue.RulingFail, "", one(MoreErrors, 3))
	s.fleets(segue.RulingFail, "", one(RouteErrors, 0.3))
	s.fleets(segue.RulingFail, "", one(CrashLoop, 2))
	s.fleets(segue.RulingHold, "", one(Leak, 0.05))
	s.add(segue.RulingFail, "little traffic", one(RouteErrors, 1).with(func(w *World) { w.Requests = 30 }))
	s.add(segue.RulingFail, "after 30 minutes", one(Slow, 2).with(func(w *World) { w.Changes[0].After = 30 * time.Minute }))
	s.add(segue.RulingFail, "at night", one(MoreErrors, 5).with(func(w *World) { w.Start = time.Date(2026, 3, 3, 2, 0, 0, 0, time.UTC) }))
}

func (s *suite) answerFaults() {
	mirrored := func(w *World) { w.Mirror = 0.1 }
	for _, kind := range []string{"missing", "type", "status"} {
		s.add(segue.RulingFail, "", severe(WrongField, 1, kind).with(mirrored))
	}
	s.fleets(segue.RulingFail, "", severe(WrongField, 0.1, "missing").with(mirrored))
	s.fleets(segue.RulingHold, "", severe(WrongField, 0.3, "value").with(mirrored))
	s.add(segue.RulingFail, "mirrored", one(RouteErrors, 0.2).with(mirrored))
}

func (s *suite) decoys() {
	none := World{}
	s.fleets(segue.RulingPass, "nothing new", none)
	s.fleets(segue.RulingPass, "nothing new, mirrored", none.with(func(w *World) { w.Mirror = 0.1 }))
	s.fleets(segue.RulingPass, "no starts in the history", none.with(func(w *World) { w.Restarts = -1 }))
	s.fleets(segue.RulingPass, "", one(Wording, 0))
	s.fleets(segue.RulingPass, "", one(StartLines, 10))
	s.add(segue.RulingPass, "", severe(StartLines, 2, "warn"))
	s.add(segue.RulingPass, "", one(Version, 0))
	s.add(segue.RulingPass, "", one(Keys, 0))
	s.fleets(segue.RulingPass, "", one(NewInfo, 5))
	s.add(segue.RulingPass, "", World{Changes: []Change{{Kind: Merge, After: 10 * time.Minute}}})
	s.add(segue.RulingPass, "", one(ExtraField, 0).with(func(w *World) { w.Mirror = 0.1 }))
	s.add(segue.RulingPass, "", one(Fewer, 10))
	s.fleets(segue.RulingPass, "", World{Changes: []Change{{Kind: Incident, Size: 10, After: 10 * time.Minute}}})
	s.add(segue.RulingPass, "", one(Lossy, 20))
	s.add(segue.RulingPass, "", one(Slow, 1.1))
	s.add(segue.RulingPass, "bursts of 20", none.with(func(w *World) { w.Burst = 20 }))
	s.add(segue.RulingPass, "little traffic", none.with(func(w *World) { w.Requests = 6 }))
	s.add(segue.RulingPass, "servers start all the time", none.with(func(w *World) { w.Restarts = 24 }))
	s.add(segue.RulingPass, "morning rise", none.with(func(w *World) { w.Start, w.Day = time.Date(2026, 3, 3, 7, 0, 0, 0, time.UTC), 0.9 }))
}
