package strategy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout/laws"
	"github.com/segue-deploy/segue/internal/strategy"
)

// TestPlansKeepTheLaws carries plans for any service and fleet out in any order that their edges allow: the bound holds, no instance ends
// without its drain, no partition runs a third release, and the fleet ends at the goal. From a fleet where every server carries load,
// the edges alone keep the bound; elsewhere the machine's guard helps, as it does in a rollout.
func TestPlansKeepTheLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := drawRequest(t)
		plan, err := strategy.Plan(request)
		if err != nil {
			if request.Goal == segue.GoalBack {
				t.Fatalf("the way back is closed: %v", err)
			}
			if segue.KindOf(err) != segue.KindRefused || segue.HintOf(err) == "" {
				t.Fatalf("a refusal of kind %s without a hint: %v", segue.KindOf(err), err)
			}
			return
		}
		if len(request.Servers) > 0 {
			// Servers that are down outside the scope of a plan may keep it waiting: that is not what is asked here.
			plan.MinReady, request.Service.MinReady = 0, 0
		}
		x := execute(t, request, plan, -1)
		if violations := laws.Check(request.Service.Balanced, x.facts); len(violations) > 0 {
			t.Fatalf("%v\n%v", violations, strategy.Describe(plan))
		}
		x.atGoal(t, request, plan)
		x.mirrorEnds(t, request, plan)
	})
}

// TestBrokenPlansAreCaught is the test of that test: a plan without its edges, or without its drains, breaks a law in some order.
func TestBrokenPlansAreCaught(t *testing.T) {
	breaks := map[string]func(*segue.Plan){
		"capacity": func(p *segue.Plan) {
			for i := range p.Steps {
				if p.Steps[i].Kind == segue.StepDrain {
					p.Steps[i].After = nil
				}
			}
		},
		"acknowledged drain": func(p *segue.Plan) { p.Steps[0].Kind = segue.StepApprove },
		"two at most":        func(p *segue.Plan) { p.Steps[2].Release = "v9" },
	}
	for law, spoil := range breaks {
		request := forward(4, 3, atATime(1), bake(0))
		plan, err := strategy.Plan(request)
		if err != nil {
			t.Fatal(err)
		}
		spoil(&plan)
		caught := false
		rapid.Check(t, func(t *rapid.T) {
			for _, violation := range laws.Check(true, execute(t, request, plan, 0).facts) {
				caught = caught || violation.Law == law
			}
		})
		if !caught {
			t.Errorf("a plan that breaks the law of %s is not caught", law)
		}
	}
}

func drawRequest(t *rapid.T) strategy.Request {
	some := func(name string) bool { return rapid.IntRange(0, 2).Draw(t, name) == 2 }
	servers := rapid.IntRange(1, 6).Draw(t, "servers")
	request := forward(servers, rapid.IntRange(0, servers).Draw(t, "min ready"), atATime(rapid.IntRange(1, 4).Draw(t, "width")))
	service := &request.Service
	service.Balanced = !some("workers")
	service.Strategy.Surge, service.CanSurge = some("surge"), !some("one instance per server")
	service.Strategy.BakeEach, service.Strategy.Approve = some("bake each"), some("approve")
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 3:
		service.Strategy.Kind = segue.AllAtOnce
	case 4, 5:
		service.Strategy.Kind = segue.Parallel
		service.Judging.Mirror = &segue.Mirror{Share: 1, For: minute}
		request.Observed, request.Hurry = rapid.IntRange(0, 2).Draw(t, "observed"), some("hurry")
		if some("mirroring") {
			mirroring(&request)
		}
	}
	if some("no bake") {
		service.Strategy.Bake = 0
	}
	for _, percent := range rapid.SliceOfN(rapid.IntRange(1, 100), 0, 3).Draw(t, "batches") {
		service.Strategy.Batches = append(service.Strategy.Batches, segue.Batch{Percent: percent})
	}
	if some("partitions") {
		partitioned("a", "b")(&request)
	}
	if some("first deploy") {
		request.Stable = segue.Release{}
	}
	request.Goal = rapid.SampledFrom([]segue.Goal{segue.GoalForward, segue.GoalForward, segue.GoalBack, segue.GoalJoin}).Draw(t, "goal")
	if request.Goal == segue.GoalBack && some("scope") {
		request.Servers = []segue.ServerName{service.Servers[0].Name}
	}
	for i := range request.Fleet.Slots {
		drawSlot(t, request, &request.Fleet.Slots[i])
	}
	if some("left") && servers > 1 {
		service.Servers = service.Servers[:servers-1]
		service.MinReady = min(service.MinReady, servers-1)
	}
	return request
}

