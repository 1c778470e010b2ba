// Package strategy turns a service, its fleet as it is and a release into a plan. Each strategy is a sentence in the one vocabulary of steps,
// written by a pure function: no I/O, no clock, no randomness; the same request gives the same plan, byte for byte.
package strategy

import (
	"slices"

	"github.com/segue-deploy/segue"
)

// Request is all that a plan depends on.
type Request struct {
	// Rollout is the number that instance identities are made from.
	Rollout segue.RolloutID
	// Plan counts the plans of that rollout, from 1 (0 means 1); instance identities are made from it, too.
	Plan    int
	Service segue.Service
	// Fleet is what really runs, as the controller found it.
	Fleet segue.Fleet
	// Stable has no Name when nothing was ever deployed.
	Stable    segue.Release
	Candidate segue.Release
	Goal      segue.Goal
	// Servers limits a plan back to these; empty means all.
	Servers []segue.ServerName
	// Observed is how many stages were observed already in this rollout: they are not observed again after a resume.
	Observed int
	// Hurry leaves out every observation (promote --all), and the mirror with it.
	Hurry bool
	// Mirroring is the step that switched a mirror on which may be on still; its ID is 0 when there is none. Whatever the plan leads to, it begins with
	// that mirror's end.
	Mirroring segue.Step
	// Work is what databases need for the candidate, in order; what is done is not in it. A plan back and a join leave it alone: what was expanded
	// serves stable as well.
	Work []segue.Work
}

// Plan computes the plan from the fleet as it is to the goal. It costs the same per server in a fleet of any size.
//
// Errors: KindRefused when the goal cannot be reached by this strategy (capacity, a third release, a breaking release in a
// rolling plan), with a hint on what to change; KindNotFound for a server that the service does not have; KindInvalid for a request
// that makes no sense. A plan back is refused only for the last two: the way back does not close.
func Plan(request Request) (segue.Plan, error) {
	d, err := newDraft(request)
	if err != nil {
		return segue.Plan{}, err
	}
	switch request.Goal {
	case segue.GoalBack:
		d.back()
	case segue.GoalJoin:
		d.join()
	case segue.GoalForward, "":
		err = d.forward()
	default:
		err = segue.Errorf(segue.KindInvalid, "goal %q is not known", request.Goal)
	}
	if err != nil {
		return segue.Plan{}, err
	}
	return d.plan, nil
}

// forward picks the sentence that leads to the candidate.
func (d *draft) forward() error {
	if err := d.admissible(); err != nil {
		return err
	}
	if d.unchanged() {
		return nil
	}
	d.reserve(d.request.Candidate.Name)
	switch {
	case d.request.Stable.Name == "":
		d.firstDeploy()
	case d.request.Service.Strategy.Kind == segue.AllAtOnce:
		d.allAtOnce()
	case d.request.Service.Strategy.Kind == segue.Parallel:
		return d.parallel()
	default:
		return d.rolling()
	}
	return nil
}

// admissible refuses what no plan forward may do.
func (d *draft) admissible() error {
	service, candidate, stable := d.request.Service, d.request.Candidate, d.request.Stable
	if candidate.Name == "" {
		return segue.Errorf(segue.KindInvalid, "plan %s: no candidate is named", service.Name)
	}
	if service.Strategy.Kind != segue.AllAtOnce && candidate.Breaking && stable.Name != "" && stable.Name != candidate.Name {
		return segue.Errorf(segue.KindRefused, "%s %s is marked breaking: it cannot run beside %s, not even for one batch", service.Name, candidate.Name, stable.Name).
			WithHint("set strategy: {kind: all-at-once} for a short maintenance page, or split the change into releases that can run side by side")
	}
	if err := d.divisible(); err != nil {
		return err
	}
	if stable.Name == candidate.Name && (stable.Digest != candidate.Digest || stable.Config != candidate.Config) {
		return segue.Errorf(segue.KindRefused, "%s %s runs already, with another artifact or configuration: the two could not be told apart", service.Name, candidate.Name).
			WithHint("releases are immutable: give the changed one a name of its own")
	}
	return d.twoAtMost()
}

// twoAtMost refuses a third release in a partition, by name. Stable counts, running or not: it is where the way back leads.
func (d *draft) twoAtMost() error {
	for _, partition := range d.partitions {
		var others []segue.ReleaseName
		add := func(name segue.ReleaseName) {
			if name != "" && name != d.request.Candidate.Name && !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
		add(d.request.Stable.Name)
		for _, site := range partition {
			add(site.Instance.Release)
			if site.Beside != nil {
				add(site.Beside.Instance.Release)
			}
		}
		if len(others) > 1 {
			return segue.Errorf(segue.KindRefused, "%s has %s and %s already: %s would be a third release", d.request.Service.Name, others[0], others[1], d.request.Candidate.Name).
				WithHint("bring every server to one of them first, by finishing, aborting or deploying; `segue deploy --replace` gives a running rollout's candidate up for this one, `--queue` waits for it")
		}
	}
	return nil
}

// unchanged says, and notes, that there is nothing to do.
func (d *draft) unchanged() bool {
	stable, candidate := d.request.Stable, d.request.Candidate
	if stable.Name == "" || stable.Digest != candidate.Digest || stable.Config != candidate.Config || len(d.leavers) > 0 || len(d.request.Work) > 0 ||
		d.request.Mirroring.ID != 0 {
		return false
	}
	for _, site := range d.sites {
		if d.task(site, stable.Name) != taskNone {
			return false
		}
	}
	runs := string(stable.Name)
	if candidate.Name != stable.Name {
		runs = string(candidate.Name) + " is the same as " + runs + ", which"
	}
	d.note("%s: %s runs on %s already; nothing to do", d.request.Service.Name, runs, all(len(d.sites)))
	return true
}
