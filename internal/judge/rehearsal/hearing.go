package rehearsal

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// Outcome is what judges made of a rollout.
type Outcome struct {
	// Ruling is fail if it ever was, or else the latest; After is when it was first given, from the start of the rollout.
	Ruling segue.Ruling  `json:"ruling"`
	After  time.Duration `json:"after"`
	// Findings are those that decided.
	Findings []segue.Finding `json:"findings,omitempty"`
}

// Server is the first that a finding names.
func (o Outcome) Server() segue.ServerName {
	for _, f := range o.Findings {
		if f.Server != "" {
			return f.Server
		}
	}
	return ""
}

// Hearing is judges at one rollout, and what they have said so far.
type Hearing struct {
	Outcome
	judges []judge.Judge
	start  time.Time
}

// NewHearing seats judges with empty memories.
func NewHearing(judges []judge.Judge) *Hearing {
	return &Hearing{Outcome: Outcome{Ruling: segue.RulingInconclusive}, judges: judges}
}

// Weigh lets them look at the next window. After a fail there is nothing left to look at.
func (h *Hearing) Weigh(window judge.Evidence) {
	if h.Ruling == segue.RulingFail {
		return
	}
	if h.start.IsZero() {
		h.start = window.Since
	}
	findings := make([]segue.Finding, 0, len(h.judges))
	for _, j := range h.judges {
		findings = append(findings, j.Weigh(window)...)
	}
	verdict := segue.Combine(window.Until, findings)
	if verdict.Ruling != h.Ruling {
		h.Ruling, h.After = verdict.Ruling, window.Until.Sub(h.start)
	}
	h.Findings = slices.DeleteFunc(findings, func(f segue.Finding) bool { return f.Ruling != verdict.Ruling })
}
