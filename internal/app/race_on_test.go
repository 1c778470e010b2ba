//go:build race

package app

// detector says that the race detector is on: what only computes takes ten times as long.
const detector = true
