package load

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// tally counts what became of every request.
type tally struct {
	limit int // most failures and closes kept one by one

	mu       sync.Mutex
	started  time.Time
	stopped  time.Time
	kinds    map[Kind]*kindTally
	servers  map[string]int64
	releases map[string]int64
	failures []Failure
	unlisted int64
	latest   time.Duration
	sockets  WebSockets
	acked    []string
	failed   []string
}

// kindTally counts one kind of traffic.
type kindTally struct {
	requests, failed int64
	causes           map[Cause]int64
	latency          histogram
}

// start begins the run.
func (t *tally) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started = time.Now()
	t.kinds = map[Kind]*kindTally{}
	t.servers = map[string]int64{}
	t.releases = map[string]int64{}
	t.sockets.Codes = map[int]int64{}
}

// stop ends the sending; what is in flight is still counted.
func (t *tally) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = time.Now()
}

// late notes by how much a request was sent late.
func (t *tally) late(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latest = max(t.latest, by)
}

// add counts one exchange that is over.
func (t *tally) add(x *exchange) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := t.kind(x.kind)
	kind.requests++
	if x.server != "" {
		t.servers[x.server]++
	}
	if x.release != "" {
		t.releases[x.release]++
	}
	if x.cause == "" {
		kind.latency.add(now.Sub(x.due))
		if x.kind == KindPost {
			t.acked = append(t.acked, x.id)
		}
		return
	}
	if x.kind == KindPost {
		t.failed = append(t.failed, x.id)
	}
	t.fail(kind, Failure{
		At: now, Due: x.due, Kind: x.kind, Cause: x.cause, Stage: x.stage, ID: x.id, Reused: x.reused,
		Server: x.server, Release: x.release, Detail: x.err.Error(),
	})
}

// opened counts a WebSocket that was opened.
func (t *tally) opened(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kind(KindWebSocket)
	t.sockets.Opened++
	if x.server != "" {
		t.servers[x.server]++
	}
	if x.release != "" {
		t.releases[x.release]++
	}
}

// closed counts the end of a WebSocket; waiting says that a message was under way.
func (t *tally) closed(c Close, waiting bool) {
	if c.ByClient {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sockets.Codes[c.Code]++
	if len(t.sockets.Closes) < t.limit {
		t.sockets.Closes = append(t.sockets.Closes, c)
	}
	if c.Code != -1 {
		if waiting {
			t.sockets.Unanswered++
		}
		return
	}
	t.sockets.Cut++
	t.fail(t.kind(KindWebSocket), Failure{
		At: c.At, Due: c.At, Kind: KindWebSocket, Cause: CauseCut, Stage: StageAwait, Reused: true,
		Server: c.Server, Release: c.Release, Detail: c.Reason,
	})
}

// kind returns the counts of a kind. The lock is held.
func (t *tally) kind(kind Kind) *kindTally {
	k := t.kinds[kind]
	if k == nil {
		k = &kindTally{causes: map[Cause]int64{}}
		t.kinds[kind] = k
	}
	return k
}

// fail counts a failure. The lock is held.
func (t *tally) fail(kind *kindTally, failure Failure) {
	kind.failed++
	kind.causes[failure.Cause]++
	if len(t.failures) < t.limit {
		t.failures = append(t.failures, failure)
	} else {
		t.unlisted++
	}
}

// report returns the account so far, sharing nothing with the tally.
func (t *tally) report() *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Report{
		Started: t.started, Causes: map[Cause]int64{}, Kinds: map[Kind]KindReport{},
		Servers: maps.Clone(t.servers), Releases: maps.Clone(t.releases),
		Failures: slices.Clone(t.failures), Unlisted: t.unlisted, LatestMS: milliseconds(t.latest),
		WebSockets: t.sockets,
		acked:      slices.Clone(t.acked), failed: slices.Clone(t.failed),
	}
	r.WebSockets.Codes = maps.Clone(t.sockets.Codes)
	r.WebSockets.Closes = slices.Clone(t.sockets.Closes)
	switch {
	case !t.stopped.IsZero():
		r.ElapsedSeconds = t.stopped.Sub(t.started).Seconds()
	case !t.started.IsZero():
		r.ElapsedSeconds = time.Since(t.started).Seconds()
	}
	for name, k := range t.kinds {
		r.Kinds[name] = k.report()
		r.Requests += k.requests
		r.Failed += k.failed
		for cause, n := range k.causes {
			r.Causes[cause] += n
		}
	}
	return r
}

// report renders one kind's counts.
func (k *kindTally) report() KindReport {
	r := KindReport{
		Requests: k.requests, Failed: k.failed, Causes: maps.Clone(k.causes),
		P50MS: milliseconds(k.latency.quantile(0.5)), P90MS: milliseconds(k.latency.quantile(0.9)),
		P99MS: milliseconds(k.latency.quantile(0.99)), P999MS: milliseconds(k.latency.quantile(0.999)),
		MaxMS: milliseconds(k.latency.max),
	}
	if k.latency.count > 0 {
		r.MeanMS = milliseconds(k.latency.sum / time.Duration(k.latency.count))
	}
	return r
}

// milliseconds renders a duration as a number of milliseconds.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
