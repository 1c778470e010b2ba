package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/rollout"
)

// Answers counts what differs in answers to the same requests.
type Answers interface {
	// Record takes one request with its answers.
	Record(record balancer.MirrorRecord)
	// Take gives what was counted since the last call.
	Take() []judge.AnswerCount
}

// mirroring is the copying of requests of one rollout. The zero value copies nothing.
type mirroring struct {
	mu      sync.Mutex
	answers Answers
	target  segue.InstanceID
	stop    context.CancelFunc
	ended   chan struct{}
}

// take gives the answers that were compared since the last call.
func (m *mirroring) take() []judge.AnswerCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil {
		return nil
	}
	return m.answers.Take()
}

// on says whether requests are copied.
func (m *mirroring) on() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop != nil
}

// off ends it, and returns when no request is copied any more.
func (m *mirroring) off() {
	m.mu.Lock()
	stop, ended := m.stop, m.ended
	m.stop, m.target = nil, ""
	m.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
}

// mirrorRetry is between two tries to have requests copied.
const mirrorRetry = time.Second

// mirror carries out a mirror step: On begins to copy requests to an instance that has no traffic of its own, and goes on until it is switched off or
// the rollout is over.
func (c *Controller) mirror(ctx context.Context, job job, m *monitor) (*segue.Outcome, error) {
	if m == nil {
		return nil, segue.Errorf(segue.KindUnavailable, "mirror: the service's drivers cannot be opened").WithHint("see the controller's log")
	}
	if !job.step.On {
		m.mirror.off()
		return &segue.Outcome{}, nil
	}
	return c.startMirror(ctx, m, job)
}

// mirrorStable is how many stable servers there must be: one that answers the user, and another to tell noise by.
const mirrorStable = 2

func (c *Controller) startMirror(ctx context.Context, m *monitor, job job) (*segue.Outcome, error) { //nolint:contextcheck // what is copied goes on after the step
	driver, err := balancer.MirrorOf(job.service.balancer)
	if err != nil {
		return nil, err
	}
	address := job.address()
	if address == "" {
		return nil, segue.Errorf(segue.KindNotFound, "mirror to %s: no address is known of %s", job.step.Server, job.step.Instance)
	}
	if err := job.service.balancer.Add(ctx, backendOf(job.step.Instance, job.step.Server, job.step.Release, address)); err != nil {
		return nil, fmt.Errorf("add backend %s: %w", job.step.Server, err)
	}
	ask, err := c.mirrorAsk(ctx, m, job.step.Instance)
	if err != nil {
		return nil, err
	}
	if len(ask.Stable) < mirrorStable {
		return &segue.Outcome{Note: "no second stable server: answers are not compared"}, nil
	}
	m.mirror.mu.Lock()
	defer m.mirror.mu.Unlock()
	if m.mirror.stop != nil && m.mirror.target == job.step.Instance {
		return &segue.Outcome{}, nil
	}
	if m.mirror.answers == nil && c.options.Answers != nil {
		m.mirror.answers = c.options.Answers(m.stable, m.candidate)
	}
	sink := func(balancer.MirrorRecord) {}
	if m.mirror.answers != nil {
		sink = m.mirror.answers.Record
	}
	ended := make(chan struct{})
	m.mirror.target, m.mirror.ended = job.step.Instance, ended
	copying := m.forLife(&m.mirror.stop)
	c.running.Go(func() {
		defer close(ended)
		m.copy(copying, driver, ask, sink)
	})
	return &segue.Outcome{}, nil
}

// forLife gives a context that ends with the rollout, and not with the step that asks for it, unless it is stopped before.
func (m *monitor) forLife(stop *context.CancelFunc) (ctx context.Context) {
	ctx, *stop = context.WithCancel(m.life)
	return ctx
}

// copy has requests copied until ctx is done, whatever becomes of the balancer.
func (m *monitor) copy(ctx context.Context, driver balancer.Mirrorer, ask balancer.Mirror, sink func(balancer.MirrorRecord)) {
	for ctx.Err() == nil {
		err := driver.Mirror(ctx, ask, sink)
		if ctx.Err() != nil {
			return
		}
		m.log.WarnContext(ctx, "copy requests", "error", err)
		if wait(ctx, mirrorRetry) != nil {
			return
		}
	}
}

// mirrorAsk says which requests are copied, and among whom.
func (c *Controller) mirrorAsk(ctx context.Context, m *monitor, candidate segue.InstanceID) (balancer.Mirror, error) {
	ask := balancer.Mirror{Candidate: candidate, Share: 1}
	if config := m.settings.Judging.Mirror; config != nil {
		ask.Share = config.Share
		for _, method := range config.Methods {
			for _, path := range config.Paths {
				ask.Paths = append(ask.Paths, method+" "+path)
			}
		}
	}
	fleet, _, err := c.judged(ctx, m.id)
	if err != nil {
		return ask, err
	}
	for _, slot := range fleet.Slots {
		if slot.Instance.Release == m.stable && slot.Rotation == segue.RotationIn && slot.Instance.ID != "" {
			ask.Stable = append(ask.Stable, slot.Instance.ID)
		}
	}
	return ask, nil
}

// mirrorAgain goes on with the copying that a former controller had begun: the step is done, and nobody is handed it again.
func (c *Controller) mirrorAgain(ctx context.Context, m *monitor) {
	var work job
	var on bool
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		state, ok := ledger.Rollout(m.id)
		if !ok {
			return
		}
		if work.step, on = state.Mirroring(); on {
			slot, _ := state.Slot(work.step.Server)
			work = job{
				Command: rollout.Command{Rollout: m.id, Step: work.step}, step: work.step, name: state.Service, settings: state.Settings, service: m.service, slot: slot,
			}
		}
	})
	if err != nil || !on {
		return
	}
	if _, err := c.startMirror(ctx, m, work); err != nil {
		m.log.WarnContext(ctx, "copy requests again", "error", err)
	}
}
