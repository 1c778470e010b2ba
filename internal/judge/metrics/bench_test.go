package metrics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// BenchmarkWeigh is a window of a second: 50 servers, 10 of which run the candidate, with 100 series each.
func BenchmarkWeigh(b *testing.B) {
	fleet := func(at time.Time, length time.Duration, candidates int) judge.Evidence {
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(length)}
		for i := range 50 {
			s := asking(60, int64(i%2))
			s.Server, s.Release, s.Started = segue.ServerName(fmt.Sprintf("web-%d", i)), "v1", begun().Add(-time.Hour)
			if i < candidates {
				s.Release = "v2"
			}
			s.Gauges = map[string]float64{}
			for g := range 100 {
				s.Gauges[fmt.Sprintf("gauge_%d", g)] = float64(100 + (at.Second()+g*i)%7)
			}
			e.Servers = append(e.Servers, s)
		}
		return e
	}
	window := fleet(begun(), time.Second, 10)
	for minute := -60; minute < 0; minute++ {
		window.Before = append(window.Before, fleet(begun().Add(time.Duration(minute)*time.Minute), time.Minute, 0))
	}
	j := metrics.New(metrics.Config{})
	j.Weigh(window)
	window.Before = nil
	for b.Loop() {
		window.Since, window.Until = window.Until, window.Until.Add(time.Second)
		j.Weigh(window)
	}
}
