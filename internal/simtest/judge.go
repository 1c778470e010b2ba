package simtest

import (
	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// scripted is a judge that says what the scenario wants: it fails from the so manieth look on, never has enough data (-1), or passes (0).
type scripted struct {
	candidate segue.ReleaseName
	failFrom  int
	looks     int
}

// Name implements judge.Judge.
func (*scripted) Name() string { return "scripted" }

// Weigh implements judge.Judge.
func (s *scripted) Weigh(window judge.Evidence) []segue.Finding {
	s.looks++
	finding := segue.Finding{Judge: s.Name(), Ruling: segue.RulingPass, Release: window.Candidate, Text: "as the scenario wants"}
	switch {
	case s.failFrom < 0:
		finding.Ruling = segue.RulingInconclusive
	case s.failFrom > 0 && s.looks >= s.failFrom:
		finding.Ruling = segue.RulingFail
	}
	return []segue.Finding{finding}
}
