package strategy

import (
	"fmt"
	"slices"

	"github.com/segue-deploy/segue"
)

// wayBack says, for the parts of a plan forward, how the fleet comes back to stable from there, and what closes that way.
func (d *draft) wayBack() {
	steps := d.plan.Steps
	if len(steps) == 0 {
		return
	}
	finalize := steps[len(steps)-1].ID
	switch {
	case d.admitted > 0:
		d.plan.WayBack = append(d.plan.WayBack,
			segue.WayBack{From: 1, How: fmt.Sprintf("abort ends the mirror and stops %s, which has had no traffic of its own", d.request.Candidate.Name)},
			segue.WayBack{From: d.admitted, How: d.abortHow()})
	case len(steps) > 1:
		d.plan.WayBack = append(d.plan.WayBack, segue.WayBack{From: 1, How: d.abortHow()})
	}
	if i := slices.IndexFunc(steps, func(step segue.Step) bool { return step.Closes != "" }); i >= 0 {
		d.plan.WayBack = append(d.plan.WayBack, segue.WayBack{From: steps[i].ID, How: "none", Closed: steps[i].Closes})
		return
	}
	d.plan.WayBack = append(d.plan.WayBack, d.afterwards(finalize))
}

func (d *draft) abortHow() string {
	stable := d.request.Stable.Name
	switch {
	case d.sameRelease():
		return "the release does not change"
	case stable == "":
		return "abort stops what was started: there is no release to go back to"
	case d.plan.Strategy == segue.AllAtOnce && d.request.Service.Balanced:
		return fmt.Sprintf("abort starts %s again on every server behind the maintenance page%s", stable, d.unbroken())
	case d.surge:
		return fmt.Sprintf("abort takes the upgraded servers back to %s, the new instance beside the old one; its files and configuration are kept", stable)
	default:
		return fmt.Sprintf("abort takes the upgraded servers back to %s, those that carry nothing first; its files and configuration are kept", stable)
	}
}

// unbroken says that nothing closes the way back of a plan behind a maintenance page.
func (d *draft) unbroken() string {
	for _, work := range d.request.Work {
		if work.Closes != "" {
			return ""
		}
	}
	return "; nothing closes that way"
}

func (d *draft) afterwards(finalize segue.StepID) segue.WayBack {
	stable, window := d.request.Stable.Name, d.request.Service.RollbackWindow
	switch {
	case stable == "" || stable == d.request.Candidate.Name:
		return segue.WayBack{From: finalize, How: "none", Closed: "there is no earlier release"}
	case window <= 0:
		return segue.WayBack{From: finalize, How: "none", Closed: fmt.Sprintf("no rollback window is configured: %s may be removed at once", stable)}
	default:
		return segue.WayBack{From: finalize, How: fmt.Sprintf("rollback rolls %s out again; it is kept for %s", stable, span(window))}
	}
}
