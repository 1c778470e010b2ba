package strategy

import "github.com/segue-deploy/segue"

// back is the sentence that leads from the fleet as it is to stable, on every server or on those named. It is a plan of its own, not
// the reversal of another one: what carries no load goes first and all at once, the rest a few at a time.
func (d *draft) back() {
	d.plan.From, d.plan.To = d.request.Candidate.Name, d.request.Stable.Name
	sites := d.scope()
	ends := d.endMirror()
	if d.plan.Strategy == segue.AllAtOnce && d.whole() && d.replaces(sites) {
		ends = d.behindMaintenance(d.plan.To, ends, func(stops []segue.StepID) []segue.StepID { return stops })
	} else {
		ends = d.backRolling(sites, ends)
	}
	d.noteKept(d.plan.To)
	if len(d.plan.Steps) == 0 && len(ends) == 0 && len(d.kept) > 0 {
		d.note("%s: nothing to take back", d.request.Service.Name)
	}
	if d.whole() {
		d.add(segue.Step{Kind: segue.StepFinalize, Release: d.plan.To, Why: "the rollout is over, " + d.endsOn()}, ends...)
	}
}

func (d *draft) endsOn() string {
	if d.plan.To == "" {
		return "nothing runs"
	}
	return string(d.plan.To) + " stays"
}

// replaces says whether an instance of another release has to go.
func (d *draft) replaces(sites []segue.Slot) bool {
	for _, site := range sites {
		switch d.task(site, d.plan.To) {
		case taskSwitch, taskReplace, taskClear:
			return true
		case taskNone, taskTidy, taskFinish, taskFill:
		}
	}
	return false
}

// scope gives the sites that the plan is for.
func (d *draft) scope() []segue.Slot {
	if d.whole() {
		return d.sites
	}
	wanted := make(map[segue.ServerName]bool, len(d.request.Servers))
	for _, name := range d.request.Servers {
		wanted[name] = true
	}
	var sites, leavers []segue.Slot
	for _, site := range d.sites {
		if wanted[site.Server.Name] {
			sites = append(sites, site)
		}
	}
	for _, site := range d.leavers {
		if wanted[site.Server.Name] {
			leavers = append(leavers, site)
		}
	}
	d.leavers = leavers
	return sites
}

func (d *draft) backRolling(sites []segue.Slot, gate []segue.StepID) []segue.StepID {
	width := d.backWidth()
	var ends, lanes []segue.StepID
	for _, site := range sites {
		if d.task(site, d.plan.To) == taskNone {
			if d.plan.To != "" {
				d.kept = append(d.kept, site.Server.Name)
			}
			continue
		}
		if d.carries(site) {
			continue
		}
		g := d.group(site, 0, gate)
		g.bring(d.plan.To)
		ends = append(ends, g.last...)
	}
	for _, site := range sites {
		if d.task(site, d.plan.To) == taskNone || !d.carries(site) {
			continue
		}
		g := d.group(site, 0, behind(lanes, width, gate))
		g.bring(d.plan.To)
		lanes = append(lanes, g.last...)
	}
	ends = append(ends, lanes...)
	before := lanes[max(0, len(lanes)-width):]
	if len(before) == 0 {
		before = gate
	}
	if len(d.leavers) > 0 || len(ends) == 0 {
		ends = append(ends, d.leave(before, width)...)
	}
	return d.reopen(ends)
}

// backWidth says how many of those that carry load go at a time. The way back is never closed by the capacity bound: where no
// server can be spared, it is lowered by one and the plan says so.
func (d *draft) backWidth() int {
	service := d.request.Service
	most, servers := max(1, service.Strategy.MaxUnavailable), len(d.sites)
	switch {
	case d.plan.To == "":
		d.plan.MinReady = 0
		return max(1, servers)
	case d.surge && service.MinReady <= servers:
		return most
	case servers-service.MinReady < 1:
		d.plan.MinReady = max(0, servers-1)
		d.note("min_ready %d cannot be kept with %s: %d on the way back", service.MinReady, count(servers), d.plan.MinReady)
		return 1
	default:
		return min(most, servers-service.MinReady)
	}
}

// reopen ends a maintenance page or a hold that an earlier plan left.
func (d *draft) reopen(after []segue.StepID) []segue.StepID {
	if d.request.Fleet.Maintenance {
		after = d.maintenance(false, after)
	}
	if d.request.Fleet.Holding && d.request.Service.Balanced {
		after = []segue.StepID{d.add(segue.Step{Kind: segue.StepUnhold, Why: "requests are parked"}, after...)}
	}
	return after
}

// join is the sentence that brings stable onto servers that are empty: what joins in the middle of a rollout gets stable.
func (d *draft) join() {
	d.plan.To = d.request.Stable.Name
	if d.plan.To == "" {
		d.note("%s has no stable release yet: servers that join get the candidate with the others", d.request.Service.Name)
		return
	}
	if d.request.Candidate.Breaking {
		d.note("%s cannot run beside %s: servers that join wait for the plan forward", d.plan.To, d.request.Candidate.Name)
		return
	}
	gate := d.endMirror()
	for _, site := range d.scope() {
		if site.Instance.ID != "" || site.Beside != nil {
			continue
		}
		g := d.group(site, 0, gate)
		g.bring(d.plan.To)
	}
}
