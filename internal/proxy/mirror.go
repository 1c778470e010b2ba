package proxy

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Mirror says which requests are copied to the candidate and to a second stable backend, so that their answers can be compared with the
// one that the user got. A zero field means its default; durations are nanoseconds in JSON.
type Mirror struct {
	// Candidate gets copies, in rotation or before it, but not while it is drained.
	Candidate segue.InstanceID `json:"candidate"`
	// Stable are at least two backends. Requests that one of them answered are copied, and another of them gets a copy too.
	Stable []segue.InstanceID `json:"stable"`
	// Share of the requests that are copied, in (0, 1].
	Share float64 `json:"share"`
	// Methods are copied on any path. Default GET and HEAD; OPTIONS is the only other one that may be among them.
	Methods []string `json:"methods,omitempty"`
	// Paths allow other methods, where carrying a request out three times is known to do no harm: "POST /search". A path stands for
	// itself and what lies below.
	Paths []string `json:"paths,omitempty"`
	// MaxBody is how many bytes of each body are kept. Default 256 KiB, at most 4 MiB.
	MaxBody int `json:"max_body,omitempty"`
	// Concurrency is how many requests are copied at one time; eight times as many wait. Default 4, at most 64. What comes beyond is
	// dropped and counted.
	Concurrency int `json:"concurrency,omitempty"`
	// Timeout bounds a copy. Default 10 s.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// mirrorHeader tells an application that a request is a copy, and of which kind. It is taken off what clients send.
const mirrorHeader = "Segue-Mirror"

// Its values.
const (
	mirrorCandidate = "candidate"
	mirrorSecondary = "secondary"
)

// MirrorAnswer is what one backend answered.
type MirrorAnswer struct {
	Status    int                 `json:"status"`
	Header    map[string][]string `json:"header,omitempty"`
	Body      []byte              `json:"body,omitempty"`
	Truncated bool                `json:"truncated,omitempty"`
	Took      time.Duration       `json:"took"`
	// Failure is the cause for which there is no whole answer: "dial", "reset", "timeout", "bad_answer", "truncated".
	Failure string    `json:"failure,omitempty"`
	At      time.Time `json:"at"`
}

// MirrorRecord is one request with its three answers.
type MirrorRecord struct {
	Method string `json:"method"`
	// Path is without the query, which may hold secrets.
	Path      string           `json:"path"`
	RequestID string           `json:"request_id,omitempty"`
	Stable    segue.InstanceID `json:"stable"`
	Second    segue.InstanceID `json:"second"`
	// Primary is what the user got, from Stable; Secondary came from Second.
	Primary   MirrorAnswer `json:"primary"`
	Candidate MirrorAnswer `json:"candidate"`
	Secondary MirrorAnswer `json:"secondary"`
	// Raced is true when a request that may have changed something passed under the same path at that time.
	Raced bool `json:"raced,omitempty"`
	// Lost counts requests that were to be copied, and were dropped under pressure, since the record before.
	Lost int64 `json:"lost,omitempty"`
}

// MirrorCounts count what became of requests that were picked to be copied, since the Epoch began. Picked is the sum of the others, of what
// is under way, and of what was when a mirror ended.
type MirrorCounts struct {
	Picked int64 `json:"picked"`
	// Told were handed out as records.
	Told int64 `json:"told"`
	// Dropped found no place, since too many were under way, or waited for so long that an answer would not be comparable any more.
	Dropped int64 `json:"dropped"`
	// Skipped turned out to be no matter for comparison: answered by another backend, failed, too long, a stream, or a backend was drained.
	Skipped int64 `json:"skipped"`
}

// Defaults and bounds, see the fields of Mirror.
const (
	defaultMirrorBody    = 256 << 10
	mostMirrorBody       = 4 << 20
	defaultMirrorWorkers = 4
	mostMirrorWorkers    = 64
	defaultMirrorTimeout = 10 * time.Second
	// mirrorStale is how long after the user's answer a copy may still be sent.
	mirrorStale = time.Second
	// mirrorQueue is how many requests may be under way for each that is being copied.
	mirrorQueue = 8
	// longestMirrored is the size from which on answers are not read to their end, and requests with such an answer not copied.
	longestMirrored = 16 << 20
)

func (m Mirror) withDefaults() Mirror {
	if len(m.Methods) == 0 {
		m.Methods = []string{http.MethodGet, http.MethodHead}
	}
	or(&m.MaxBody, defaultMirrorBody)
	or(&m.Concurrency, defaultMirrorWorkers)
	or(&m.Timeout, defaultMirrorTimeout)
	return m
}

// Validate names the first fault, KindInvalid.
func (m Mirror) Validate() error {
	stable := slices.Compact(slices.Sorted(slices.Values(m.Stable)))
	switch {
	case m.Candidate == "" || slices.Contains(stable, m.Candidate):
		return segue.Errorf(segue.KindInvalid, "mirror: the candidate %q must be named, and be none of the stable backends", m.Candidate)
	case len(stable) < 2:
		return segue.Errorf(segue.KindInvalid, "mirror: %d stable backends given, and two are needed: what they differ in is noise", len(stable)).
			WithHint("mirror where at least two servers run stable")
	case !(m.Share > 0 && m.Share <= 1):
		return segue.Errorf(segue.KindInvalid, "mirror: share %v must be above 0 and at most 1", m.Share)
	case m.MaxBody < 0 || m.MaxBody > mostMirrorBody:
		return segue.Errorf(segue.KindInvalid, "mirror: max_body %d must be between 0 and %d", m.MaxBody, mostMirrorBody)
	case m.Concurrency < 0 || m.Concurrency > mostMirrorWorkers:
		return segue.Errorf(segue.KindInvalid, "mirror: concurrency %d must be between 0 and %d", m.Concurrency, mostMirrorWorkers)
	case m.Timeout < 0:
		return segue.Errorf(segue.KindInvalid, "mirror: timeout %v cannot be negative", m.Timeout)
	}
	for _, method := range m.Methods {
		if method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions {
			return segue.Errorf(segue.KindInvalid, "mirror: method %q may change something", method).
				WithHint("allow it where it does no harm, by its paths: %q", method+" /search")
		}
	}
	for _, entry := range m.Paths {
		if method, path, ok := strings.Cut(entry, " "); !ok || !isToken(method) || method == "" || !strings.HasPrefix(path, "/") {
			return segue.Errorf(segue.KindInvalid, "mirror: paths: %q must be a method and a path, such as \"POST /search\"", entry)
		}
	}
	return nil
}

// allows says whether requests of a method on a path are copied.
func (m *Mirror) allows(method, path string) bool {
	if slices.Contains(m.Methods, method) {
		return true
	}
	for _, entry := range m.Paths {
		allowed, prefix, _ := strings.Cut(entry, " ")
		prefix = strings.TrimSuffix(prefix, "/")
		if rest, ok := strings.CutPrefix(path, prefix); ok && method == allowed && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
