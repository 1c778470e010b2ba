package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/pace"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

const (
	// batchTarget is how long a batch should take: an application's writer waits for its rows about that long.
	batchTarget = 100 * time.Millisecond
	// batchFirst and batchMost bound the rows of a batch.
	batchFirst, batchMost = 500, 50_000
	// holdPoll is how often a backfill that stands still asks whether it may go on.
	holdPoll = 100 * time.Millisecond
	// tellEvery is how often progress is told.
	tellEvery = time.Second
)

// run is one run of a backfill.
type run struct {
	backfiller *Backfiller
	session    Session
	change     migration.Change
	options    migration.RunOptions
	save       func(migration.Progress) error

	table    Table
	words    words
	position position
	bounds   timeouts
	report   migration.Report

	sizer *pace.Sizer
	turn  *pace.Turn
	meter *pace.Meter
	gauge *gauge
	// worked is since the meter was last told; told is when that was.
	worked time.Duration
	told   time.Time
	// stuck is since when the same rows cannot be had.
	stuck  time.Time
	ending func()
}

// open reads the table, and begins to look on.
func (r *run) open(ctx context.Context) (err error) {
	job := *r.change.Backfill
	if r.bounds, err = setUp(ctx, r.session.Conn); err != nil {
		return err
	}
	if r.table, err = ReadTable(ctx, r.session.Conn, job.Table); err != nil {
		return err
	}
	if r.words, err = write(r.table, job); err != nil {
		return err
	}
	r.gauge = &gauge{
		connect: r.backfiller.Connect, limits: r.backfiller.Limits, table: r.table, waiters: map[int32]bool{},
		worker: int32(r.session.Conn.PgConn().PID()),
	}
	if err := r.gauge.look(ctx, time.Now()); err != nil {
		r.gauge.hangUp(ctx)
		return fmt.Errorf("look at the server: %w", err)
	}
	r.turn = r.backfiller.Budget.Join(r.options.Budget)
	looking, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.gauge.follow(looking)
	}()
	r.ending = func() {
		stop()
		<-done
	}
	return nil
}

func (r *run) close() {
	r.turn.Pause()
	r.ending()
}

// timeouts are those of a batch, made from the server's deadlock_timeout.
type timeouts struct {
	// row is how long one row is waited for, batch how long rows are held. Whoever waits for a row of ours has not waited long enough to look for a
	// deadlock when we give it back.
	row, batch time.Duration
	// single is a batch's of one row: it holds nothing that somebody could want while it waits.
	single time.Duration
	// deadlock is the server's own.
	deadlock time.Duration
}

// setUp makes the session one for batches. A batch must never go through the whole table, whatever the statistics say, and a plan that was good for a
// small range need not be for the next one. Keys are written as text, and read again.
func setUp(ctx context.Context, conn *pgx.Conn) (timeouts, error) {
	var deadlock float64
	const query = `SELECT (SELECT setting::float8 FROM pg_settings WHERE name = 'deadlock_timeout'), set_config('DateStyle', 'ISO, YMD', false),
		set_config('IntervalStyle', 'postgres', false), set_config('extra_float_digits', '3', false), set_config('enable_seqscan', 'off', false),
		(SELECT set_config(name, 'force_custom_plan', false) FROM pg_settings WHERE name = 'plan_cache_mode'),
		(SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit')`
	if err := conn.QueryRow(ctx, query).Scan(&deadlock, nil, nil, nil, nil, nil, nil); err != nil {
		return timeouts{}, fmt.Errorf("set up connection: %w", err)
	}
	limit := time.Duration(deadlock * float64(time.Millisecond))
	return timeouts{row: min(limit/4, batchTarget), batch: min(limit*3/4, 750*time.Millisecond), single: time.Minute, deadlock: limit}, nil
}

// work goes from wherever the backfill stands to its end.
func (r *run) work(ctx context.Context) error {
	r.sizer = pace.NewSizer(r.backfiller.batch)
	r.told = time.Now()
	r.meter = pace.NewMeter(r.told, 0)
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.meter = pace.NewMeter(time.Now(), r.position.rows)
	if err := r.tell(""); err != nil {
		return err
	}
	began := r.position.state
	var rest time.Duration
	for r.position.state != stateDone {
		if err := r.await(ctx, rest); err != nil {
			return err
		}
		start := time.Now()
		work := r.step
		if r.position.state == stateEnd {
			work = r.conclude
		}
		if err := work(ctx); err != nil {
			return err
		}
		took := time.Since(start)
		r.worked += took
		rest = pace.Rest(took, r.turn.Share(), r.gauge.now())
		if err := r.tellDue(""); err != nil {
			return err
		}
	}
	if began != stateDone {
		r.analyze(ctx)
	}
	r.finish()
	return r.tell("")
}

// await rests, and stands still for as long as the rollout or the server wants it to.
func (r *run) await(ctx context.Context, rest time.Duration) error {
	for ; rest > 0; rest -= tellEvery {
		if err := pause(ctx, min(rest, tellEvery)); err != nil {
			return err
		}
		if err := r.tellDue(""); err != nil {
			return err
		}
	}
	for last := ""; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		reason := r.standing()
		if reason == "" {
			r.turn.Resume()
			return nil
		}
		r.turn.Pause()
		if last == "" {
			r.told = time.Time{}
		}
		if err := r.tellDue(reason); err != nil {
			return err
		}
		last = reason
		if err := pause(ctx, holdPoll); err != nil {
			return err
		}
	}
}

// standing is why it may not go on, "" when it may.
func (r *run) standing() string {
	if r.options.Hold != nil {
		if reason := r.options.Hold(); reason != "" {
			return reason
		}
	}
	if signal := r.gauge.now(); signal.Stops() {
		return signal.Reason
	}
	return ""
}

func (r *run) tellDue(waiting string) error {
	if time.Since(r.told) < tellEvery {
		return nil
	}
	return r.tell(waiting)
}

func (r *run) tell(waiting string) error {
	r.told = time.Now()
	r.meter.Observe(r.told, r.position.rows, r.worked)
	r.worked = 0
	p := r.position.progress(r.change.ID)
	p.Rate, p.Left, p.Batch, p.Waiting = r.meter.Rate(), r.meter.Left(p.Total), r.sizer.Size(), waiting
	p.Utilization = r.meter.Utilization(r.turn.Share())
	return r.save(p)
}

// analyze gives the planner statistics of what was written. That it fails costs speed, and is told.
func (r *run) analyze(ctx context.Context) {
	_, err := r.session.Conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = %d; ANALYZE "+server.Mark+" %s; RESET lock_timeout; RESET statement_timeout",
		r.bounds.batch.Milliseconds(), defaultPatience.Milliseconds(), r.table.sql()), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		r.report.Note = fmt.Sprintf("the statistics of %s were not brought up to date (%v): ANALYZE it", r.table, reason(err))
	}
}

// finish puts the report together.
func (r *run) finish() {
	p := r.position
	r.report.Rows, r.report.Changed, r.report.Batches, r.report.Violators = p.rows, p.changed, p.batches, 0
	r.report.Took = p.ended.Sub(p.began)
	r.gauge.mu.Lock()
	defer r.gauge.mu.Unlock()
	r.report.Caused, r.report.Waiters = r.gauge.longest, len(r.gauge.waiters)
}

// refused says that rows stand in the way.
func (r *run) refused(format string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindRefused, format, args...)
}
