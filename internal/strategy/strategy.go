// Package strategy turns a service, its fleet as it is and a release into a plan. Each strategy is a sentence in the one vocabulary of steps,
// written by a pure function: no I/O, no clock, no randomness; the same request gives the same plan, byte for byte.
package strategy

import "github.com/segue-deploy/segue"

// Request is all that a plan depends on.
type Request struct {
	// Rollout is the number that instance identities are made from.
	Rollout segue.RolloutID
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
	// Hurry leaves out every observation (promote --all).
	Hurry bool
}
