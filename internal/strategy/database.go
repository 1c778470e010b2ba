package strategy

import (
	"slices"

	"github.com/segue-deploy/segue"
)

// divisible refuses work on a database that no plan with two releases side by side can carry.
func (d *draft) divisible() error {
	if d.request.Service.Strategy.Kind == segue.AllAtOnce || d.request.Stable.Name == "" {
		return nil
	}
	i := slices.IndexFunc(d.request.Work, func(work segue.Work) bool { return work.Breaking })
	if i < 0 {
		return nil
	}
	work := d.request.Work[i]
	refusal := segue.Errorf(segue.KindRefused, "database %s: %s breaks %s while it runs: %s", work.Database, work.Title, d.request.Stable.Name, work.Why)
	if work.Split == "" {
		return refusal.WithHint("set strategy: {kind: all-at-once} for a short maintenance page")
	}
	return refusal.WithHint("split it over releases: %s; or set strategy: {kind: all-at-once} for a short maintenance page", work.Split)
}

// expand writes the work that comes before the new release: expand first, and backfills to their end. Databases are worked on side by side, the changes
// of each one after the other.
func (d *draft) expand(gate []segue.StepID) []segue.StepID {
	return d.work(gate, func(work segue.Work) bool { return work.Kind != segue.StepContract && !work.Breaking })
}

// breaking writes the work that serves the new release alone.
func (d *draft) breaking(gate []segue.StepID) []segue.StepID {
	return d.work(gate, func(work segue.Work) bool { return work.Breaking })
}

// contract writes the work that takes away what nothing needs any more, behind a person's yes where that closes the way back.
func (d *draft) contract(gate []segue.StepID) []segue.StepID {
	last := func(work segue.Work) bool { return work.Kind == segue.StepContract && !work.Breaking }
	gate = d.consent(gate, last)
	return d.work(gate, last)
}

// consent asks for a person's yes before a point of no return.
func (d *draft) consent(gate []segue.StepID, in func(segue.Work) bool) []segue.StepID {
	i := slices.IndexFunc(d.request.Work, func(work segue.Work) bool { return in(work) && work.Closes != "" })
	if i < 0 {
		return gate
	}
	work := d.request.Work[i]
	return []segue.StepID{d.add(segue.Step{
		Kind: segue.StepApprove, Release: d.request.Candidate.Name, Database: work.Database, Change: work.Change,
		Why: "point of no return: " + work.Closes,
	}, gate...)}
}

func (d *draft) work(gate []segue.StepID, in func(segue.Work) bool) []segue.StepID {
	lanes := map[segue.DatabaseName][]segue.StepID{}
	var order []segue.DatabaseName
	for _, work := range d.request.Work {
		if !in(work) {
			continue
		}
		after, begun := lanes[work.Database]
		if !begun {
			after = gate
			order = append(order, work.Database)
		}
		lanes[work.Database] = []segue.StepID{d.add(segue.Step{
			Kind: work.Kind, Release: d.request.Candidate.Name, Database: work.Database, Change: work.Change, Title: work.Title,
			Why: work.Why, Closes: work.Closes,
		}, after...)}
	}
	if len(order) == 0 {
		return gate
	}
	var ends []segue.StepID
	for _, name := range order {
		ends = append(ends, lanes[name]...)
	}
	return ends
}
