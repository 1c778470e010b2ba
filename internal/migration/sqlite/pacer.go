package sqlite

import (
	"context"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/pace"
)

const (
	// batchTarget is how long a batch should hold the write lock: an application's writer waits about that long.
	batchTarget = 25 * time.Millisecond
	// batchFirst and batchMost bound the rows of a batch.
	batchFirst, batchMost = 200, 50_000
	// busyLimit is a wait for the write lock at which the applications have no time to spare.
	busyLimit = 2 * time.Second
	// defaultBudget is as long working as resting.
	defaultBudget = 0.5
	// holdPoll is how often a backfill that is held asks whether it may go on.
	holdPoll = 100 * time.Millisecond
	// tellEvery is how often progress is told.
	tellEvery = time.Second
)

// pacer sizes a backfill's batches by how long they hold the write lock, and the rests by its budget and by how long it waits for the lock itself.
// It also tells the progress.
type pacer struct {
	*pace.Sizer
	run      *run
	position *position
	share    float64
	meter    *pace.Meter
	told     time.Time
}

func newPacer(r *run, p *position) *pacer {
	share := r.options.Budget
	if share <= 0 || share > 1 {
		share = defaultBudget
	}
	return &pacer{
		Sizer: pace.NewSizer(pace.Bounds{Target: batchTarget, First: batchFirst, Most: batchMost}),
		run:   r, position: p, share: share, meter: pace.NewMeter(time.Now(), p.rows),
	}
}

// rest takes in what a batch was like, and waits as long as the budget wants.
func (p *pacer) rest(ctx context.Context, rows int64, cost hold) error {
	p.Observe(int(rows), cost.held)
	busy := pace.Measure("wait for the write lock", cost.waited.Seconds(), busyLimit.Seconds())
	err := pause(ctx, pace.Rest(cost.held, p.share, busy))
	p.meter.Observe(time.Now(), p.position.rows, cost.held)
	return err
}

// await stands still for as long as the rollout wants it to.
func (p *pacer) await(ctx context.Context) error {
	for last := ""; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		reason := ""
		if hold := p.run.options.Hold; hold != nil {
			reason = hold()
		}
		if reason != last || p.due() {
			p.tell(reason)
		}
		if last = reason; reason == "" {
			return nil
		}
		select {
		case <-p.run.lease.lost:
			return p.run.lease.gone()
		default:
		}
		if err := pause(ctx, holdPoll); err != nil {
			return err
		}
	}
}

func (p *pacer) due() bool { return time.Since(p.told) >= tellEvery }

// tell tells the progress.
func (p *pacer) tell(waiting string) {
	p.told = time.Now()
	total := max(p.position.total, p.position.rows)
	p.run.watch(migration.Progress{
		ID: p.run.change.ID, Done: p.position.rows, Total: total, Changed: p.position.changed, Batch: p.Size(), Waiting: waiting,
		Rate: p.meter.Rate(), Left: p.meter.Left(total), Utilization: p.meter.Utilization(p.share),
	})
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
