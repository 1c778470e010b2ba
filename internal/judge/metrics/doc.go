// Package metrics judges a candidate by figures: how many of its answers fail, how long they take, and what its instances say of themselves.
//
// Scraper and PromQL read instances' own metrics, and are all in here that does I/O. Judge weighs windows of evidence in two lanes: a fast one
// over requests, and a slow one over servers' own metrics that holds rather than fails. Kayenta applies the rule of Spinnaker's judge to the same
// windows, and only reports.
package metrics
