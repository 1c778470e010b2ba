package operator

import (
	"time"

	"github.com/segue-deploy/segue"
)

// Placebo is what came of judging stable servers as if one of them ran something new: the rate of false alarms on this very fleet.
type Placebo struct {
	// Trials that came to their end since Since, and Alarms among all.
	Trials int       `json:"trials"`
	Alarms int       `json:"alarms"`
	Since  time.Time `json:"since,omitzero"`
	// Server is on trial now, "" for none.
	Server segue.ServerName `json:"server,omitempty"`
	// Last is what the latest alarm said.
	Last   string    `json:"last,omitempty"`
	LastAt time.Time `json:"last_at,omitzero"`
}

// Comparison is what the judges say of a mixed fleet by now.
type Comparison struct {
	Service segue.ServiceName `json:"service"`
	// Rollout that is under way, 0 for none.
	Rollout   segue.RolloutID   `json:"rollout,omitempty"`
	Stable    segue.ReleaseName `json:"stable,omitempty"`
	Candidate segue.ReleaseName `json:"candidate,omitempty"`
	// Verdict is nil before the judges were asked.
	Verdict *segue.Verdict `json:"verdict,omitempty"`
	// Budget is the false-alarm rate of the whole rollout; Windows counts what the judges were fed since Since.
	Budget  float64   `json:"budget,omitempty"`
	Windows int       `json:"windows"`
	Since   time.Time `json:"since,omitzero"`
	Placebo Placebo   `json:"placebo"`
	Note    string    `json:"note,omitempty"`
}

// Replay is a rollout judged again from what was stored of it.
type Replay struct {
	Rollout segue.RolloutID `json:"rollout"`
	// Windows that the judges were fed, from Since to Until.
	Windows int       `json:"windows"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	// Verdict as it comes out now; Stored as the journal has it; Same says that they agree.
	Verdict *segue.Verdict `json:"verdict,omitempty"`
	Stored  *segue.Verdict `json:"stored,omitempty"`
	Same    bool           `json:"same"`
}

// LogDifference is a kind of log line, and how often each release wrote it.
type LogDifference struct {
	Template string `json:"template"`
	Severity string `json:"severity,omitempty"`
	Text     string `json:"text"`
	Sample   string `json:"sample,omitempty"`
	// Kind is "new" on the candidate, "more", "less", "gone" there, or "same".
	Kind string `json:"kind" enum:"new,more,less,gone,same"`
	// Candidate and Stable count slots of 10 s in which a server wrote it; their Rates are per server and minute.
	Candidate     int64   `json:"candidate"`
	Stable        int64   `json:"stable"`
	CandidateRate float64 `json:"candidate_rate"`
	StableRate    float64 `json:"stable_rate"`
}
