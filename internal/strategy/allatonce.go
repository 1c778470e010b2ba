package strategy

import (
	"slices"

	"github.com/segue-deploy/segue"
)

// wholeGroup ties the steps between maintenance on and maintenance off together: a pause never leaves the page up.
const wholeGroup = "all"

// allAtOnce is the sentence: expand and backfill; maintenance on, stop all, what breaks, start all, maintenance off; then observe, and contract.
func (d *draft) allAtOnce() {
	target := d.request.Candidate.Name
	gate := d.expand(d.endMirror())
	gate = d.consent(gate, func(work segue.Work) bool { return work.Breaking })
	gate = d.behindMaintenance(target, gate, d.breaking)
	d.noteKept(target)
	gate = d.contract(d.observe("", gate))
	d.add(segue.Step{Kind: segue.StepFinalize, Release: target}, gate...)
	d.wayBack()
}

// behindMaintenance brings every site to a release while the maintenance page is up. No new instance starts before the last old one has
// ended: the first start waits for all stops, the others for the first start, so the plan grows with the fleet and not with its square. between is written
// where nothing runs.
func (d *draft) behindMaintenance(release segue.ReleaseName, gate []segue.StepID, between func([]segue.StepID) []segue.StepID) []segue.StepID {
	d.plan.MinReady = 0
	gate = d.maintenance(true, gate)
	var groups []*group
	var stops, ends []segue.StepID
	for _, site := range d.sites {
		if d.task(site, release) == taskNone {
			d.kept = append(d.kept, site.Server.Name)
			continue
		}
		g := d.group(site, 0, gate)
		g.name = wholeGroup
		g.makeRoom(release)
		groups = append(groups, g)
		stops = append(stops, g.last...)
	}
	for _, site := range d.leavers {
		g := d.group(site, 0, gate)
		g.name = wholeGroup
		g.bring("")
		stops = append(stops, g.last...)
	}
	ends = append(ends, stops...)
	barrier := between(stops)
	ends = append(ends, barrier...)
	for _, g := range groups {
		if started := g.fill(release, barrier); started != 0 {
			barrier = []segue.StepID{started}
		}
		ends = append(ends, g.last...)
	}
	return d.maintenance(false, ends)
}

// makeRoom ends what a site has that is not of the release.
func (g *group) makeRoom(release segue.ReleaseName) {
	task := g.task(g.site, release)
	g.strays()
	if task != taskSwitch {
		g.endBeside()
	}
	if g.site.Instance.ID != "" && (task == taskReplace || task == taskSwitch || task == taskClear) {
		g.end(g.site.Instance, "")
	}
}

// fill brings the release up on a site that has room, and returns the start step, 0 when it runs already.
func (g *group) fill(release segue.ReleaseName, barrier []segue.StepID) segue.StepID {
	switch g.task(g.site, release) {
	case taskFinish:
		g.serve(g.site.Instance.ID, release, "it runs "+string(release)+" and is not in rotation")
	case taskSwitch:
		g.serve(g.site.Beside.Instance.ID, release, "it is there still")
	case taskFill, taskReplace:
		id := g.instance(g.site.Server.Name, release)
		g.last = append(slices.Clip(g.last), barrier...)
		g.bear(id, release)
		started := g.last[0]
		g.serve(id, release, "")
		return started
	case taskNone, taskTidy, taskClear:
	}
	return 0
}

// maintenance switches the page, where there is a balancer to show it.
func (d *draft) maintenance(on bool, after []segue.StepID) []segue.StepID {
	if !d.request.Service.Balanced {
		return after
	}
	return []segue.StepID{d.add(segue.Step{Kind: segue.StepMaintenance, Group: wholeGroup, On: on}, after...)}
}
