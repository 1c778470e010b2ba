// Package rehearsal plays rollouts before there are any: it generates what a fleet of two versions would show, and has judges weigh it.
//
// World is a fleet as plain data, with a seed; its Windows are the evidence of a rollout, and its Lines the same log as raw text, in any of the
// Styles. Changes are what the candidate does differently: faults, and decoys that only look like one. Time is virtual, and the same World gives
// the same rollout for good.
package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/segue-deploy/segue"
)

// The names in every World.
const (
	Service   segue.ServiceName = "web"
	Stable    segue.ReleaseName = "v1"
	Candidate segue.ReleaseName = "v2"
)

// step is the least time that a World is told by: the slots that judges count log lines in.
const step = 10 * time.Second

// World is a fleet in virtual time: some servers run one release, and at Start the first of them get the candidate. Zero fields mean the default.
type World struct {
	Seed uint64 `json:"seed"`
	// Servers of the fleet, default 4; Candidates of them get the new release, default 1.
	Servers    int `json:"servers,omitempty"`
	Candidates int `json:"candidates,omitempty"`
	// Start is when they do. History is seen before, default an hour, less than a minute for none; Length after, default an hour, in looks of Look, default 10 s.
	Start   time.Time     `json:"start,omitzero"`
	History time.Duration `json:"history,omitempty"`
	Length  time.Duration `json:"length,omitempty"`
	Look    time.Duration `json:"look,omitempty"`
	// Style is that of the log, by name; "" draws one by the seed.
	Style string `json:"style,omitempty"`
	// Requests per minute and server at the mean of the day, default 600. Day is how far the load swings about the mean, default 0.5.
	Requests float64 `json:"requests,omitempty"`
	Day      float64 `json:"day,omitempty"`
	// Templates of the log beside heartbeats and starts, default 350, the last 100 of them at a line in ten hours. LogRate is lines per minute and server, default 120.
	Templates int     `json:"templates,omitempty"`
	LogRate   float64 `json:"log_rate,omitempty"`
	// Burst is how many lines an event writes, default 5.
	Burst int `json:"burst,omitempty"`
	// Spread is how differently servers say each template, Noise how much their latency wanders, both in sigma of a logarithm. Default 0.3, 0.1.
	Spread float64 `json:"spread,omitempty"`
	Noise  float64 `json:"noise,omitempty"`
	// Errors is the share of 5xx answers, default 0.002. Latency is the median's, default 40 ms.
	Errors  float64       `json:"errors,omitempty"`
	Latency time.Duration `json:"latency,omitempty"`
	// Restarts of each server per day beside the candidate's own, default 1. Negative means none, and none in the history either, where
	// otherwise one server restarts.
	Restarts float64 `json:"restarts,omitempty"`
	// Mirror is the share of requests that are mirrored for comparing answers; 0 for none.
	Mirror float64 `json:"mirror,omitempty"`
	// Changes are what the new release does differently.
	Changes []Change `json:"changes,omitempty"`
}

// Kind is a kind of change.
type Kind string

// Faults: a judge should find them.
const (
	// NewLine is a line of Severity ("error") that only the candidate writes, Size times a minute.
	NewLine Kind = "new line"
	// StackTrace is NewLine with a stack trace.
	StackTrace Kind = "stack trace"
	// MoreWarnings multiplies a known warning by Size.
	MoreWarnings Kind = "more warnings"
	// NoHeartbeat silences a line that comes by the clock: every minute, or every Size minutes of 0.5, 1 and 5.
	NoHeartbeat Kind = "no heartbeat"
	// Slow multiplies all latency by Size, SlowRoute that of one route.
	Slow      Kind = "slow"
	SlowRoute Kind = "slow route"
	// MoreErrors multiplies the share of 5xx answers by Size, RouteErrors answers a share Size of one route's requests with 5xx: of a busy route, or,
	// by Severity, of a rare one that gets 1 % of the requests.
	MoreErrors  Kind = "more errors"
	RouteErrors Kind = "route errors"
	// WrongField differs in one field of the answers of one route, in a share Size of them.
	WrongField Kind = "wrong field"
	// Leak grows memory by a share Size of its usual size per minute.
	Leak Kind = "leak"
	// CrashLoop ends the process every Size minutes.
	CrashLoop Kind = "crash loop"
)

