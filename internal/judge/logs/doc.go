// Package logs judges a candidate by what it writes to its logs.
//
// Gatherer turns the outputs of servers into counts of templates, blind to which server is the candidate. Judge weighs those counts: is a
// line new on the candidate, or far more frequent than on the others and than it was on the same servers before? Caveat is what a team
// knows of already, with the rate that is usual.
//
// New and multiplied errors, warnings that burst, and heartbeats that vanish fail a candidate; what else is new is reported. Where most lines
// tell no severity, any of them may be an error: then what is new or multiplied holds it, and the judge says that it cannot read severities.
package logs
