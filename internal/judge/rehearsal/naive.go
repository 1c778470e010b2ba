package rehearsal

import (
	"cmp"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// Naive is what one would write in an afternoon, as a baseline: a warning or error that neither the old logs nor any stable server has, and the
// candidate does, fails it.
type Naive struct {
	severity map[string]string
	known    map[string]bool
	found    *segue.Finding
}

// NewNaive makes the judge of one rollout.
func NewNaive() *Naive { return &Naive{severity: map[string]string{}, known: map[string]bool{}} }

// Name is "naive".
func (n *Naive) Name() string { return "naive" }

// Weigh takes the next window.
func (n *Naive) Weigh(window judge.Evidence) []segue.Finding {
	for _, past := range window.Before {
		n.learn(past, "")
	}
	n.learn(window, window.Candidate)
	candidates, stables := int64(0), int64(0)
	for _, s := range window.Servers {
		switch {
		case !s.LogsRead:
		case s.Release == window.Stable && len(s.Logs) > 0:
			stables++
		case s.Release == window.Candidate:
			candidates++
			n.look(s, window)
		}
	}
	if n.found != nil {
		return []segue.Finding{*n.found}
	}
	ruling := segue.RulingInconclusive
	if candidates > 0 && stables > 0 {
		ruling = segue.RulingPass
	}
	return []segue.Finding{{
		Judge: n.Name(), Ruling: ruling, Release: window.Candidate, Samples: candidates, BaselineSamples: stables, Text: "nothing new",
	}}
}

// look searches what a candidate's server said; of several new lines the first by template counts, and of several servers the first by name.
func (n *Naive) look(s judge.ServerEvidence, window judge.Evidence) {
	for _, l := range s.Logs {
		severity := n.severity[l.Template]
		if severity != "warn" && severity != "error" && severity != "fatal" || n.known[l.Template] {
			continue
		}
		f := segue.Finding{
			Judge: n.Name(), Ruling: segue.RulingFail, Server: s.Server, Release: s.Release, Fingerprint: l.Template, Severity: severity,
			At: window.Until, Text: fmt.Sprintf("%s says what nobody said before", s.Server),
		}
		if old := n.found; old == nil || old.At.Equal(f.At) && cmp.Or(cmp.Compare(f.Server, old.Server), cmp.Compare(f.Fingerprint, old.Fingerprint)) < 0 {
			n.found = &f
		}
	}
}

// learn takes what all releases but one say as known.
func (n *Naive) learn(e judge.Evidence, except segue.ReleaseName) {
	for _, t := range e.Templates {
		n.severity[t.ID] = t.Severity
	}
	for _, s := range e.Servers {
		if s.Release == except {
			continue
		}
		for _, l := range s.Logs {
			n.known[l.Template] = true
		}
	}
}
