// Package archtest holds the house to its plan: a package imports only what
// stands on a floor below its own, and every source file keeps the few rules
// that a reader may rely on without looking.
//
// The floors are the table in floors.go. Everything else here turns that
// table, and the rules beside it, into violations: short sentences that name
// the place, the rule and the way out. The tests of this package run the rules
// on the repository itself, and feed each rule something wrong to see that it
// is caught.
//
// The linter (.golangci.yml) tells an editor the same while one types; this
// test is the one that decides.
package archtest
