// Package balancertest has what every balancer driver is tested with, and what is tested with a balancer: the conformance Suite, the
// in-memory Fake with the full semantics of the contract, and Faulty, which lets any driver fail where a test wants it to.
package balancertest
