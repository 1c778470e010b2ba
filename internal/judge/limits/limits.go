// Package limits is the first, simple judge: plain limits from segue.yaml on readiness, restarts, the share of errors, p99 and the witness.
//
// It weighs what it has seen since it was made. It is careful in both directions: it never passes without the minimum of samples on both
// sides, and while an observation goes on (it is asked every second) it only fails what is beyond chance: the lower bound of Wilson's
// score interval at z = 3.29 (two-sided error rate 0.1 %) must be over the limit.
package limits

import (
	"fmt"
	"math"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// z and errorRate belong together: the two-sided normal quantile and its error rate per look.
const (
	z         = 3.29
	errorRate = 0.001
)

// slowShare is the share of requests that may be slower than p99.
const slowShare = 0.01

// Judge holds what was seen of each release so far.
type Judge struct {
	limits    segue.Limits
	warm      time.Duration
	stable    sums
	candidate sums
	// looks counts the windows in which a candidate instance was seen; unready those in a row in which one was not ready.
	looks   int64
	unready map[segue.ServerName]int
	witness []segue.Finding
}

// sums is what was seen of one release.
type sums struct {
	requests, errors int64
	latency          telemetry.Distribution
}

// add takes what a server did; its latencies only where it was warm: a process is slow by nature at first.
func (s *sums) add(e judge.ServerEvidence, warm bool) {
	s.requests += e.Requests
	s.errors += e.Errors
	if warm {
		s.latency = s.latency.Add(e.Latency)
	}
}

func (s *sums) share() float64 {
	if s.requests == 0 {
		return 0
	}
	return float64(s.errors) / float64(s.requests)
}

// New makes the judge of one rollout. Latencies count from the age warm of a process on.
func New(limits segue.Limits, warm time.Duration) *Judge {
	return &Judge{limits: limits, warm: warm, unready: map[segue.ServerName]int{}}
}

// Name is "limits"; its findings carry the name of the limit.
func (j *Judge) Name() string { return "limits" }

// Weigh takes the next window.
func (j *Judge) Weigh(window judge.Evidence) []segue.Finding {
	for _, server := range window.Servers {
		warm := server.Started.IsZero() || window.Since.Sub(server.Started) >= j.warm
		switch server.Release {
		case window.Candidate:
			j.candidate.add(server, warm)
			j.countUnready(server)
		case window.Stable:
			j.stable.add(server, warm)
		}
	}
	findings := j.readiness(window)
	if j.limits.ErrorShare > 0 {
		findings = append(findings, j.errors(window))
	}
	if j.limits.LatencyRatio > 0 {
		findings = append(findings, j.latency(window))
	}
	if j.limits.Witness {
		findings = append(findings, j.weighWitness(window)...)
	}
	return findings
}

// unreadyLimit is how many looks in a row a candidate instance may be unready.
const unreadyLimit = 3

// readiness passes once every candidate instance was seen ready, and fails when one is not for several looks in a row.
func (j *Judge) readiness(window judge.Evidence) []segue.Finding {
	var findings []segue.Finding
	for server, times := range j.unready {
		if times < unreadyLimit {
			continue
		}
		findings = append(findings, segue.Finding{
			Judge: "readiness", Ruling: segue.RulingFail, Server: server, Release: window.Candidate,
			Value: float64(times), Limit: unreadyLimit - 1, Unit: "looks", Samples: int64(times), At: window.Until,
			Text: fmt.Sprintf("%s runs %s and was not ready in %d looks in a row", server, window.Candidate, times),
		})
	}
	if len(findings) > 0 || j.looks == 0 {
		return findings
	}
	ruling, text := segue.RulingPass, fmt.Sprintf("every instance of %s was ready (%d looks)", window.Candidate, j.looks)
	if len(j.unready) > 0 {
		ruling, text = segue.RulingInconclusive, fmt.Sprintf("an instance of %s is not ready at the moment", window.Candidate)
	}
	return []segue.Finding{{
		Judge: "readiness", Ruling: ruling, Release: window.Candidate, Limit: unreadyLimit - 1, Unit: "looks", Samples: j.looks, Text: text,
	}}
}

func (j *Judge) countUnready(server judge.ServerEvidence) {
	j.looks++
	if server.Ready {
		delete(j.unready, server.Server)
		return
	}
	j.unready[server.Server]++
}

// errors compares the shares of failed answers: the candidate's may be the limit above stable's.
func (j *Judge) errors(window judge.Evidence) segue.Finding {
	value, baseline := j.candidate.share(), j.stable.share()
	f := segue.Finding{
		Judge: "errors", Ruling: segue.RulingInconclusive, Release: window.Candidate,
		Value: value, Baseline: baseline, Limit: baseline + j.limits.ErrorShare, Unit: "share",
		Samples: j.candidate.requests, BaselineSamples: j.stable.requests, Needed: int64(j.limits.MinSamples), ErrorRate: errorRate,
	}
	enough := f.Samples >= f.Needed && f.BaselineSamples >= f.Needed
	switch {
	case lower(j.candidate.errors, j.candidate.requests) > f.Limit && f.Samples >= f.Needed:
		f.Ruling = segue.RulingFail
	case enough && value <= f.Limit:
		f.Ruling = segue.RulingPass
	}
	f.Text = describe(f, fmt.Sprintf("%.2f %% of answers failed on %s", 100*value, window.Candidate),
		fmt.Sprintf("%.2f %% on %s, limit %.2f %%", 100*baseline, stableName(window), 100*f.Limit))
	return f
}

// latency compares p99s. "The candidate's p99 is above L" is the same as "more than 1 % of its requests are slower than L", which has an exact
// count to test.
func (j *Judge) latency(window judge.Evidence) segue.Finding {
	value, baseline := j.candidate.latency.Quantile(0.99), j.stable.latency.Quantile(0.99)
	limit := max(time.Duration(float64(baseline)*j.limits.LatencyRatio), j.limits.LatencyFloor)
	f := segue.Finding{
		Judge: "latency", Ruling: segue.RulingInconclusive, Release: window.Candidate,
		Value: ms(value), Baseline: ms(baseline), Limit: ms(limit), Unit: "ms",
		Samples: j.candidate.latency.Count, BaselineSamples: j.stable.latency.Count, Needed: int64(j.limits.MinSamples), ErrorRate: errorRate,
	}
	enough := f.Samples >= f.Needed && f.BaselineSamples >= f.Needed
	slow := lower(j.candidate.latency.Above(limit), j.candidate.latency.Count)
	switch {
	case enough && slow > slowShare:
		f.Ruling = segue.RulingFail
	case enough && value <= limit:
		f.Ruling = segue.RulingPass
	}
	if f.Samples == 0 && j.candidate.requests > 0 {
		f.Text = fmt.Sprintf("no process of %s is %s old yet, from which on its response times count", window.Candidate, j.warm)
		return f
	}
	f.Text = describe(f, fmt.Sprintf("p99 on %s is %.0f ms", window.Candidate, f.Value),
		fmt.Sprintf("%.0f ms on %s, limit %.0f ms", f.Baseline, stableName(window), f.Limit))
	return f
}

// weighWitness passes on what synthetic users found. One finding is a failure: they do nothing that a user would not, and count only what worked before.
func (j *Judge) weighWitness(window judge.Evidence) []segue.Finding {
	for _, f := range window.Witness {
		f.Ruling = segue.RulingFail
		j.witness = append(j.witness, f)
	}
	const shown = 20
	return j.witness[max(0, len(j.witness)-shown):]
}

func describe(f segue.Finding, value, baseline string) string {
	text := fmt.Sprintf("%s (%s; %d and %d requests)", value, baseline, f.Samples, f.BaselineSamples)
	if f.Samples < f.Needed || f.BaselineSamples < f.Needed {
		return fmt.Sprintf("not enough data yet: %s, %d needed on each side", text, f.Needed)
	}
	return text
}

func stableName(window judge.Evidence) string {
	if window.Stable == "" {
		return "stable"
	}
	return string(window.Stable)
}

// lower is the lower bound of Wilson's score interval for a share of k in n (Wilson, JASA 22, 1927).
func lower(k, n int64) float64 {
	if n == 0 || k == 0 {
		return 0
	}
	size, share := float64(n), float64(k)/float64(n)
	centre := share + z*z/(2*size)
	spread := z * math.Sqrt(share*(1-share)/size+z*z/(4*size*size))
	return (centre - spread) / (1 + z*z/size)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
