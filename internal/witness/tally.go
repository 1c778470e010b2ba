package witness

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	// findingLimit bounds the findings that are kept; the oldest go first, and are counted.
	findingLimit = 512
	// nameLimit bounds how many releases and servers are counted by name: the names come from outside.
	nameLimit = 64
	// periodLimit bounds the periods that are kept.
	periodLimit = 32
	// otherName stands for all names above the limit.
	otherName = "other"
	// socketStep is the name that WebSockets are proven by.
	socketStep = "WebSocket"
)

// tally is where all users count. Its methods may be called at the same time.
type tally struct {
	latency telemetry.Histogram

	mu       sync.Mutex
	report   Report
	proven   map[string]bool
	problems map[string]string
	findings []segue.Finding
	marks    []mark
}

// mark is the state at the start of a period.
type mark struct {
	name string
	at   time.Time
	then Report
}

func newTally(run string, users int) *tally {
	return &tally{
		proven: map[string]bool{}, problems: map[string]string{},
		report: Report{
			Run: run, Users: users,
			Failures: map[string]int64{}, Steps: map[string]StepCount{},
			Logouts: make([]int64, users), Moves: make([]int64, users),
			Releases: map[string]int64{}, Servers: map[string]int64{},
			Sockets: SocketCount{Closed: map[string]int64{}},
		},
	}
}

// count changes the report.
func (t *tally) count(change func(r *Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.report)
}

// answered counts one request and what its answer named; moved says that another server answered than the time before.
func (t *tally) answered(user int, a *answer, moved bool) {
	t.count(func(r *Report) {
		r.Requests++
		r.Retries += int64(a.retried)
		if a.release != "" {
			countName(r.Releases, string(a.release))
		}
		if a.server != "" {
			countName(r.Servers, string(a.server))
		}
		if moved {
			r.Moves[user]++
		}
	})
}

// unanswered counts a request that came to no answer.
func (t *tally) unanswered(retried int) {
	t.count(func(r *Report) {
		r.Requests++
		r.Retries += int64(retried)
	})
}

func countName(counts map[string]int64, name string) {
	if _, known := counts[name]; !known && len(counts) >= nameLimit {
		name = otherName
	}
	counts[name]++
}

// worked counts a step that went well, and proves it: from now on its failures count.
func (t *tally) worked(step string, took time.Duration) {
	t.latency.Observe(took)
	t.count(func(r *Report) {
		count := r.Steps[step]
		count.Done++
		r.Steps[step] = count
		t.proven[step] = true
		delete(t.problems, step)
	})
}

// isProven says whether a step has ever worked.
func (t *tally) isProven(step string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.proven[step]
}

// failed counts a step that failed. proven says whether that tells something about a release: whether the step has worked before. If it has not,
// news says whether this is the first time that this is noticed.
func (t *tally) failed(step string, m *mishap) (proven, news bool) {
	t.count(func(r *Report) {
		count := r.Steps[step]
		count.Failed++
		r.Steps[step] = count
		if proven = t.proven[step]; proven {
			r.Failed++
			r.Failures[m.cause]++
			return
		}
		r.Unproven++
		_, known := t.problems[step]
		t.problems[step] = fmt.Sprintf("step %q has never worked: %s", step, m.what)
		news = !known
	})
	return proven, news
}

// socket notes whether WebSockets work at all; problem is "" when one does. It says whether that is news.
func (t *tally) socket(problem string) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const name = socketStep
	if problem == "" {
		t.proven[name] = true
		delete(t.problems, name)
		return false
	}
	if t.proven[name] {
		t.report.Sockets.Refused++
		return true
	}
	_, known := t.problems[name]
	t.problems[name] = "the WebSocket has never worked: it " + problem
	return !known
}

// find keeps a finding.
func (t *tally) find(f segue.Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.findings) == findingLimit {
		t.findings = slices.Delete(t.findings, 0, 1)
		t.report.Dropped++
	}
	t.findings = append(t.findings, f)
}

// since lists the findings from a time on, oldest first.
func (t *tally) since(at time.Time) []segue.Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []segue.Finding
	for _, f := range t.findings {
		if !f.At.Before(at) {
			found = append(found, f)
		}
	}
	return found
}

// snapshot gives the report as of now.
func (t *tally) snapshot(now time.Time) Report {
	latency := t.latency.Distribution()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report.clone()
	r.At, r.Latency = now, latency
	r.Periods = nil
	for _, name := range slices.Sorted(maps.Keys(t.problems)) {
		r.Problem = t.problems[name]
		break
	}
	for i, m := range t.marks {
		end := r
		if i+1 < len(t.marks) {
			end = t.marks[i+1].then
		}
		r.Periods = append(r.Periods, m.period(end, i+1 < len(t.marks)))
	}
	return r
}

// mark ends the present period and begins the next.
func (t *tally) mark(name string, now time.Time) Report {
	r := t.snapshot(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.marks) == periodLimit {
		t.marks = slices.Delete(t.marks, 0, 1)
	}
	then := r
	then.Periods = nil
	t.marks = append(t.marks, mark{name: name, at: now, then: then})
	return r
}

func (m mark) period(end Report, over bool) Period {
	cut := end.Since(m.then)
	p := Period{Name: m.name, Since: m.at, Requests: cut.Requests, Failed: cut.Failed, Latency: cut.Latency}
	for _, n := range cut.Logouts {
		p.Logouts += n
	}
	if over {
		p.Until = end.At
	}
	return p
}
