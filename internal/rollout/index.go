package rollout

import (
	"slices"

	"github.com/segue-deploy/segue"
)

// index answers in constant time what would otherwise take a scan over servers or steps. It is derived from the rest of the state, kept
// up to date by whatever changes that, and rebuilt where it is missing (a state that was read back, or cloned).
type index struct {
	// slots finds a server's place in the fleet; members are the servers in service.
	slots   map[segue.ServerName]int
	members map[segue.ServerName]bool

	// pending counts, per step, the steps before it that are not over; next lists the steps behind step i in next[nextAt[i]:nextAt[i+1]].
	pending []int32
	nextAt  []int32
	next    []int32
	// open lists, in order, the waiting steps with nothing before them; running those that were handed out.
	open    []int
	running map[int]struct{}
	// working counts, per instance, the running steps that start, await or stop it.
	working map[segue.InstanceID]int
	// watching counts those of the running steps that change nothing (observe, approve); approving the latter.
	watching  int
	approving int
	// left counts the steps that are not over, failed those that were given up.
	left   int
	failed int
	begun  map[string]bool
	// stops are the instances that the plan stops later on.
	stops map[segue.InstanceID]bool

	// leaving are instances with a drain (or, without a balancer, a stop) under way: they count as gone.
	leaving map[segue.InstanceID]bool
	// carrying counts ready instances in rotation without the leaving ones; settled the members whose instance in charge is such a one.
	carrying int
	settled  int
	// releases counts instances per release.
	releases map[segue.ReleaseName]int
}

// ensure builds the index where it is missing.
func (s *State) ensure() *index {
	if s.index == nil {
		s.index = &index{}
		s.indexPlan()
		s.indexFleet()
	}
	return s.index
}

// indexPlan derives everything about steps.
func (s *State) indexPlan() {
	x, steps := s.index, s.Plan.Steps
	x.pending = make([]int32, len(steps))
	x.nextAt = make([]int32, len(steps)+1)
	x.running, x.begun, x.stops = map[int]struct{}{}, map[string]bool{}, map[segue.InstanceID]bool{}
	x.working = map[segue.InstanceID]int{}
	x.open, x.left, x.failed, x.watching, x.approving = nil, 0, 0, 0, 0
	edges := 0
	for _, step := range steps {
		for _, before := range step.After {
			x.nextAt[before]++
			edges++
		}
	}
	for i := range steps {
		x.nextAt[i+1] += x.nextAt[i]
	}
	// nextAt[i+1] is now where step i's list ends; fill each list from its start.
	x.next = make([]int32, edges)
	at := slices.Clone(x.nextAt)
	for i, step := range steps {
		for _, before := range step.After {
			x.next[at[before-1]] = int32(i)
			at[before-1]++
		}
	}
	for i, step := range steps {
		s.indexStep(i, step)
	}
}

func (s *State) indexStep(i int, step segue.Step) {
	x := s.index
	for _, before := range step.After {
		if !satisfied(s.Plan, s.Steps[before-1]) {
			x.pending[i]++
		}
	}
	switch s.Steps[i].Status {
	case StepWaiting:
		x.left++
		if step.Kind == segue.StepStop {
			x.stops[step.Instance] = true
		}
		if x.pending[i] == 0 {
			x.open = append(x.open, i)
		}
	case StepRunning:
		x.left++
		x.run(i, step)
		if step.Kind == segue.StepStop {
			x.stops[step.Instance] = true
		}
	case StepFailed:
		x.failed++
	case StepDone, StepSkipped:
	}
	if s.Steps[i].Attempt > 0 && step.Group != "" {
		x.begun[step.Group] = true
	}
}

// satisfied says whether a step holds nothing back any more. What failed on the way forward holds back what comes after it; on the way
// back and in a join the other servers go on.
func satisfied(plan segue.Plan, step StepState) bool {
	return step.Status == StepDone || step.Status == StepSkipped || step.Status == StepFailed && plan.Goal != segue.GoalForward
}

// run counts a step in as running, rest counts it out again.
func (x *index) run(i int, step segue.Step) {
	x.running[i] = struct{}{}
	x.tell(step, +1)
}

func (x *index) rest(i int, step segue.Step) {
	if _, running := x.running[i]; running {
		delete(x.running, i)
		x.tell(step, -1)
	}
}

