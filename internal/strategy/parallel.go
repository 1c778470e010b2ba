package strategy

import "github.com/segue-deploy/segue"

// parallel is the sentence: the candidate starts beside stable on one server, gets copies of requests and has its answers compared; then it is let in
// and all goes on as in rolling with surge.
func (d *draft) parallel() error {
	if d.sameRelease() {
		return d.rolling()
	}
	service, why, hint := d.request.Service, "", "set strategy: {kind: rolling}"
	switch {
	case !service.Balanced:
		why = "it has no balancer that could copy requests"
	case !service.CanSurge:
		why = "the workload driver runs one instance per server"
	case service.Judging.Mirror == nil:
		why, hint = "nothing says which requests are copied", "set strategy.mirror: {share: 10%, for: 1m}"
	}
	if why != "" {
		return segue.Errorf(segue.KindRefused, "%s cannot be rolled out in parallel: %s", service.Name, why).WithHint("%s", hint)
	}
	d.trial = d.tried()
	return d.rolling()
}

// tried says whether this plan compares answers before the candidate gets traffic, and notes what there is to say about that.
func (d *draft) tried() bool {
	candidate := d.request.Candidate.Name
	compared, stable, has := d.observed(), 0, 0
	for _, site := range d.sites {
		switch {
		case !d.carries(site):
		case site.Instance.Release == candidate:
			has++
		default:
			stable++
		}
	}
	switch {
	case d.request.Hurry:
		return false
	case compared:
		d.note("the answers of %s were compared already", candidate)
		return false
	case has > 0:
		d.note("%s has traffic already: its answers are not compared beforehand", candidate)
		return false
	case stable < 2:
		d.note("no second stable server: noise in answers cannot be told apart")
	}
	return true
}

// compare puts the candidate's first instance, which is ready, to the test before it is let in. What comes after the observation is a group of its own: a
// pause meanwhile ends the mirror, and lets nobody in.
func (g *group) compare(id segue.InstanceID, release segue.ReleaseName) {
	if !g.trial {
		return
	}
	g.trial = false
	g.mirror(id, release, true)
	g.last = []segue.StepID{g.add(segue.Step{
		Kind: segue.StepObserve, Batch: g.batch, Partition: g.site.Server.Partition, Release: release,
		For: g.request.Service.Judging.Mirror.For, Why: "answers compared",
	}, g.last...)}
	g.mirror(id, release, false)
	g.name += " admitted"
	g.admitted = g.last[0] + 1
}

func (g *group) mirror(id segue.InstanceID, release segue.ReleaseName, on bool) {
	why := ""
	if on {
		why = "answers compared before it gets traffic"
	}
	g.step(segue.StepMirror, id, release, why)
	g.plan.Steps[len(g.plan.Steps)-1].On = on
}

// endMirror ends a mirror that an earlier plan of the rollout may have left on.
func (d *draft) endMirror() []segue.StepID {
	last := d.request.Mirroring
	if last.ID == 0 {
		return nil
	}
	return []segue.StepID{d.add(segue.Step{
		Kind: segue.StepMirror, Partition: last.Partition, Server: last.Server, Instance: last.Instance, Release: last.Release,
		Why: "requests may be copied still",
	})}
}
