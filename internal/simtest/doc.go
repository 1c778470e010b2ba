// Package simtest is a simulated world: the real controller, strategies, machine and journal in memory, working on fake servers and a fake balancer
// under virtual time, with faults, deaths, operators who order anything at any time, and a controller that is killed and started again at
// any journal index. Play plays one scenario; everything in it comes from its seed. What really happened is recorded as facts, and the
// laws of package laws are checked over them.
package simtest