// Decoys: a judge should not roll back for them.
const (
	// Wording writes a known INFO line in other words.
	Wording Kind = "wording"
	// StartLines are Size lines more that the candidate writes at its start, of Severity.
	StartLines Kind = "start lines"
	// Version is a version in a known line, another one in the candidate.
	Version Kind = "version"
	// Keys is another order of keys in structured lines: the same templates.
	Keys Kind = "keys"
	// NewInfo is an INFO line that only the candidate writes, Size times a minute.
	NewInfo Kind = "new info"
	// Merge is of two known templates that turn out to be one.
	Merge Kind = "merge"
	// ExtraField is a new field in answers.
	ExtraField Kind = "extra field"
	// Fewer writes a known error a Size-th as often.
	Fewer Kind = "fewer errors"
	// Incident is one of the whole fleet: for Size minutes, all servers write a new error and answer 5 % with 5xx.
	Incident Kind = "incident"
	// Lossy has Size lines a minute of the candidate lost on the way.
	Lossy Kind = "lossy"
	// OtherMix sends a share Size of the candidate's requests the other way round: what others are seldom asked for, it is often.
	OtherMix Kind = "other mix"
	// BrokenRoute is one that gets a share Size of all requests, and fails each of them on every release, in the history too.
	BrokenRoute Kind = "broken route"
	// StrayClient asks one server with the candidate for the broken route, Size times within a minute.
	StrayClient Kind = "stray client"
)

// The routes that RouteErrors is about, as a Severity.
const (
	busy = "busy"
	rare = "rare"
)

// Change is a fault or decoy of the new release. It begins After the start.
type Change struct {
	Kind     Kind          `json:"kind"`
	After    time.Duration `json:"after,omitempty"`
	Size     float64       `json:"size,omitempty"`
	Severity string        `json:"severity,omitempty"`
}

// String is for names of scenarios and messages.
func (c Change) String() string {
	text := string(c.Kind)
	if c.Severity != "" {
		text += " " + c.Severity
	}
	if c.Size != 0 {
		text += fmt.Sprintf(" x%g", c.Size)
	}
	return text
}

// Full gives the World with all fields set.
func (w World) Full() World { return w.defaults() }

// With gives the World with a change.
func (w World) With(change func(*World)) World {
	change(&w)
	return w
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// defaults gives the World with all fields set.
func (w World) defaults() World {
	def(&w.Servers, 4)
	def(&w.Candidates, 1)
	def(&w.Start, time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC))
	def(&w.History, time.Hour)
	def(&w.Length, time.Hour)
	def(&w.Look, step)
	def(&w.Requests, 600)
	def(&w.Day, 0.5)
	def(&w.Templates, 350)
	def(&w.LogRate, 120)
	def(&w.Burst, 5)
	def(&w.Spread, 0.3)
	def(&w.Noise, 0.1)
	def(&w.Errors, 0.002)
	def(&w.Latency, 40*time.Millisecond)
	def(&w.Restarts, 1)
	w.Start = w.Start.Truncate(time.Minute)
	w.Look = max(w.Look.Truncate(step), step)
	w.History = w.History.Truncate(time.Minute)
	if w.Style == "" {
		all := Styles()
		w.Style = all[w.random("style", 0).IntN(len(all))].Name
	}
	return w
}

// random gives a source of its own for everything that draws lots, so that a change of one thing leaves all others as they were.
func (w World) random(what string, server int) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed, hash(what)+uint64(server)))
}

func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

func serverName(i int) segue.ServerName { return segue.ServerName(fmt.Sprintf("web-%d", i+1)) }
