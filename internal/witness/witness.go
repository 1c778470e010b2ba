package witness

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
)

const (
	defaultTimeout = 30 * time.Second
	defaultSettle  = 15 * time.Second
)

// Options are what a witness needs besides its journey. The zero value is usable.
type Options struct {
	// Known lists the releases that may answer now: stable, and during a rollout the candidate. Nil, or an empty list, switches that check off. It is
	// called often and from several goroutines.
	Known func() []segue.ReleaseName
	// Logger may be nil.
	Logger *slog.Logger
	// TLS is for https; nil means the system's roots.
	TLS *tls.Config
	// Dial makes connections; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Settle bounds the end of Run: requests in flight and the last read-backs; 0 means 15 s.
	Settle time.Duration
}

// Witness is a number of synthetic users. Its methods may be called at the same time, before, while and after it runs.
type Witness struct {
	journey Journey
	base    *url.URL
	once    []Step
	steps   []Step
	// login are the paths where somebody ends who is not logged in.
	login []string
	// patterns are the captures' patterns, compiled.
	patterns map[string]*regexp.Regexp

	opts  Options
	log   *slog.Logger
	run   string
	tally *tally
	// number makes {n}.
	number atomic.Int64
	ready  chan struct{}
	// waiting counts the users who have not been in a session yet.
	waiting atomic.Int64
}

// New makes a witness of a journey, which must be valid (see Journey.Validate).
func New(j Journey, opts Options) (*Witness, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSuffix(j.Base, "/"))
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "parse witness base: %w", err)
	}
	if j.Timeout == 0 {
		j.Timeout = defaultTimeout
	}
	if len(j.SessionCheck.Status) == 0 {
		j.SessionCheck.Status = Statuses{401, 403}
	}
	if opts.Settle == 0 {
		opts.Settle = defaultSettle
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	run := strings.ToLower(rand.Text()[:8])
	w := &Witness{
		journey: j, base: base, opts: opts, log: opts.Logger, run: run,
		tally: newTally(run, j.Sessions), ready: make(chan struct{}),
	}
	w.waiting.Store(int64(j.Sessions))
	w.sort()
	return w, nil
}

// sort takes the journey apart.
func (w *Witness) sort() {
	w.patterns = map[string]*regexp.Regexp{}
	if login := w.journey.SessionCheck.Login; login != "" {
		w.login = []string{w.base.Path + login}
	}
	for _, step := range w.journey.Steps {
		for _, capture := range step.Capture {
			if pattern, err := regexp.Compile(capture.Regexp); err == nil && capture.Regexp != "" {
				w.patterns[capture.Regexp] = pattern
			}
		}
		if !step.Once {
			w.steps = append(w.steps, step)
			continue
		}
		w.once = append(w.once, step)
		if path, _, _ := strings.Cut(step.Path, "?"); w.journey.SessionCheck.Login == "" && path != "/" {
			w.login = append(w.login, w.base.Path+path)
		}
	}
}

// Run works until ctx is done, then lets what is in flight come to its end, reads every write back once more, and returns. It starts no request once
// ctx is done but these reads, and is over Options.Settle later at the latest. Its error is always nil: what goes wrong is in the report. Run is
// called once.
func (w *Witness) Run(ctx context.Context) error {
	start := time.Now()
	w.tally.count(func(r *Report) { r.Started = start })
	// Requests outlive ctx, by Settle at the most.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var settling sync.WaitGroup
	settling.Go(func() {
		if wait(work, ctx.Done()) && !sleep(work, w.opts.Settle) {
			return
		}
		cancel()
	})

	interval := time.Duration(float64(time.Second) * float64(w.journey.Sessions) / float64(w.journey.Rate))
	every := 0
	if w.journey.WebSocket != nil {
		every = max(1, w.journey.WebSocket.Every)
	}
	var users sync.WaitGroup
	for i := range w.journey.Sessions {
		u := newUser(w, i)
		first := start.Add(interval * time.Duration(i) / time.Duration(w.journey.Sessions))
		users.Go(func() { u.work(ctx, work, first, interval) })
		if every > 0 && i%every == 0 {
			users.Go(func() { u.holdSocket(ctx, work) })
		}
	}
	users.Wait()
	cancel()
	settling.Wait()
	return nil
}

// Ready is closed once every user has been in a session and has done a step of the journey. It never is when the site does not let them; see
// Report.Problem.
func (w *Witness) Ready() <-chan struct{} { return w.ready }

// Around is how long the witness works before the first step of a rollout and after the last one.
func (w *Witness) Around() (before, after time.Duration) { return w.journey.Before, w.journey.After }

// Snapshot gives what was counted so far.
func (w *Witness) Snapshot() Report { return w.tally.snapshot(time.Now()) }

// Mark begins a named period ("before", "during", "after"), which ends the one before, and gives the report as of now.
func (w *Witness) Mark(period string) Report { return w.tally.mark(period, time.Now()) }

// Findings lists what was found from a time on, oldest first; at most the latest 512 are kept (Report.Dropped counts the others). Those that rule
// "fail" say something about the site; "inconclusive" ones say that the witness itself could not work.
func (w *Witness) Findings(since time.Time) []segue.Finding { return w.tally.since(since) }

// arrived notes that one more user is in a session.
func (w *Witness) arrived() {
	if w.waiting.Add(-1) == 0 {
		close(w.ready)
	}
}

// allowed says whether a release may answer now.
func (w *Witness) allowed(release segue.ReleaseName) (known []segue.ReleaseName, ok bool) {
	if w.opts.Known == nil {
		return nil, true
	}
	known = w.opts.Known()
	if len(known) == 0 {
		return nil, true
	}
	return known, slices.Contains(known, release)
}

// wait returns true once the channel is closed, false when ctx is done before.
func wait(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// sleep returns true after d, false when ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
