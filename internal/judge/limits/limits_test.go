package limits_test

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/limits"
	"github.com/segue-deploy/segue/internal/telemetry"
)

func settings() segue.Limits {
	return segue.Limits{ErrorShare: 0.01, LatencyRatio: 2, LatencyFloor: 100 * time.Millisecond, MinSamples: 100, Witness: true}
}

// side is what one server did in a window.
func side(release segue.ReleaseName, requests, errors int64, latency time.Duration) judge.ServerEvidence {
	var h telemetry.Histogram
	for range requests {
		h.Observe(latency)
	}
	return judge.ServerEvidence{
		Server: segue.ServerName("on-" + release), Release: release, Requests: requests, Errors: errors, Latency: h.Distribution(), Ready: true,
	}
}

func window(servers ...judge.ServerEvidence) judge.Evidence {
	return judge.Evidence{Service: "web", Stable: "v1", Candidate: "v2", Servers: servers}
}

func ruling(findings []segue.Finding) segue.Ruling {
	return segue.Combine(time.Time{}, findings).Ruling
}

func TestRulings(t *testing.T) {
	fast, slow := 5*time.Millisecond, 250*time.Millisecond
	unready := side("v2", 500, 0, fast)
	unready.Ready = false
	for name, test := range map[string]struct {
		window judge.Evidence
		times  int
		want   segue.Ruling
	}{
		"nothing seen is no pass":             {window(), 5, segue.RulingInconclusive},
		"too few samples are no pass":         {window(side("v1", 50, 0, fast), side("v2", 50, 0, fast)), 1, segue.RulingInconclusive},
		"stable alone is no pass":             {window(side("v1", 5000, 0, fast)), 3, segue.RulingInconclusive},
		"as good as stable passes":            {window(side("v1", 500, 1, fast), side("v2", 500, 1, fast)), 2, segue.RulingPass},
		"errors of stable too are its caveat": {window(side("v1", 900, 90, fast), side("v2", 300, 30, fast)), 3, segue.RulingPass},
		"clearly more errors fail":            {window(side("v1", 500, 0, fast), side("v2", 500, 25, fast)), 1, segue.RulingFail},
		"a few errors more prove nothing":     {window(side("v1", 100, 0, fast), side("v2", 100, 2, fast)), 1, segue.RulingInconclusive},
		"slower than limit and floor fails":   {window(side("v1", 500, 0, fast), side("v2", 500, 0, slow)), 1, segue.RulingFail},
		"slower below the floor passes":       {window(side("v1", 500, 0, fast), side("v2", 500, 0, 15*fast)), 1, segue.RulingPass},
		"unready for long fails":              {window(side("v1", 500, 0, fast), unready), 3, segue.RulingFail},
		"unready for a moment is no pass":     {window(side("v1", 500, 0, fast), unready), 1, segue.RulingInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			j := limits.New(settings(), 0)
			var findings []segue.Finding
			for range test.times {
				findings = j.Weigh(test.window)
			}
			if got := ruling(findings); got != test.want {
				t.Errorf("ruling = %s, want %s: %+v", got, test.want, findings)
			}
		})
	}
}

// TestLatencyCountsFromWarm: a process that has just started is slow by nature; its errors count at once.
func TestLatencyCountsFromWarm(t *testing.T) {
	start := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	at := func(age time.Duration, candidate judge.ServerEvidence) judge.Evidence {
		candidate.Started = start
		w := window(side("v1", 500, 0, 5*time.Millisecond), candidate)
		w.Since, w.Until = start.Add(age), start.Add(age+time.Second)
		return w
	}
	slow := side("v2", 500, 0, 250*time.Millisecond)
	j := limits.New(settings(), time.Minute)
	if got := j.Weigh(at(59*time.Second, slow)); ruling(got) != segue.RulingInconclusive {
		t.Errorf("at 59 s: %+v", got)
	}
	if got := j.Weigh(at(time.Minute, slow)); ruling(got) != segue.RulingFail {
		t.Errorf("at 60 s: %+v", got)
	}
	if got := limits.New(settings(), time.Minute).Weigh(at(0, side("v2", 500, 50, time.Millisecond))); ruling(got) != segue.RulingFail {
		t.Errorf("errors at once: %+v", got)
	}
}

func TestWitnessFindingFailsForGood(t *testing.T) {
	j := limits.New(settings(), 0)
	bad := window(side("v1", 500, 0, time.Millisecond), side("v2", 500, 0, time.Millisecond))
	bad.Witness = []segue.Finding{{Judge: "witness", Text: "user 3 was logged out"}}
	j.Weigh(bad)
	if got := ruling(j.Weigh(window())); got != segue.RulingFail {
		t.Errorf("ruling = %s, want fail", got)
	}
}

func TestFindingsCarryTheirFigures(t *testing.T) {
	j := limits.New(settings(), 0)
	findings := j.Weigh(window(side("v1", 400, 4, time.Millisecond), side("v2", 200, 20, time.Millisecond)))
	for _, f := range findings {
		if f.Judge != "errors" {
			continue
		}
		if f.Value != 0.1 || f.Baseline != 0.01 || f.Limit != 0.02 || f.Samples != 200 || f.BaselineSamples != 400 || f.Needed != 100 {
			t.Errorf("finding = %+v", f)
		}
		return
	}
	t.Errorf("no finding about errors in %+v", findings)
}
