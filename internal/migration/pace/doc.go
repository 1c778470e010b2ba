// Package pace decides how fast long work on a database may go: how many rows a batch takes, how long to rest after it, when to stand still, how the
// operations of a process share one budget, and when they will be done.
//
// It has no clock, no goroutine and no database: times are given to it, so that drivers can stand on it and a test can replay it.
package pace
