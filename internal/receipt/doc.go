// Package receipt makes the measured account of one rollout: what users noticed, what each step took and what of it could not be avoided, who ordered
// what, and what the judges said. Build is a pure function of a rollout's journal entries and of samples of counters that were kept in it; it can be
// called during a rollout as well (Receipt.Partial).
//
// Rules that hold everywhere:
//
//   - What was not measured is nil, never 0.
//   - Nothing is negative. Counters that began anew (the balancer was started again) are summed piece by piece, and a note says what is unknown.
//   - Every failure is counted once, and belongs to one cause and one step ("between steps" is one): failures by cause, and failures by step, both
//     add up to the failures.
package receipt
