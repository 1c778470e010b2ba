package segue

import "time"

// Ruling is the word of a verdict.
type Ruling string

const (
	// RulingInconclusive means not enough data yet. It is the zero value's meaning too: silence is never a pass.
	RulingInconclusive Ruling = "inconclusive"
	// RulingPass means that enough data was seen and no limit was passed.
	RulingPass Ruling = "pass"
	// RulingFail means that a limit was passed.
	RulingFail Ruling = "fail"
)

// Finding is one thing that a judge looked at, with the figures it was judged by.
type Finding struct {
	// Judge is who found it ("errors", "latency", "crashes", "witness").
	Judge  string `json:"judge"`
	Ruling Ruling `json:"ruling"`
	// Subject is the server or release that it is about.
	Server  ServerName  `json:"server,omitempty"`
	Release ReleaseName `json:"release,omitempty"`
	// Value, Baseline and Limit are in Unit ("share", "ms", "count").
	Value    float64 `json:"value"`
	Baseline float64 `json:"baseline"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"`
	// Samples and BaselineSamples count what value and baseline were taken from; Needed is how many each side must have.
	Samples         int64 `json:"samples"`
	BaselineSamples int64 `json:"baseline_samples"`
	Needed          int64 `json:"needed,omitempty"`
	// ErrorRate is the false-alarm rate that the ruling was taken at; 0 when the judge is a plain limit without one.
	ErrorRate float64 `json:"error_rate,omitempty"`
	// Text is one sentence for people.
	Text string `json:"text"`
	// At is when it was first seen; zero when it is no single event.
	At time.Time `json:"at,omitzero"`
}

// Verdict is what the judges say together.
type Verdict struct {
	Ruling   Ruling    `json:"ruling"`
	Findings []Finding `json:"findings"`
	At       time.Time `json:"at"`
	// Final is true when observing is over with it.
	Final bool `json:"final,omitempty"`
}

// Combine makes the verdict out of findings: any fail fails; else anything inconclusive is inconclusive; else, with at least
// one finding, it passes.
func Combine(at time.Time, findings []Finding) Verdict {
	verdict := Verdict{Ruling: RulingInconclusive, Findings: findings, At: at}
	passed := len(findings) > 0
	for _, f := range findings {
		switch f.Ruling {
		case RulingFail:
			verdict.Ruling = RulingFail
			return verdict
		case RulingPass:
		default:
			passed = false
		}
	}
	if passed {
		verdict.Ruling = RulingPass
	}
	return verdict
}