func (x *index) tell(step segue.Step, sign int) {
	if watching(step.Kind) {
		x.watching += sign
	}
	if step.Kind == segue.StepApprove {
		x.approving += sign
	}
	if bears(step.Kind) && step.Instance != "" {
		if x.working[step.Instance] += sign; x.working[step.Instance] == 0 {
			delete(x.working, step.Instance)
		}
	}
}

// bears says whether a step starts, awaits or stops an instance.
func bears(kind segue.StepKind) bool {
	return kind == segue.StepStart || kind == segue.StepAwaitReady || kind == segue.StepStop
}

// busy counts the running steps that change something.
func (x *index) busy() int { return len(x.running) - x.watching }

// after lists the steps behind step i.
func (x *index) after(i int) []int32 { return x.next[x.nextAt[i]:x.nextAt[i+1]] }

// indexFleet derives everything about servers.
func (s *State) indexFleet() {
	x := s.index
	x.slots = make(map[segue.ServerName]int, len(s.Fleet.Slots))
	x.members = make(map[segue.ServerName]bool, len(s.Settings.Servers))
	x.releases, x.leaving = map[segue.ReleaseName]int{}, map[segue.InstanceID]bool{}
	x.carrying, x.settled = 0, 0
	for _, server := range s.Settings.Servers {
		x.members[server.Name] = true
	}
	for i := range x.running {
		if step := s.Plan.Steps[i]; s.leaves(step) {
			x.leaving[step.Instance] = true
		}
	}
	for i, slot := range s.Fleet.Slots {
		x.slots[slot.Server.Name] = i
		s.count(i, +1)
	}
}

// leaves says whether a step takes an instance out of those that carry load.
func (s *State) leaves(step segue.Step) bool {
	return step.Kind == segue.StepDrain || step.Kind == segue.StepStop && !s.Settings.Balanced
}

// count adds what a slot contributes to the sums, or takes it away.
func (s *State) count(i, sign int) {
	x, slot := s.index, &s.Fleet.Slots[i]
	if slot.Instance.ID != "" {
		x.releases[slot.Instance.Release] += sign
		if s.carries(slot.Instance.ID, slot.Ready, slot.Rotation) {
			x.carrying += sign
			if x.members[slot.Server.Name] {
				x.settled += sign
			}
		}
	}
	if beside := slot.Beside; beside != nil {
		x.releases[beside.Instance.Release] += sign
		if s.carries(beside.Instance.ID, beside.Ready, beside.Rotation) {
			x.carrying += sign
		}
	}
}

func (s *State) carries(id segue.InstanceID, ready bool, rotation segue.Rotation) bool {
	return ready && !s.index.leaving[id] && (rotation == segue.RotationIn || !s.Settings.Balanced)
}

// Slot finds a server's slot.
func (s *State) Slot(name segue.ServerName) (segue.Slot, bool) {
	if i, ok := s.ensure().slots[name]; ok {
		return s.Fleet.Slots[i], true
	}
	return segue.Slot{}, false
}

// Ready counts the ready instances in rotation, without those that are being taken out.
func (s *State) Ready() int { return s.ensure().carrying }

// Mirroring gives the step that switched the mirror on, while requests are copied, or may be: from when it is handed out until its end is confirmed. On the
// way back nothing is to be copied any more, and the plan begins with the mirror's end.
func (s *State) Mirroring() (segue.Step, bool) {
	if s.Mirror.ID == 0 || s.Goal != segue.GoalForward || s.Phase.Over() {
		return segue.Step{}, false
	}
	return s.Mirror, true
}

// Clone gives a copy that shares nothing that changes.
func (s *State) Clone() State {
	c := *s
	c.index = nil
	c.Settings.Servers = slices.Clone(s.Settings.Servers)
	c.Scope, c.Joining, c.Meanwhile = slices.Clone(s.Scope), slices.Clone(s.Joining), slices.Clone(s.Meanwhile)
	c.Steps = slices.Clone(s.Steps)
	c.Approvals = slices.Clone(s.Approvals)
	c.Fleet = cloneFleet(s.Fleet)
	return c
}

func cloneFleet(fleet segue.Fleet) segue.Fleet {
	fleet.Slots = slices.Clone(fleet.Slots)
	for i := range fleet.Slots {
		slot := &fleet.Slots[i]
		slot.Strays = slices.Clone(slot.Strays)
		if slot.Beside != nil {
			beside := *slot.Beside
			slot.Beside = &beside
		}
	}
	return fleet
}
