package prospect_test

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/prospect"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// past is an hour of servers that get so many requests a second, of which a share fails.
func past(servers int, perSecond, failing float64) []judge.Evidence {
	end := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	window := judge.Evidence{Since: end.Add(-time.Hour), Until: end}
	for i := range servers {
		var histogram telemetry.Histogram
		for n := range int(perSecond * 3600) {
			histogram.Observe(time.Duration(10+n%50) * time.Millisecond)
		}
		requests := int64(perSecond * 3600)
		window.Servers = append(window.Servers, judge.ServerEvidence{
			Server: segue.ServerName(rune('a' + i)), Requests: requests, Errors: int64(float64(requests) * failing), Latency: histogram.Distribution(),
		})
	}
	return []judge.Evidence{window}
}

func all() segue.Judging {
	return segue.Judging{Budget: 0.05, Logs: true, Metrics: true, Warm: time.Minute}
}

func TestMoreTrafficAndMoreServersFindSooner(t *testing.T) {
	t.Parallel()
	few, many := prospect.Of(past(4, 1, 0.01), all(), 4), prospect.Of(past(4, 20, 0.01), all(), 4)
	if len(few) != 3 || len(many) != 3 {
		t.Fatalf("%v, %v", few, many)
	}
	for i := range few {
		t.Logf("%s: %s at 1 request a second and server, %s at 20", few[i].What, few[i].Within, many[i].Within)
		if many[i].Within <= time.Minute || many[i].Within > few[i].Within {
			t.Errorf("%s: %s with little traffic, %s with much", few[i].What, few[i].Within, many[i].Within)
		}
	}
	if alone, large := prospect.Of(past(2, 5, 0.01), all(), 2), prospect.Of(past(10, 5, 0.01), all(), 10); large[0].Within >= alone[0].Within {
		t.Errorf("%s with 10 servers, %s with 2", large[0].Within, alone[0].Within)
	}
}

func TestNothingSeenNothingSaid(t *testing.T) {
	t.Parallel()
	for name, got := range map[string][]prospect.Prospect{
		"no past":   prospect.Of(nil, all(), 4),
		"no budget": prospect.Of(past(4, 1, 0), segue.Judging{Metrics: true, Logs: true}, 4),
		"alone":     prospect.Of(past(1, 1, 0), all(), 1),
	} {
		if len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := prospect.Of(past(4, 20, 0), all(), 4); len(got) != 3 || got[0].Within == 0 {
		t.Errorf("without errors: %v", got)
	}
	if got := prospect.Of(past(4, 0, 0), all(), 4); len(got) != 1 {
		t.Errorf("without requests: %v", got)
	}
}
