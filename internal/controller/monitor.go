package controller

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/rollout"
)

// monitor accompanies one open rollout: it runs the witness, measures, judges, and makes the receipt at the end.
type monitor struct {
	id        segue.RolloutID
	service   *service
	settings  segue.Service
	stable    segue.ReleaseName
	candidate segue.ReleaseName
	log       *slog.Logger
	// fresh is true when the rollout was opened just now and is not one that a former controller had begun.
	fresh  bool
	opened time.Time

	// begun is closed when steps may be carried out: once the witness has worked for its time before.
	begun chan struct{}
	// over is closed by the loop when the rollout has ended.
	over     chan struct{}
	overOnce sync.Once
	witness  Witness

	// checks guards what judges remember, and serialises looks: whoever has put something in has the turn. It is no mutex because a look
	// takes as long as the balancer's answer, and who waits for it may have to end before.
	checks  chan struct{}
	judges  []judge.Judge
	counts  counting
	lookout *lookout.Lookout
	past    []judge.Evidence
	mirror  mirroring
	windows int
	weighed time.Time
	told    segue.Ruling
	// observed is set when an observation has come to its end.
	observed atomic.Bool
	// untold is true once it was said that evidence cannot be kept.
	untold bool
	// life ends with the rollout.
	life context.Context //nolint:containedctx // what a step begins here goes on after the step

	// stepped hears of steps that ended.
	stepped chan struct{}
	// Under marks: when the last sample was taken, and what the judges say by now, nil before they were asked.
	marks   sync.Mutex
	sampled time.Time
	verdict *segue.Verdict
	// upgraded are the servers of the candidate when the judges were last asked, judgedSince when they were first.
	upgraded    []segue.ServerName
	judgedSince time.Time
}

// syncMonitors starts and ends monitors as rollouts open and end. It runs in the loop.
func (c *Controller) syncMonitors(ctx context.Context, name segue.ServiceName, fresh bool) {
	known, ok := c.ledger.Services[name]
	if !ok {
		return
	}
	for id, m := range c.monitors {
		if m.service.name == name && (known.Open == nil || known.Open.ID != id) {
			m.overOnce.Do(func() { close(m.over) })
		}
	}
	open := known.Open
	if open == nil || c.monitors[open.ID] != nil {
		return
	}
	s, err := c.service(name, known.Config)
	if err != nil {
		c.log.ErrorContext(ctx, "open drivers", "service", name, "error", err)
		return
	}
	m := &monitor{
		id: open.ID, service: s, settings: open.Settings, stable: open.Stable.Name, candidate: open.Candidate.Name,
		log: c.log.With("rollout", open.ID), fresh: fresh, opened: open.OpenedAt,
		begun: make(chan struct{}), over: make(chan struct{}), checks: make(chan struct{}, 1), stepped: make(chan struct{}, 1),
		judges: c.options.Judges(open.Settings, open.Candidate.Name), told: segue.RulingInconclusive, counts: counting{balancer: s.balancer},
	}
	if w := c.lookouts.get(name); w != nil {
		m.lookout = w.lookout
	}
	if m.witness, err = c.newWitness(s, open); err != nil {
		m.log.ErrorContext(ctx, "make witness", "error", err)
	}
	c.monitors[open.ID] = m
	life, end := context.WithCancel(ctx)
	m.life = life
	c.running.Go(func() {
		defer end()
		c.monitor(ctx, m)
	})
}

// newWitness makes the rollout's witness; nil when none is configured.
func (c *Controller) newWitness(s *service, open *rollout.State) (Witness, error) {
	if len(s.witness) == 0 || c.options.Witness == nil {
		return nil, nil
	}
	releases := []segue.ReleaseName{open.Candidate.Name}
	if open.Stable.Name != "" {
		releases = append(releases, open.Stable.Name)
	}
	return c.options.Witness(s.witness, func() []segue.ReleaseName { return releases })
}

