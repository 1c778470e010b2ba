// Package logs judges a candidate by what it writes to its logs.
//
// Gatherer turns the outputs of servers into counts of templates, blind to which server is the candidate. Judge weighs those counts: is a
// line new on the candidate, or far more frequent than on the others and than it was on the same servers before? Caveat is what a team
// knows of already, with the rate that is usual.
package logs
