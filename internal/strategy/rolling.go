package strategy

import (
	"slices"

	"github.com/segue-deploy/segue"
)

// rolling is the sentence: per partition and stage, a few servers at a time; observe after the first stage; then the rest.
func (d *draft) rolling() error {
	width, err := d.width()
	if err != nil {
		return err
	}
	d.surgeNote()
	gate := d.expand(d.endMirror())
	for i, partition := range d.partitions {
		gate = d.partition(i, partition, width, gate)
	}
	gate = d.contract(d.leave(gate, width))
	d.noteKept(d.request.Candidate.Name)
	d.add(segue.Step{Kind: segue.StepFinalize, Release: d.request.Candidate.Name}, gate...)
	d.wayBack()
	return nil
}

// width says how many servers may be out at one time, and refuses when it is none.
func (d *draft) width() (int, error) {
	service := d.request.Service
	most := max(1, service.Strategy.MaxUnavailable)
	servers := len(d.sites)
	if service.MinReady > servers {
		return 0, segue.Errorf(segue.KindRefused, "%s needs %d ready and has %s", service.Name, service.MinReady, count(servers)).
			WithHint("lower min_ready, or add servers")
	}
	taken := slices.ContainsFunc(d.sites, func(site segue.Slot) bool {
		return d.carries(site) && d.takesOut(site)
	})
	if !taken {
		return most, nil
	}
	if d.surge {
		return most, d.reachable(0)
	}
	spare := servers - service.MinReady
	if spare < 1 {
		refusal := segue.Errorf(segue.KindRefused, "%s needs %d ready of %s: not one can be taken out", service.Name, service.MinReady, count(servers))
		if service.CanSurge && service.Balanced {
			return 0, refusal.WithHint("set strategy.surge: true to start the new instance beside the old one, or lower min_ready to %d", servers-1)
		}
		return 0, refusal.WithHint("lower min_ready to %d, or add a server", servers-1)
	}
	if err := d.reachable(1); err != nil {
		return 0, err
	}
	if spare < most {
		d.note("%d at a time instead of %d: min_ready is %d of %s", spare, most, service.MinReady, count(servers))
	}
	return min(most, spare), nil
}

// reachable refuses, or (in a rollout under way) notes, that the plan would come to a server that cannot be spared because others are
// down which the plan does not come to before it. out is how many a server's turn takes out of those that there are now: none in a surge.
func (d *draft) reachable(out int) error {
	ready := 0
	for _, site := range slices.Concat(d.sites, d.leavers) {
		if d.carries(site) {
			ready++
		}
	}
	for i, partition := range d.partitions {
		taken := false
		for _, site := range partition {
			switch {
			case !d.carries(site):
				ready++
			case d.takesOut(site):
				taken = true
			}
		}
		if !taken || ready-out >= d.plan.MinReady {
			continue
		}
		down := d.down(d.partitions[i+1:])
		if d.request.Plan <= 1 {
			return segue.Errorf(segue.KindRefused, "%s needs %d ready, and no server can be taken out while %s: %s", d.request.Service.Name,
				d.plan.MinReady, verb(len(down), "one is down", "some are down"), names(down)).
				WithHint("bring back what is down (`segue logs %s`), or lower min_ready", down[0])
		}
		d.note("waits until one of these is back: %s", names(down))
		return nil
	}
	return nil
}

// takesOut says whether a site's turn ends an instance of another release. One that has the candidate beside it already ends it after the candidate was
// let in, as in a surge.
func (d *draft) takesOut(site segue.Slot) bool {
	task := d.task(site, d.request.Candidate.Name)
	return task == taskReplace || d.surge && task == taskSwitch
}

// down lists the servers of some partitions that carry no load.
func (d *draft) down(partitions [][]segue.Slot) []segue.ServerName {
	var down []segue.ServerName
	for _, partition := range partitions {
		for _, site := range partition {
			if !d.carries(site) {
				down = append(down, site.Server.Name)
			}
		}
	}
	return down
}

func (d *draft) surgeNote() {
	service := d.request.Service
	switch {
	case !service.Strategy.Surge || d.surge:
	case !service.Balanced:
		d.note("surge does not apply to a service without a balancer: two workers on one server would overlap")
	default:
		d.note("surge does not apply: the workload driver runs one instance per server")
	}
}

// partition writes one partition's stages and returns what comes before whatever follows.
func (d *draft) partition(number int, sites []segue.Slot, width int, gate []segue.StepID) []segue.StepID {
	sites = d.ordered(sites)
	done := 0
	for stage, target := range d.targets(len(sites)) {
		d.plan.Batches++
		gate = d.stage(sites[done:target], width, gate)
		done = target
		strategy := d.request.Service.Strategy
		if stage == 0 || strategy.BakeEach {
			gate = d.observe(sites[0].Server.Partition, gate)
		}
		if stage == 0 && number == 0 && strategy.Approve && !d.sameRelease() {
			gate = []segue.StepID{d.add(segue.Step{
				Kind: segue.StepApprove, Batch: d.plan.Batches, Partition: sites[0].Server.Partition, Release: d.request.Candidate.Name,
				Why: "a person's yes after the first batch",
			}, gate...)}
		}
	}
	return gate
}

