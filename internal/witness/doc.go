// Package witness is synthetic users who work through the whole rollout: each has its own cookies and connections, logs in once, goes through the
// declared journey again and again at a steady rate, and notices what a person would notice: a request that failed, a login that was lost, an answer
// of a release that should not be there, an order that is gone or was placed twice, a WebSocket that broke.
//
// A Witness counts all the time, cumulatively; whoever wants the figures of a period takes a Report at its start and at its end and subtracts
// (Report.Since). It accuses carefully: a step counts against a release only once it has worked before. Until then a failure is the
// journey's or the network's, and Report.Problem says so.
package witness
