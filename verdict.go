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
	// RulingHold means that there is enough against the candidate to stop promoting it, and not enough to send it back: a person decides.
	RulingHold Ruling = "hold"
	// RulingReport is for people's information; it decides nothing.
	RulingReport Ruling = "report"
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

	// Fingerprint names what was found for good, over rollouts: a log template, a path in answers. Caveats name it.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Severity is that of a log template ("error").
	Severity string `json:"severity,omitempty"`
	// Template is the whole text of a log template, with <*> for what varies.
	Template string `json:"template,omitempty"`
	// Sample is one line, or the values, that it stands for.
	Sample string `json:"sample,omitempty"`
	// Evidence against the candidate by now, and the Threshold that decides: e-values, 1 is none.
	Evidence  float64 `json:"evidence,omitempty"`
	Threshold float64 `json:"threshold,omitempty"`
	// Low and High bound the ratio of the candidate's rate to stable's, at any time, at ErrorRate.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
	// Counts of what was found, per server.
	Counts map[ServerName]int64 `json:"counts,omitempty"`
	// Left is how much longer it takes to decide at this rate; 0 when that is not known.
	Left time.Duration `json:"left,omitempty"`
	// Caveat is the ID of the known caveat that it falls under.
	Caveat string `json:"caveat,omitempty"`
}

// Verdict is what the judges say together.
type Verdict struct {
	Ruling   Ruling    `json:"ruling"`
	Findings []Finding `json:"findings"`
	At       time.Time `json:"at"`
	// Final is true when observing is over with it.
	Final bool `json:"final,omitempty"`
}

// Combine makes the verdict out of findings: any fail fails; else any hold holds; else anything inconclusive is inconclusive; else, with at least
// one finding that is no mere report, it passes.
func Combine(at time.Time, findings []Finding) Verdict {
	seen := map[Ruling]bool{}
	for _, f := range findings {
		ruling := f.Ruling
		if ruling == "" {
			ruling = RulingInconclusive
		}
		seen[ruling] = true
	}
	verdict := Verdict{Ruling: RulingInconclusive, Findings: findings, At: at}
	for _, ruling := range []Ruling{RulingFail, RulingHold, RulingInconclusive, RulingPass} {
		if seen[ruling] {
			verdict.Ruling = ruling
			break
		}
	}
	return verdict
}
