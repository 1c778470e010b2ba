//go:build race

package metrics_test

// detector says that the race detector is on: what only computes takes four times as long.
const detector = true
