// Package prospect says before a rollout what its judges would find, and in what time, at the traffic that there is.
//
// It asks the forecast of the evidence's own process (package evidence), for one candidate beside the other servers. What it leaves out, such as bursts and
// servers that differ by nature, makes findings later, so it says "about".
package prospect

import (
	"math"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Prospect is a fault and the time in which half of such faults are found. Within is 0 where it cannot be found at this traffic, however long one looks.
type Prospect struct {
	What   string
	Within time.Duration
}

// margin is the ratio of rates up to which judges call a candidate innocent, and the bin is the time that they count in.
const (
	margin = evidence.DefaultNull
	bin    = 10 * time.Second
	// half: a prospect is the median.
	half = 0.5
)

// traffic is what servers did on average.
type traffic struct {
	minutes          float64 // of servers
	requests, errors float64
	latency          telemetry.Distribution
}

// Of gives the prospects of a rollout over so many servers; none where nothing was seen, or no judge weighs evidence.
func Of(past []judge.Evidence, judging segue.Judging, servers int) []Prospect {
	var seen traffic
	for _, window := range past {
		for _, row := range window.Servers {
			seen.minutes += window.Length().Minutes()
			seen.requests += float64(row.Requests)
			seen.errors += float64(row.Errors)
			seen.latency = seen.latency.Add(row.Latency)
		}
	}
	if judging.Budget <= 0 || servers < 2 || seen.minutes <= 0 {
		return nil
	}
	budget := evidence.DefaultBudget(judging.Budget)
	var all []Prospect
	if judging.Metrics && seen.requests > 0 {
		all = append(all, seen.failing(servers-1, evidence.Spend(budget.Errors, 1)), seen.slow(servers-1, evidence.Spend(budget.Latency, 1)))
	}
	if judging.Logs {
		all = append(all, speaking(servers-1, logs.FirstBirth(budget.Logs)))
	}
	for i := range all {
		if all[i].Within > 0 {
			all[i].Within = judging.Warm + max(bin, all[i].Within).Round(bin)
		}
	}
	return all
}

// failing is about errors: three times as many, or, where there are none, one request of a hundred.
func (t traffic) failing(others int, alpha float64) Prospect {
	request := evidence.ForecastRequest{Rate: t.errors / t.minutes, Others: others, Only: true, Ratio: 3, Alpha: alpha, Power: half}
	what := "three times as many failed answers"
	if t.errors < 1 {
		const few = 0.5 // as good a guess as any of what was not seen
		request.Rate = few / t.minutes
		request.Ratio = max(3, 0.01*t.requests/few)
		what = "one failed answer in a hundred, where none fail now"
	}
	return Prospect{what, within(request)}
}

// slow is about answers that take twice as long, told by the share of answers above a bound: the one that tells it soonest.
func (t traffic) slow(others int, alpha float64) Prospect {
	best := time.Duration(0)
	for _, q := range []float64{0.5, 0.75, 0.9, 0.95, 0.99} {
		bound := t.latency.Quantile(q)
		above := float64(t.latency.Above(bound))
		if above == 0 {
			continue
		}
		innocent := float64(t.latency.Above(time.Duration(float64(bound) / margin)))
		doubled := float64(t.latency.Above(bound / 2))
		found := within(evidence.ForecastRequest{
			Rate: above / t.minutes, Others: others, Null: max(1, innocent/above), Ratio: doubled / above, Alpha: alpha, Power: half,
		})
		if found > 0 && (best == 0 || found < best) {
			best = found
		}
	}
	return Prospect{"answers that take twice as long", best}
}

// speaking is about an error line that no server ever wrote and the candidate writes once a minute.
func speaking(others int, alpha float64) Prospect {
	process := evidence.NewProcess(evidence.Options{Only: true})
	const most = 60
	for minute := 1; minute <= most; minute++ {
		process.Add(evidence.Split{Candidate: 1, CandidateExposure: 1, OthersExposure: float64(others)})
		if process.LogE() >= math.Log(1/alpha) {
			return Prospect{"a new error line, once a minute", time.Duration(minute) * time.Minute}
		}
	}
	return Prospect{What: "a new error line, once a minute"}
}

func within(request evidence.ForecastRequest) time.Duration {
	outlook := evidence.Forecast(request)
	if !outlook.Found {
		return 0
	}
	return max(time.Second, time.Duration(outlook.Minutes*float64(time.Minute)))
}
