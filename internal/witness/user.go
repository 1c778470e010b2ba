package witness

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/segue-deploy/segue"
)

// user is one synthetic user. All but what mu guards belongs to the goroutine that runs work.
type user struct {
	w     *Witness
	index int
	// client has the user's cookies and follows no redirects by itself.
	client    *http.Client
	transport *http.Transport
	captured  values
	// server answered last.
	server segue.ServerName
	// visit counts sessions that were begun, next is the step to do, of the once steps or the others.
	visit     int
	next      int
	inSession bool
	arrived   bool
	// cookie is the session cookie's value.
	cookie string
	turns  int
	writes writeBook

	// entered is closed when the first session has begun.
	entered  chan struct{}
	entering sync.Once
	mu       sync.Mutex
	// jar and known are what the WebSocket is opened with: the cookies, and what the last session captured at its start.
	jar   http.CookieJar
	known values
}

func newUser(w *Witness, index int) *user {
	transport := w.newTransport()
	u := &user{
		w: w, index: index, transport: transport, entered: make(chan struct{}),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		writes: writeBook{limit: min(max(writeLimit/w.journey.Sessions, 2), writeLimitPerUser)},
	}
	u.forget()
	return u
}

// forget makes the user a new visitor: no cookies, nothing captured.
func (u *user) forget() {
	u.captured = values{}
	u.cookie = ""
	u.next = 0
	if u.inSession {
		u.inSession = false
		u.w.tally.count(func(r *Report) { r.LoggedIn-- })
	}
	// The next session may be another account's, which does not see these.
	if open := u.writes.clear(); open > 0 {
		u.w.tally.count(func(r *Report) { r.Writes.Unverified += int64(open) })
	}
	// Without options New has no way to fail; cookiejar's documentation says so.
	jar, _ := cookiejar.New(nil)
	u.mu.Lock()
	u.jar = jar
	u.mu.Unlock()
	u.client.Jar = jar
}

// shared gives the present jar and values to the goroutine that holds the WebSocket.
func (u *user) shared() (http.CookieJar, values) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.jar, maps.Clone(u.known)
}

// work takes turns until ctx is done, on an own schedule that does not wait for answers: a turn that is due while an answer is awaited is taken at
// once afterwards and its latency counts from when it was due; further ones that were due are skipped, and counted. Requests run under inner.
func (u *user) work(ctx, inner context.Context, due time.Time, interval time.Duration) {
	defer u.transport.CloseIdleConnections()
	for {
		jittered := due.Add(time.Duration((rand.Float64() - 0.5) * 0.5 * float64(interval)))
		if !sleep(ctx, time.Until(jittered)) {
			break
		}
		u.turn(inner, jittered)
		due = due.Add(interval)
		if missed := time.Since(due) / interval; missed > 0 {
			due = due.Add(missed * interval)
			u.w.tally.count(func(r *Report) { r.Skipped += int64(missed) })
		}
	}
	u.settle(inner)
}

// turn does one thing: a step of the session's start, a read-back, or the journey's next step.
func (u *user) turn(ctx context.Context, due time.Time) {
	if !u.inSession && !u.begin(ctx, due) {
		return
	}
	u.turns++
	if write := u.writes.due(time.Now(), u.turns); write != nil {
		u.verify(ctx, write)
		return
	}
	if !u.do(ctx, u.w.steps[u.next], due) {
		// What comes later in the journey may stand on this step.
		u.next = 0
		return
	}
	u.next = (u.next + 1) % len(u.w.steps)
	if !u.arrived {
		u.arrived = true
		u.w.arrived()
	}
}

// begin does the next step of the session's start. It returns true when there was none to do, so that the turn is still free.
func (u *user) begin(ctx context.Context, due time.Time) (free bool) {
	if u.next == 0 {
		u.forget()
		u.visit++
	}
	if len(u.w.once) > 0 {
		if !u.do(ctx, u.w.once[u.next], due) {
			u.next = 0
			return false
		}
		u.next++
	}
	if u.next < len(u.w.once) {
		return false
	}
	u.inSession, u.next = true, 0
	u.w.tally.count(func(r *Report) { r.LoggedIn++ })
	known := u.values()
	u.mu.Lock()
	u.known = known
	u.mu.Unlock()
	u.entering.Do(func() { close(u.entered) })
	return len(u.w.once) == 0
}

// do carries out a step and says whether it went well.
func (u *user) do(ctx context.Context, step Step, due time.Time) bool {
	v := u.values()
	request, err := u.request(ctx, step, v)
	if err != nil {
		u.fail(step.Name, nil, &mishap{cause: CauseCapture, what: err.Error()})
		return false
	}
	a, m := u.follow(ctx, step, request)
	if m != nil && ctx.Err() != nil {
		// The witness's own end, not the site's doing.
		return false
	}
	if m == nil {
		m = u.check(step, a, v)
	}
	if step.Write != nil {
		u.wrote(step, a, m, v)
	}
	if m != nil {
		u.fail(step.Name, a, m)
		return false
	}
	u.w.tally.worked(step.Name, time.Since(due))
	return true
}

// values gives what templates may use in one step.
func (u *user) values() values {
	v := maps.Clone(u.captured)
	v["session"] = strconv.Itoa(u.index + 1)
	v["visit"] = strconv.Itoa(u.visit)
	v["run"] = u.w.run
	v["n"] = strconv.FormatInt(u.w.number.Add(1), 10)
	v["uuid"] = uuid.NewString()
	return v
}

// fail counts a failed step and keeps a finding of it.
func (u *user) fail(step string, a *answer, m *mishap) {
	now := time.Now()
	proven, news := u.w.tally.failed(step, m)
	if m.lost {
		if proven {
			u.w.tally.count(func(r *Report) { r.Logouts[u.index]++ })
		}
		u.forget()
	}
	if !proven && !news {
		return
	}
	f := u.finding(now, a, fmt.Sprintf("step %q of user %d", step, u.index+1), m.what)
	if !proven {
		f.Ruling = segue.RulingInconclusive
		f.Text += "; this step has never worked yet, so it says nothing about a release: check the journey and its base URL"
	}
	u.w.tally.find(f)
	u.w.log.Warn("witness step failed", "step", step, "user", u.index+1, "cause", m.cause, "server", string(f.Server), "proven", proven)
}

// finding makes a failing finding: who, where (as the answer named it, if there was one), when, what.
func (u *user) finding(now time.Time, a *answer, who, what string) segue.Finding {
	f := segue.Finding{Judge: "witness", Ruling: segue.RulingFail, Value: 1, Unit: "count", Samples: 1, At: now}
	where := ""
	switch {
	case a != nil && a.server != "":
		f.Server, f.Release = a.server, a.release
		where = " on " + string(a.server)
		if a.release != "" {
			where += " (" + string(a.release) + ")"
		}
	case a != nil && a.release != "":
		f.Release = a.release
		where = " on " + string(a.release)
	case a == nil && u.server != "":
		where = fmt.Sprintf(" (no answer; the one before came from %s)", u.server)
	}
	f.Text = fmt.Sprintf("%s%s at %s: %s", who, where, now.Format("15:04:05.000"), what)
	return f
}