// ordered puts first what is on the candidate already, then what carries no load, then the others.
func (d *draft) ordered(sites []segue.Slot) []segue.Slot {
	rank := func(site segue.Slot) int {
		switch {
		case d.task(site, d.request.Candidate.Name) < taskFill:
			return 0
		case !d.carries(site):
			return 1
		default:
			return 2
		}
	}
	sites = slices.Clone(sites)
	slices.SortStableFunc(sites, func(a, b segue.Slot) int { return rank(a) - rank(b) })
	return sites
}

// targets turns the batches into rising numbers of servers; the last one is all of them.
func (d *draft) targets(servers int) []int {
	batches := d.request.Service.Strategy.Batches
	if len(batches) == 0 {
		batches = []segue.Batch{{Servers: 1}}
	}
	var targets []int
	for _, batch := range batches {
		if target := batch.Of(servers); len(targets) == 0 || target > targets[len(targets)-1] {
			targets = append(targets, target)
		}
	}
	if targets[len(targets)-1] < servers {
		targets = append(targets, servers)
	}
	return targets
}

// stage rolls some servers, `width` at a time: each group waits for the one `width` before it. It returns what the next
// stage waits for.
func (d *draft) stage(sites []segue.Slot, width int, gate []segue.StepID) []segue.StepID {
	var ends []segue.StepID
	for _, site := range sites {
		task := d.task(site, d.request.Candidate.Name)
		if task == taskNone {
			d.kept = append(d.kept, site.Server.Name)
			continue
		}
		after := behind(ends, width, gate)
		group := d.group(site, d.plan.Batches, after)
		first := d.trial
		group.bring(d.request.Candidate.Name)
		ends = append(ends, group.last...)
		if first {
			gate = group.last // nobody follows before its answers have been compared
		}
	}
	if len(ends) == 0 {
		return gate
	}
	return ends[max(0, len(ends)-width):]
}

// behind says what the next group of a stage waits for, when those before it end with `ends`: the group `width` before it, or
// the gate. Where a wide stage follows a wide stage without an observation between them, each of the first groups waits for one lane of
// the gate and for its very last group: waiting for every lane would make the plan grow with the square of the width.
func behind(ends []segue.StepID, width int, gate []segue.StepID) []segue.StepID {
	const mostEdges = 4096
	switch i := len(ends); {
	case i >= width:
		return ends[i-width : i-width+1]
	case len(gate)*width <= mostEdges:
		return gate
	default:
		return []segue.StepID{gate[i%len(gate)], gate[len(gate)-1]}
	}
}

// observe adds an observation, unless it was had already or is not wanted.
func (d *draft) observe(partition segue.PartitionName, gate []segue.StepID) []segue.StepID {
	bake := d.request.Service.Strategy.Bake
	if bake <= 0 || d.sameRelease() {
		return gate
	}
	had := d.observed()
	if d.request.Hurry {
		return gate
	}
	if had {
		d.note("batch %d was observed already", d.plan.Batches)
		return gate
	}
	return []segue.StepID{d.add(segue.Step{
		Kind: segue.StepObserve, Batch: d.plan.Batches, Partition: partition, Release: d.request.Candidate.Name, For: bake,
	}, gate...)}
}

// observed counts one more observation, and says whether this rollout had it already.
func (d *draft) observed() bool {
	d.observations++
	return d.observations <= d.request.Observed
}

// sameRelease says whether servers are brought to the release that they should have anyway: there is nothing to compare or to approve.
func (d *draft) sameRelease() bool { return d.request.Stable.Name == d.request.Candidate.Name }

// leave ends what runs on servers that are in service no more.
func (d *draft) leave(gate []segue.StepID, width int) []segue.StepID {
	var ends []segue.StepID
	for _, site := range d.leavers {
		group := d.group(site, 0, behind(ends, width, gate))
		group.strays()
		group.endBeside()
		if site.Instance.ID != "" {
			group.end(site.Instance, "its server left the service")
		}
		ends = append(ends, group.last...)
	}
	if len(ends) == 0 {
		return gate
	}
	return ends[max(0, len(ends)-width):]
}

// firstDeploy starts the candidate everywhere at once: nothing runs that could be lost or compared with.
func (d *draft) firstDeploy() {
	d.plan.MinReady = 0
	// Nothing older runs: what would break it, or take from it, is done like the rest.
	ended := d.endMirror()
	ready := d.work(ended, func(segue.Work) bool { return true })
	gate := slices.Clone(ready)
	for _, site := range d.sites {
		if d.task(site, d.request.Candidate.Name) == taskNone {
			d.kept = append(d.kept, site.Server.Name)
			continue
		}
		group := d.group(site, 0, ready)
		group.bring(d.request.Candidate.Name)
		gate = append(gate, group.last...)
	}
	gate = append(gate, d.leave(ended, max(1, len(d.leavers)))...)
	d.noteKept(d.request.Candidate.Name)
	d.note("first deploy of %s: started everywhere at once, nothing to compare with", d.request.Service.Name)
	d.add(segue.Step{Kind: segue.StepFinalize, Release: d.request.Candidate.Name}, gate...)
	d.wayBack()
}