// monitor works until the rollout has ended and its receipt is stored, or ctx is done.
func (c *Controller) monitor(ctx context.Context, m *monitor) {
	witnessing, stopWitness := context.WithCancel(ctx)
	defer stopWitness()
	var crowd sync.WaitGroup
	var before, after time.Duration
	if m.witness != nil {
		if m.stable != "" {
			before, after = m.witness.Around()
			crowd.Go(func() { m.runWitness(witnessing) })
		}
	}
	c.sample(ctx, m, m.label(receipt.LabelOpen))
	if m.fresh && before > 0 && wait(ctx, before) != nil {
		crowd.Wait()
		return
	}
	c.sample(ctx, m, m.label(receipt.LabelBegin))
	c.takeUp(ctx, m)
	close(m.begun)
	over := c.accompany(ctx, m)
	m.mirror.off()
	if m.lookout != nil {
		defer m.lookout.End()
	}
	if !over {
		crowd.Wait()
		return
	}
	c.sample(ctx, m, receipt.LabelEnd)
	ended := time.Now()
	c.confront(ctx, m)
	after -= time.Since(ended)
	if after > 0 && wait(ctx, after) != nil {
		crowd.Wait()
		return
	}
	stopWitness()
	crowd.Wait()
	c.sample(ctx, m, receipt.LabelAfter)
	c.storeReceipt(ctx, m)
	c.keepNoMore(ctx, m)
	_ = c.look(ctx, func(*rollout.Ledger, int64) { delete(c.monitors, m.id) })
}

// awaitOutputs bounds the wait for what servers wrote to be read back.
const awaitOutputs = 5 * time.Second

// takeUp notes what was before the first step, or, after a restart, what a former controller fed the judges. If that is nothing yet, what was before
// the rollout was opened counts.
func (c *Controller) takeUp(ctx context.Context, m *monitor) {
	fleet, _, err := c.judged(ctx, m.id)
	if err != nil {
		return
	}
	until := time.Now()
	if !m.fresh {
		until = m.opened
		c.remember(ctx, m)
	}
	if m.lookout != nil {
		m.lookout.See(watchedOf(fleet))
		var servers []judge.ServerEvidence
		for _, slot := range fleet.Slots {
			if slot.Instance.ID != "" && m.windows == 0 {
				servers = append(servers, judge.ServerEvidence{Server: slot.Server.Name, Release: slot.Instance.Release, Started: slot.Instance.StartedAt})
			}
		}
		waiting, enough := context.WithTimeout(ctx, awaitOutputs)
		m.lookout.Await(waiting)
		enough()
		m.past = m.lookout.Begin(until, servers)
		if m.windows > 0 {
			m.past = nil // the first window had it
		}
	}
	if !m.fresh {
		c.mirrorAgain(ctx, m)
	}
}

// label names a sample; after a restart of the controller the marks of the beginning are not set again.
func (m *monitor) label(label string) string {
	if m.fresh {
		return label
	}
	return "resumed"
}

func (m *monitor) runWitness(ctx context.Context) {
	if err := m.witness.Run(ctx); err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "witness ended", "error", err)
	}
}

// accompany looks at the fleet until the rollout is over; false when ctx ended first.
func (c *Controller) accompany(ctx context.Context, m *monitor) bool {
	ticker := time.NewTicker(c.options.Look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-m.over:
			return true
		case <-m.stepped:
			if time.Since(m.lastSample()) >= m.sampleAfter(true) {
				c.sample(ctx, m, "")
			}
			continue
		case <-ticker.C:
		}
		if time.Since(m.lastWeighed()) < m.weighAfter() {
			continue
		}
		verdict, ok := c.weigh(ctx, m)
		if m.observed.Swap(false) {
			m.told = "" // what an observation was told of ended with it
		}
		if ok && verdict.Ruling != m.told {
			m.told = verdict.Ruling
			verdict.Final = verdict.Ruling == segue.RulingFail || verdict.Ruling == segue.RulingHold
			c.post(ctx, segue.Event{Kind: segue.EventVerdict, Service: m.service.name, Rollout: m.id, Verdict: &verdict})
		}
		if time.Since(m.lastSample()) >= m.sampleAfter(false) {
			c.sample(ctx, m, "")
		}
	}
}

