package segue

import "time"

// Judging says what a candidate is judged by beside its Limits. The zero value judges by limits alone.
type Judging struct {
	// Budget is the false-alarm rate that all judges of a rollout may use up together, in (0,1); 0 switches the judges of evidence off.
	Budget float64 `json:"budget,omitempty"`
	// Logs judges what instances write.
	Logs bool `json:"logs,omitempty"`
	// Metrics judges requests by evidence, and the instances' own metrics where Scrape or Queries say how they are had.
	Metrics bool     `json:"metrics,omitempty"`
	Scrape  *Scrape  `json:"scrape,omitempty"`
	Queries *Queries `json:"queries,omitempty"`
	// Warm is the age up to which a process is slow by nature, and only what is severe counts; 0 means a minute.
	Warm time.Duration `json:"warm,omitempty"`
	// Kayenta judges by the rule of Spinnaker's Kayenta as well, for teams that come from there. It reports, and decides nothing.
	Kayenta bool `json:"kayenta,omitempty"`
	// Mirror copies requests to the candidate and compares the answers, before it gets traffic of its own; nil for not at all.
	Mirror *Mirror `json:"mirror,omitempty"`
	// Caveats are findings that the team knows of; Expected are lines that the release is known to bring.
	Caveats  []Caveat `json:"caveats,omitempty"`
	Expected []string `json:"expected,omitempty"`
	// Second puts stable on trial where the candidate failed, once it is back there: was it the version, or the machine?
	Second bool `json:"second,omitempty"`
	// Placebo judges one stable server against the others while nothing is rolled out, to measure false alarms on the fleet itself.
	Placebo bool `json:"placebo,omitempty"`
}

// Scrape says where an instance shows its own metrics, in Prometheus' text format.
type Scrape struct {
	// Path on the instance's own address; Port replaces the address's, 0 for the same.
	Path string `json:"path"`
	Port int    `json:"port,omitempty"`
}

// Queries are PromQL queries to a Prometheus server, each of which gives one series per server.
type Queries struct {
	URL string `json:"url"`
	// TokenFile holds a bearer token, "" for none; Label names the server in the answers.
	TokenFile string            `json:"token_file,omitempty"`
	Label     string            `json:"label"`
	Queries   map[string]string `json:"queries"`
}

// Mirror says which requests are copied.
type Mirror struct {
	// Share of those that may be copied, in (0,1].
	Share float64 `json:"share"`
	// For is how long.
	For time.Duration `json:"for"`
	// Methods beside GET and HEAD, and the Paths (prefixes) on which they may be copied: what they do is done twice.
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths,omitempty"`
}

// Caveat is a finding that a team knows of and lives with. It is no mute button: it moves what is expected.
type Caveat struct {
	ID string `json:"id"`
	// Fingerprint is that of the finding; Match is text that a log template contains.
	Fingerprint string `json:"fingerprint,omitempty"`
	Match       string `json:"match,omitempty"`
	// Scope narrows it to releases whose names fit the pattern ("v2.*").
	Scope  string `json:"scope,omitempty"`
	Owner  string `json:"owner,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Ceiling is how many times its usual rate it excuses; 0 means 5.
	Ceiling float64   `json:"ceiling,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	// Rate is its usual rate in lines per minute and server, Share its usual share of requests; with neither, usual is what stable has.
	Rate  float64 `json:"rate,omitempty"`
	Share float64 `json:"share,omitempty"`
}
