// Package segue holds the nouns of the system: services, releases, servers, instances, plans, steps, phases, events,
// findings, verdicts and error kinds. It imports the standard library only, does nothing by itself, and everything else is
// written in its words.
//
// A deploy reads as one line down and one line back: a strategy turns (service, fleet, release) into a Plan; the
// rollout machine folds Events over a state and says which steps to carry out; the controller writes each Event to the journal,
// carries the steps out through drivers, and feeds the outcome back as an Event.
package segue
