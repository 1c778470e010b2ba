package witness

import (
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

// Causes of failures, as counted in Report.Failures.
const (
	// CauseDial means that no connection could be made.
	CauseDial = "dial"
	// CauseReset means that the connection broke before an answer began.
	CauseReset = "reset"
	// CauseTruncated means that the answer broke off.
	CauseTruncated = "truncated"
	// CauseTimeout means that the answer was not complete in time.
	CauseTimeout = "timeout"
	// CauseProtocol means any other failure to get an answer (TLS, malformed HTTP).
	CauseProtocol = "protocol"
	// CauseStatus, CauseText, CauseJSON and CauseCapture mean that the answer was not what the step expects.
	CauseStatus  = "status"
	CauseText    = "text"
	CauseJSON    = "json"
	CauseCapture = "capture"
	// CauseRedirect means too many redirects, or one to another site.
	CauseRedirect = "redirect"
	// CauseSession means that the user was logged out.
	CauseSession = "session"
	// CauseRelease means an answer from a release that should not be there, or that named none.
	CauseRelease = "release"
)

// Report is what a witness has counted since it was started. All counts are cumulative; the difference of two reports of one run is what came between.
type Report struct {
	At time.Time `json:"at"`
	// Run names this run of the witness: counters of different runs have nothing to do with each other.
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	// Users is how many there are, LoggedIn how many are in a session now.
	Users    int `json:"users"`
	LoggedIn int `json:"logged_in"`

	// Requests that came to an end, redirects and read-backs included; Failed those of them that failed, each once, by cause in Failures.
	Requests int64            `json:"requests"`
	Failed   int64            `json:"failed"`
	Failures map[string]int64 `json:"failures,omitempty"`
	// Unproven counts the failures of steps that had never worked until then: they are not in Failed.
	Unproven int64 `json:"unproven,omitempty"`
	// Retries counts requests that were sent again as browsers do: a GET whose reused connection was closed before a byte of an answer
	// came, anything of which not one byte had been written.
	Retries int64 `json:"retries,omitempty"`
	// Skipped counts steps that were due while their user still waited for an answer.
	Skipped int64 `json:"skipped,omitempty"`

	// Logouts and Moves are by user: how often the session was lost, and how often another server answered than the time before.
	Logouts []int64 `json:"logouts"`
	Moves   []int64 `json:"moves"`

	// Latency of steps: from when it was due to the end of the last answer.
	Latency telemetry.Distribution `json:"latency"`
	// Steps, by name.
	Steps map[string]StepCount `json:"steps,omitempty"`
	// Releases and Servers count answers by what they named.
	Releases map[string]int64 `json:"releases,omitempty"`
	Servers  map[string]int64 `json:"servers,omitempty"`

	Writes  WriteCount  `json:"writes"`
	Sockets SocketCount `json:"sockets"`

	// Problem says why the witness itself cannot work: what keeps a step from ever succeeding. "" when all is well.
	Problem string `json:"problem,omitempty"`
	// Dropped counts findings that were forgotten because there were too many.
	Dropped int64 `json:"dropped,omitempty"`
	// Periods are what Mark has begun, oldest first.
	Periods []Period `json:"periods,omitempty"`
}

// StepCount counts one step.
type StepCount struct {
	Done   int64 `json:"done"`
	Failed int64 `json:"failed"`
}

// WriteCount counts writes that can be read back.
type WriteCount struct {
	// Made were acknowledged; Unsure got no proper answer: they may have been applied or not, but not twice.
	Made   int64 `json:"made"`
	Unsure int64 `json:"unsure,omitempty"`
	// Verified were read back at least once and were as they should be.
	Verified int64 `json:"verified"`
	// Lost were acknowledged and are not there; Doubled are there more than once.
	Lost    int64 `json:"lost"`
	Doubled int64 `json:"doubled"`
	// Unverified could not be read back by the end, or were forgotten before; 0 while running.
	Unverified int64 `json:"unverified,omitempty"`
}

// SocketCount counts WebSockets.
type SocketCount struct {
	Opened int64 `json:"opened"`
	Open   int64 `json:"open"`
	// Closed counts by close code those that the other side closed properly ("1001", "1012").
	Closed map[string]int64 `json:"closed,omitempty"`
	// Cut broke without a close frame.
	Cut int64 `json:"cut,omitempty"`
	// Refused counts attempts to connect that failed.
	Refused  int64 `json:"refused,omitempty"`
	Messages int64 `json:"messages,omitempty"`
}

// Period is a named time within a run.
type Period struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Until is zero for the present one.
	Until    time.Time              `json:"until,omitzero"`
	Requests int64                  `json:"requests"`
	Failed   int64                  `json:"failed"`
	Logouts  int64                  `json:"logouts"`
	Latency  telemetry.Distribution `json:"latency"`
}