// weigh takes the window since the last look and lets the judges say what they think by now. It says false when there is nothing to judge: no
// candidate in rotation, or a rollout that goes back anyway.
func (c *Controller) weigh(ctx context.Context, m *monitor) (segue.Verdict, bool) {
	select {
	case m.checks <- struct{}{}:
		defer func() { <-m.checks }()
	case <-ctx.Done():
		return segue.Verdict{}, false
	}
	if len(m.judges) == 0 || m.stable == m.candidate {
		return segue.Verdict{}, false
	}
	fleet, judging, err := c.judged(ctx, m.id)
	if err != nil || !judging && !m.mirror.on() {
		return segue.Verdict{}, false
	}
	evidence, ok := m.window(ctx, fleet)
	if !ok {
		return segue.Verdict{}, false
	}
	c.keep(ctx, m, evidence)
	verdict := weighAll(m.judges, evidence)
	m.marks.Lock()
	defer m.marks.Unlock()
	m.verdict, m.weighed = &verdict, time.Now()
	if m.judgedSince.IsZero() {
		m.judgedSince = evidence.Since
	}
	m.upgraded = fleet.On(m.candidate)
	m.windows++
	return verdict, true
}

func (m *monitor) lastWeighed() time.Time {
	m.marks.Lock()
	defer m.marks.Unlock()
	return m.weighed
}

// weighAfter is how often judges are asked: at every look at first, when a bad release shows; less often in a fleet that stays mixed for long.
func (m *monitor) weighAfter() time.Duration {
	switch age := time.Since(m.opened); {
	case age < 10*time.Minute:
		return 0
	case age < time.Hour:
		return 5 * time.Second
	default:
		return 10 * time.Second
	}
}

// present is what the judges say by now; nil before they were asked.
func (m *monitor) present() *segue.Verdict {
	m.marks.Lock()
	defer m.marks.Unlock()
	return m.verdict
}

// judged copies the fleet and says whether there is a candidate to judge on the way forward.
func (c *Controller) judged(ctx context.Context, id segue.RolloutID) (fleet segue.Fleet, judging bool, err error) {
	err = c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		state, ok := ledger.Rollout(id)
		if !ok || state.Goal != segue.GoalForward {
			return
		}
		fleet = cloneFleet(state.Fleet)
		for _, slot := range fleet.Slots {
			judging = judging || slot.Instance.Release == state.Candidate.Name && slot.Rotation == segue.RotationIn
		}
		judging = judging || !state.Settings.Balanced && len(fleet.On(state.Candidate.Name)) > 0
	})
	return fleet, judging, err
}

// observe waits out an observation and gives the final verdict. The bake counts from when the step was first handed out, so it goes on after a crash.
func (m *monitor) observe(ctx context.Context, c *Controller, work job) (*segue.Verdict, error) {
	end := work.Since.Add(work.step.For)
	if err := wait(ctx, time.Until(end)); err != nil {
		return nil, err
	}
	patience := end.Add(work.settings.Limits.Wait)
	for {
		verdict, ok := c.weigh(ctx, m)
		if !ok {
			verdict = segue.Verdict{Ruling: segue.RulingInconclusive, At: time.Now(), Findings: []segue.Finding{{
				Judge: "observe", Ruling: segue.RulingInconclusive, Text: "not enough data yet: nothing was there to compare",
			}}}
		}
		verdict = settle(verdict)
		if verdict.Ruling != segue.RulingInconclusive || !time.Now().Before(patience) {
			verdict.Final = true
			m.observed.Store(true)
			return &verdict, nil
		}
		if err := wait(ctx, c.options.Look); err != nil {
			return nil, err
		}
	}
}

// settle turns "over the limit, but not proven beyond doubt" into a failure: at the end of an observation with enough data, the limit counts as it
// stands.
func settle(verdict segue.Verdict) segue.Verdict {
	findings := make([]segue.Finding, len(verdict.Findings))
	for i, f := range verdict.Findings {
		enough := f.Needed > 0 && f.Samples >= f.Needed && f.BaselineSamples >= f.Needed
		if f.Ruling == segue.RulingInconclusive && enough && f.Value > f.Limit {
			f.Ruling = segue.RulingFail
		}
		findings[i] = f
	}
	settled := segue.Combine(verdict.At, findings)
	return settled
}
