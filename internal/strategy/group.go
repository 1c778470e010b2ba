package strategy

import "github.com/segue-deploy/segue"

// task is what a server needs to come to a release.
type task int

const (
	// taskNone: it runs the release, ready and in rotation.
	taskNone task = iota
	// taskTidy: so it does, and something else is there that must end.
	taskTidy
	// taskFinish: it runs the release, and is not ready or not in rotation.
	taskFinish
	// taskFill: nothing runs.
	taskFill
	// taskSwitch: the release runs beside the instance in charge.
	taskSwitch
	// taskReplace: another release runs, or this one did and is dead for good.
	taskReplace
	// taskClear: nothing shall run there.
	taskClear
)

// task says what a site needs to come to a release; release "" means that nothing shall run.
func (d *draft) task(site segue.Slot, release segue.ReleaseName) task {
	occupied := site.Instance.ID != "" || site.Beside != nil
	switch {
	case release == "" && !occupied && len(site.Strays) == 0:
		return taskNone
	case release == "":
		return taskClear
	case on(site.Instance, release) && !d.carries(site):
		return taskFinish
	case on(site.Instance, release) && (site.Beside != nil || len(site.Strays) > 0):
		return taskTidy
	case on(site.Instance, release):
		return taskNone
	case site.Beside != nil && on(site.Beside.Instance, release):
		return taskSwitch
	case site.Instance.ID == "":
		return taskFill
	default:
		return taskReplace
	}
}

// on says whether an instance runs a release or will again by itself.
func on(instance segue.Instance, release segue.ReleaseName) bool {
	return instance.ID != "" && instance.Release == release && instance.State != segue.InstanceExited
}

// group writes the steps of one server, one after the other.
type group struct {
	*draft
	site  segue.Slot
	batch int
	name  string
	// last is what the next step comes after.
	last []segue.StepID
}

func (d *draft) group(site segue.Slot, batch int, after []segue.StepID) *group {
	return &group{draft: d, site: site, batch: batch, name: string(site.Server.Name), last: after}
}

func (g *group) step(kind segue.StepKind, instance segue.InstanceID, release segue.ReleaseName, why string) {
	step := segue.Step{
		Kind: kind, Group: g.name, Batch: g.batch, Partition: g.site.Server.Partition, Server: g.site.Server.Name,
		Instance: instance, Release: release, Why: why,
	}
	switch timing := g.request.Service.Timing; kind {
	case segue.StepAwaitReady:
		step.Within = timing.Ready
	case segue.StepDrain:
		step.Within = timing.Drain
	case segue.StepStop:
		step.Within = timing.Grace
	default:
	}
	g.last = []segue.StepID{g.add(step, g.last...)}
}

// end takes an instance away: out of rotation first, always.
func (g *group) end(instance segue.Instance, why string) {
	g.out(instance, why)
	g.step(segue.StepStop, instance.ID, instance.Release, why)
}

func (g *group) out(instance segue.Instance, why string) {
	if g.request.Service.Balanced {
		g.step(segue.StepDrain, instance.ID, instance.Release, why)
	}
}

// bear starts an instance; serve lets it have traffic.
func (g *group) bear(id segue.InstanceID, release segue.ReleaseName) {
	g.step(segue.StepStart, id, release, "")
}

func (g *group) serve(id segue.InstanceID, release segue.ReleaseName, why string) {
	g.step(segue.StepAwaitReady, id, release, why)
	g.compare(id, release)
	if g.request.Service.Balanced {
		g.step(segue.StepAdmit, id, release, "")
	}
}

// strays ends what nobody's journal knows.
func (g *group) strays() {
	for _, stray := range g.site.Strays {
		g.end(stray, "stray: it should not run")
	}
}

// bring writes what the site needs to come to a release.
func (g *group) bring(release segue.ReleaseName) {
	site := g.site
	task := g.task(site, release)
	g.strays()
	switch task {
	case taskNone:
	case taskTidy:
		if site.Beside != nil {
			g.end(site.Beside.Instance, "the second instance on this server")
		}
	case taskFinish:
		g.serve(site.Instance.ID, release, "it runs "+string(release)+" and is not in rotation")
		if site.Beside != nil {
			g.end(site.Beside.Instance, "the second instance on this server")
		}
	case taskSwitch:
		g.serve(site.Beside.Instance.ID, release, "it is there still")
		if site.Instance.ID != "" {
			g.end(site.Instance, "")
		}
	case taskFill:
		g.endBeside()
		id := g.instance(site.Server.Name, release)
		g.bear(id, release)
		g.serve(id, release, "")
	case taskReplace:
		g.endBeside()
		g.replace(release)
	case taskClear:
		g.endBeside()
		if site.Instance.ID != "" {
			g.end(site.Instance, "")
		}
	}
}

func (g *group) endBeside() {
	if g.site.Beside != nil {
		g.end(g.site.Beside.Instance, "the second instance on this server")
	}
}

func (g *group) replace(release segue.ReleaseName) {
	id := g.instance(g.site.Server.Name, release)
	if g.surge {
		g.bear(id, release)
		g.serve(id, release, "")
		g.end(g.site.Instance, "")
		return
	}
	g.end(g.site.Instance, "")
	g.bear(id, release)
	g.serve(id, release, "")
}
