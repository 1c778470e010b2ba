package rehearsal

import (
	"time"

	"github.com/segue-deploy/segue/internal/judge"
)

// answers is what comparing the answers of mirrored requests finds.
type answers struct {
	World
	lots
	routes []route
}

func newAnswers(w World) *answers {
	return &answers{World: w, lots: lots{w.random("answers", 0)}, routes: w.routes()}
}

// difference is a path that differs: on the candidate alone, or on another stable server alone, in a share of the answers.
type difference struct {
	path, kind        string
	candidate, stable float64
	noisy             bool
}

// differences are those of a route at a time.
func (a *answers) differences(r route, at time.Time) []difference {
	all := []difference{
		{"body:$.request_id", "value", 0, 0, true},
		{"body:$.items[].price", "value", 0.005, 0.005, false},
		{"header:cache-status", "value", 0.08, 0.08, false},
		{"answer", "mirror:timeout", 0.001, 0.001, false},
	}
	for _, c := range a.Changes {
		if at.Before(a.Start.Add(c.After)) {
			continue
		}
		switch {
		case c.Kind == WrongField && r.name == busyRoute:
			kind := "missing"
			if c.Severity != "" {
				kind = c.Severity
			}
			path := "body:$.total"
			if kind == "status" {
				path = "status"
			}
			all = append(all, difference{path, kind, c.Size, 0, false})
		case c.Kind == RouteErrors && r.is(c):
			all = append(all, difference{"answer", "mirror:5xx", c.Size, 0, false})
		case c.Kind == ExtraField:
			all = append(all, difference{"body:$.links", "extra", 1, 0, false})
		}
	}
	return all
}

// window gives the rows of a window in which the candidate runs.
func (a *answers) window(e judge.Evidence) []judge.AnswerCount {
	if a.Mirror <= 0 {
		return nil
	}
	var rows []judge.AnswerCount
	for _, r := range a.routes {
		n := a.poisson(a.Requests * float64(a.Servers) * a.load(e.Since) * a.Mirror * r.share * e.Length().Minutes())
		if n == 0 {
			continue
		}
		rows = append(rows, judge.AnswerCount{Route: r.name, Kind: "compared", Compared: int64(n), Secondaries: 1})
		for _, d := range a.differences(r, e.Since) {
			row := judge.AnswerCount{Route: r.name, Path: d.path, Kind: d.kind, Compared: int64(n), Secondaries: 1, Noisy: d.noisy, Sample: "1 | 2"}
			row.Candidate, row.Stable = a.among(n, d.candidate), a.among(n, d.stable)
			if row.Candidate+row.Stable > 0 || d.noisy {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// among draws how many of n have what a share has.
func (a *answers) among(n int, share float64) (k int64) {
	for range n {
		if a.Float64() < share {
			k++
		}
	}
	return k
}