func drawSlot(t *rapid.T, request strategy.Request, slot *segue.Slot) {
	stable, candidate := request.Stable.Name, request.Candidate.Name
	if stable == "" {
		stable = candidate
	}
	on(stable)(slot)
	blank := segue.Slot{Server: slot.Server, Rotation: segue.RotationOut}
	switch rapid.IntRange(0, 11).Draw(t, "slot") {
	case 6:
		on(candidate)(slot)
	case 7:
		*slot = blank
	case 8:
		down(slot)
	case 9:
		drained(slot)
	case 10:
		stray("stray." + segue.InstanceID(slot.Server.Name))(slot)
	case 11:
		if (request.Service.Strategy.Surge || request.Service.Strategy.Kind == segue.Parallel) && request.Service.Balanced && stable != candidate {
			beside(candidate, segue.RotationOut)(slot)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "candidate dead") == 0 && slot.Instance.Release == candidate {
		slot.Ready, slot.Instance.State = false, segue.InstanceExited
	}
}

// execution is a fleet that a plan is carried out on.
type execution struct {
	facts []laws.Fact
	where map[segue.InstanceID]*segue.Occupant
	part  map[segue.ServerName]segue.PartitionName
	order []segue.Step
}

// execute carries a plan out in an order that rapid draws. The guard lets nobody go below the bound; -1 means the plan's own, where the
// fleet is not whole.
func execute(t *rapid.T, request strategy.Request, plan segue.Plan, guard int) *execution {
	x := &execution{where: map[segue.InstanceID]*segue.Occupant{}, part: map[segue.ServerName]segue.PartitionName{}}
	whole := true
	for _, server := range request.Service.Servers {
		x.part[server.Name] = server.Partition
	}
	for _, slot := range request.Fleet.Slots {
		whole = whole && slot.Ready && slot.Rotation == segue.RotationIn && x.part[slot.Server.Name] == slot.Server.Partition
		x.put(slot.Instance, slot.Ready, slot.Rotation, false)
		if slot.Beside != nil {
			x.put(slot.Beside.Instance, slot.Beside.Ready, slot.Beside.Rotation, false)
		}
		for _, stray := range slot.Strays {
			x.put(stray, true, segue.RotationOut, true)
		}
	}
	if guard < 0 && !whole {
		guard = plan.MinReady
	}
	x.facts = append(x.facts, laws.Fact{Kind: laws.Bound, Count: laws.BoundOf(request.Service, request.Stable, plan)})
	done := make([]bool, len(plan.Steps)+1)
	for range plan.Steps {
		var able []segue.Step
		for _, step := range plan.Steps {
			if !done[step.ID] && !slices.ContainsFunc(step.After, func(id segue.StepID) bool { return !done[id] }) && !x.guarded(request, step, guard) {
				able = append(able, step)
			}
		}
		if len(able) == 0 {
			t.Fatalf("stuck:\n%v", strategy.Describe(plan))
		}
		step := rapid.SampledFrom(able).Draw(t, "step")
		done[step.ID] = true
		x.do(step)
	}
	return x
}

func (x *execution) put(instance segue.Instance, ready bool, rotation segue.Rotation, stray bool) {
	if instance.ID == "" || instance.State == segue.InstanceExited {
		return
	}
	x.where[instance.ID] = &segue.Occupant{Instance: instance, Ready: ready, Rotation: rotation}
	fact := laws.Fact{Kind: laws.Started, Server: instance.Server, Partition: x.part[instance.Server], Instance: instance.ID, Release: instance.Release, Stray: stray}
	x.facts = append(x.facts, fact)
	if ready {
		fact.Kind = laws.Ready
		x.facts = append(x.facts, fact)
	}
	if rotation == segue.RotationIn {
		fact.Kind = laws.Admitted
		x.facts = append(x.facts, fact)
	}
}

func (x *execution) guarded(request strategy.Request, step segue.Step, guard int) bool {
	at := x.where[step.Instance]
	leaves := step.Kind == segue.StepDrain || step.Kind == segue.StepStop && !request.Service.Balanced
	carries := func(o *segue.Occupant) bool {
		return o.Ready && (o.Rotation == segue.RotationIn || !request.Service.Balanced && !isStray(o))
	}
	if guard < 0 || !leaves || at == nil || !carries(at) {
		return false
	}
	ready := 0
	for _, occupant := range x.where {
		if carries(occupant) {
			ready++
		}
	}
	return ready-1 < guard
}

func isStray(o *segue.Occupant) bool { return o.Instance.Release == "v0" }

func (x *execution) do(step segue.Step) {
	x.order = append(x.order, step)
	fact := laws.Fact{Server: step.Server, Partition: x.part[step.Server], Instance: step.Instance, Release: step.Release}
	kinds := map[segue.StepKind][]laws.FactKind{
		segue.StepStart: {laws.Started}, segue.StepAwaitReady: {laws.Ready}, segue.StepAdmit: {laws.Admitted},
		segue.StepDrain: {laws.Leaving, laws.Drained, laws.Quiet}, segue.StepStop: {laws.Stopping, laws.Stopped},
	}[step.Kind]
	for _, kind := range kinds {
		fact.Kind = kind
		x.facts = append(x.facts, fact)
	}
	at := x.where[step.Instance]
	switch {
	case step.Kind == segue.StepStart:
		x.where[step.Instance] = &segue.Occupant{Rotation: segue.RotationOut, Instance: segue.Instance{ID: step.Instance, Server: step.Server, Release: step.Release}}
	case at == nil:
	case step.Kind == segue.StepAwaitReady:
		at.Ready = true
	case step.Kind == segue.StepAdmit:
		at.Rotation = segue.RotationIn
	case step.Kind == segue.StepDrain:
		at.Rotation = segue.RotationDraining
	case step.Kind == segue.StepStop:
		delete(x.where, step.Instance)
	}
}

// atGoal checks that the plan has led to where it says.
func (x *execution) atGoal(t *rapid.T, request strategy.Request, plan segue.Plan) {
	want := map[segue.ServerName]bool{}
	for _, server := range request.Service.Servers {
		want[server.Name] = plan.Goal != segue.GoalJoin && (len(request.Servers) == 0 || slices.Contains(request.Servers, server.Name))
	}
	for server, wanted := range want {
		var found []string
		for _, occupant := range x.where {
			if occupant.Instance.Server == server {
				found = append(found, fmt.Sprintf("%s ready=%v", occupant.Instance.Release, occupant.Ready))
			}
		}
		ok := len(found) == 1 && found[0] == fmt.Sprintf("%s ready=true", plan.To)
		if plan.To == "" {
			ok = len(found) == 0
		}
		if wanted && !ok && !plan.Empty() {
			t.Fatalf("%s has %v, the goal is %q:\n%v", server, found, plan.To, strategy.Describe(plan))
		}
	}
}

// mirrorEnds checks that what is mirrored ends: what an earlier plan left on ends before anything else is done, every mirror that is switched on is
// watched and off again before its instance, or any other of its release, is let in; and a candidate is let in unwatched only where it was before, or by a person.
func (x *execution) mirrorEnds(t *rapid.T, request strategy.Request, plan segue.Plan) {
	var on segue.InstanceID
	watched, mirrors := false, 0
	for i, step := range x.order {
		switch {
		case step.Kind == segue.StepMirror && step.On:
			if on != "" {
				t.Fatalf("two mirrors at a time: %v", strategy.Describe(plan))
			}
			on, watched = step.Instance, false
			mirrors++
		case step.Kind == segue.StepMirror:
			if i > 0 && (on != step.Instance || !watched) {
				t.Fatalf("the mirror to %s ends unwatched: %v", step.Instance, strategy.Describe(plan))
			}
			on = ""
		case step.Kind == segue.StepObserve:
			watched = true
		case step.Kind == segue.StepAdmit && on != "":
			t.Fatalf("%s is let in while requests are mirrored: %v", step.Instance, strategy.Describe(plan))
		}
		if i == 0 && request.Mirroring.ID != 0 && (step.Kind != segue.StepMirror || step.On || step.Instance != request.Mirroring.Instance) {
			t.Fatalf("a mirror is left on: %v", strategy.Describe(plan))
		}
	}
	if on != "" || mirrors > 1 || mirrors > 0 && (plan.Goal != segue.GoalForward || request.Hurry || request.Observed > 0) {
		t.Fatalf("%d mirrors, %q is left on: %v", mirrors, on, strategy.Describe(plan))
	}
}