// Since gives what came after an earlier report of the same run. Gauges (Users, LoggedIn, Sockets.Open, Problem) and Periods stay as they are now. Counts
// never go below 0; a report of another run gives r itself.
func (r Report) Since(earlier Report) Report {
	if r.Run != earlier.Run {
		return r
	}
	r.Started = earlier.At
	r.Requests = less(r.Requests, earlier.Requests)
	r.Failed = less(r.Failed, earlier.Failed)
	r.Failures = lessMap(r.Failures, earlier.Failures)
	r.Unproven = less(r.Unproven, earlier.Unproven)
	r.Retries = less(r.Retries, earlier.Retries)
	r.Skipped = less(r.Skipped, earlier.Skipped)
	r.Logouts = lessList(r.Logouts, earlier.Logouts)
	r.Moves = lessList(r.Moves, earlier.Moves)
	r.Latency = r.Latency.Sub(earlier.Latency)
	r.Releases = lessMap(r.Releases, earlier.Releases)
	r.Servers = lessMap(r.Servers, earlier.Servers)
	r.Dropped = less(r.Dropped, earlier.Dropped)
	steps := make(map[string]StepCount, len(r.Steps))
	for name, count := range r.Steps {
		before := earlier.Steps[name]
		steps[name] = StepCount{Done: less(count.Done, before.Done), Failed: less(count.Failed, before.Failed)}
	}
	r.Steps = steps
	r.Writes = WriteCount{
		Made: less(r.Writes.Made, earlier.Writes.Made), Unsure: less(r.Writes.Unsure, earlier.Writes.Unsure),
		Verified: less(r.Writes.Verified, earlier.Writes.Verified), Lost: less(r.Writes.Lost, earlier.Writes.Lost),
		Doubled: less(r.Writes.Doubled, earlier.Writes.Doubled), Unverified: less(r.Writes.Unverified, earlier.Writes.Unverified),
	}
	r.Sockets.Opened = less(r.Sockets.Opened, earlier.Sockets.Opened)
	r.Sockets.Closed = lessMap(r.Sockets.Closed, earlier.Sockets.Closed)
	r.Sockets.Cut = less(r.Sockets.Cut, earlier.Sockets.Cut)
	r.Sockets.Refused = less(r.Sockets.Refused, earlier.Sockets.Refused)
	r.Sockets.Messages = less(r.Sockets.Messages, earlier.Sockets.Messages)
	return r
}

// Lost counts the users who lost their session at least once.
func (r Report) Lost() int {
	lost := 0
	for _, n := range r.Logouts {
		if n > 0 {
			lost++
		}
	}
	return lost
}

func less(now, earlier int64) int64 { return max(0, now-earlier) }

func lessMap(now, earlier map[string]int64) map[string]int64 {
	var out map[string]int64
	for key, n := range now {
		if d := less(n, earlier[key]); d > 0 {
			if out == nil {
				out = map[string]int64{}
			}
			out[key] = d
		}
	}
	return out
}

func lessList(now, earlier []int64) []int64 {
	out := slices.Clone(now)
	for i := range min(len(out), len(earlier)) {
		out[i] = less(out[i], earlier[i])
	}
	return out
}

// clone copies all that the counting goes on in.
func (r Report) clone() Report {
	r.Failures = maps.Clone(r.Failures)
	r.Logouts = slices.Clone(r.Logouts)
	r.Moves = slices.Clone(r.Moves)
	r.Steps = maps.Clone(r.Steps)
	r.Releases = maps.Clone(r.Releases)
	r.Servers = maps.Clone(r.Servers)
	r.Sockets.Closed = maps.Clone(r.Sockets.Closed)
	r.Periods = slices.Clone(r.Periods)
	return r
}
