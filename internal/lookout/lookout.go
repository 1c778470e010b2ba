// Package lookout watches what a service's instances do besides answering: what they write, and what they say of themselves. It keeps the last hour, so
// that a rollout can compare every server with its own past, and puts what is new into windows of evidence.
package lookout

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

const (
	// history is how much of the past a rollout is compared with.
	history = time.Hour
	slice   = time.Minute
	// rows bounds the past of a large fleet: servers times minutes.
	rows = 6000
	// retryFirst and retryMost are between two tries to read an output.
	retryFirst, retryMost = 500 * time.Millisecond, 30 * time.Second
	// scrapeLimit bounds one reading of an instance's metrics.
	scrapeLimit = 5 * time.Second
	// startTime is how old an instance may be for its first startLines lines to be read after all. Of older ones, pastLines are read back at most.
	startTime, startLines = 30 * time.Second, 2000
	pastLines             = 100_000
	// scrapeMany is how many instances are asked at one time.
	scrapeMany = 16
)

// Watched is an instance to watch.
type Watched struct {
	Server   segue.ServerName
	Release  segue.ReleaseName
	Instance segue.InstanceID
	Address  string
	Started  time.Time
}

// Options make a lookout. What is nil is not watched.
type Options struct {
	// Logs opens an instance's output from the last so many lines on, and follows it.
	Logs func(ctx context.Context, id segue.InstanceID, tail int) (io.ReadCloser, error)
	// Written opens the last so many lines of it as it is now, and ends there; nil where nothing is to be read back.
	Written func(ctx context.Context, id segue.InstanceID, tail int) (io.ReadCloser, error)
	// Gauges reads an instance's own metrics.
	Gauges func(ctx context.Context, instance Watched) (map[string]float64, error)
	// Fleet reads metrics of all servers at once; nil for none.
	Fleet func(ctx context.Context) (map[segue.ServerName]map[string]float64, error)
	// Every is the time between two readings of metrics. Default 10 s.
	Every time.Duration
	// File keeps the past for the next process; "" for none.
	File   string
	Logger *slog.Logger
}

// Lookout watches one service. It is safe for concurrent use.
type Lookout struct {
	options Options
	log     *slog.Logger
	logs    *logs.Gatherer
	// changed is told that other instances are to be watched.
	changed chan struct{}

	mu      sync.Mutex
	watched map[segue.InstanceID]Watched
	gauges  map[segue.ServerName]map[string]float64
	minutes []judge.Evidence
	// rollout is true between Begin and End: the past is not added to. It counts from clean on.
	rollout bool
	clean   time.Time
	// opened are the instances whose output was opened, or could not be; news is closed when there is another one.
	opened map[segue.InstanceID]bool
	news   chan struct{}

	keeping keeping
}

// New makes a lookout that watches nothing yet.
func New(options Options) *Lookout {
	if options.Every <= 0 {
		options.Every = 10 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lookout{
		options: options, log: options.Logger, logs: logs.NewGatherer(), changed: make(chan struct{}, 1),
		watched: map[segue.InstanceID]Watched{}, gauges: map[segue.ServerName]map[string]float64{},
		opened: map[segue.InstanceID]bool{}, news: make(chan struct{}),
	}
}

// See says which instances there are now.
func (l *Lookout) See(instances []Watched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := len(instances) == len(l.watched)
	now, awaited := make(map[segue.InstanceID]Watched, len(instances)), make(map[segue.ServerName]string, len(instances))
	for _, one := range instances {
		now[one.Instance], awaited[one.Server] = one, string(one.Instance)
		was, known := l.watched[one.Instance]
		same = same && known && was.Server == one.Server
	}
	l.watched = now
	l.logs.Await(awaited)
	if !same {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

func (l *Lookout) instances() map[segue.InstanceID]Watched {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watched // replaced as a whole, never changed
}

// Run reads outputs and metrics until ctx is done, and keeps what there is of the past.
func (l *Lookout) Run(ctx context.Context) {
	defer l.keep(context.WithoutCancel(ctx))
	var readers sync.WaitGroup
	defer readers.Wait()
	reading := map[segue.InstanceID]reader{}
	defer func() {
		for _, one := range reading {
			one.stop()
		}
	}()
	ticker := time.NewTicker(l.options.Every)
	defer ticker.Stop()
	for {
		l.followAll(ctx, reading, &readers)
		select {
		case <-ctx.Done():
			return
		case <-l.changed:
		case <-ticker.C:
			l.scrape(ctx)
			if l.keeping.due() {
				l.keep(ctx)
			}
		}
	}
}

// reader reads one instance's output, under the server's name that it had when it began.
type reader struct {
	server segue.ServerName
	stop   context.CancelFunc
}

// followAll begins to read what is new, and stops reading what is gone.
func (l *Lookout) followAll(ctx context.Context, reading map[segue.InstanceID]reader, readers *sync.WaitGroup) {
	if l.options.Logs == nil {
		return
	}
	now := l.instances()
	for id, one := range reading {
		if is, there := now[id]; !there || is.Server != one.server {
			one.stop()
			delete(reading, id)
		}
	}
	for id, one := range now {
		if _, going := reading[id]; going {
			continue
		}
		following, stop := context.WithCancel(ctx)
		reading[id] = reader{server: one.Server, stop: stop}
		readers.Go(func() { l.follow(following, one) })
	}
}

// follow reads an instance's output for as long as it is watched, again and again where it ends.
func (l *Lookout) follow(ctx context.Context, one Watched) {
	// Of an instance that was started just now, what it wrote at its start counts.
	tail := 0
	if !one.Started.IsZero() && time.Since(one.Started) < startTime {
		tail = startLines
	}
	defer l.forget(one.Instance)
	recall := tail == 0 && l.options.Written != nil
	for pause := retryFirst; ctx.Err() == nil; pause = min(2*pause, retryMost) {
		began := time.Now()
		err := l.read(ctx, one, tail, recall)
		l.met(one.Instance)
		tail, recall = 0, false
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.log.DebugContext(ctx, "read output", "instance", one.Instance, "error", err)
		}
		if time.Since(began) > retryMost {
			pause = retryFirst
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (l *Lookout) read(ctx context.Context, one Watched, tail int, recall bool) error {
	output, err := l.options.Logs(ctx, one.Instance, tail)
	if err != nil {
		return err
	}
	opened := time.Now()
	// A driver's stream ends with ctx; closing it as well wakes whoever reads from one that does not.
	stop := context.AfterFunc(ctx, func() { _ = output.Close() })
	defer func() {
		if stop() {
			_ = output.Close()
		}
	}()
	name := logs.Output{Server: one.Server, Instance: string(one.Instance), Name: "output"}
	if recall {
		l.recall(ctx, name, one.Instance, opened)
	}
	l.met(one.Instance)
	return l.logs.Follow(name, output)
}

// recall reads back what an instance wrote before its output was opened. Without that, there is less of a past.
func (l *Lookout) recall(ctx context.Context, name logs.Output, id segue.InstanceID, opened time.Time) {
	past, err := l.options.Written(ctx, id, pastLines)
	if err != nil {
		l.log.DebugContext(ctx, "read back output", "instance", id, "error", err)
		return
	}
	defer past.Close()
	since, err := l.logs.Recall(name, past, opened)
	if err != nil {
		l.log.DebugContext(ctx, "read back output", "instance", id, "error", err)
	}
	if !since.IsZero() {
		l.log.DebugContext(ctx, "output read back", "instance", id, "since", since)
	}
}

// met notes that an instance's output was opened, or could not be.
func (l *Lookout) met(id segue.InstanceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.opened[id] {
		l.opened[id] = true
		close(l.news)
		l.news = make(chan struct{})
	}
}

func (l *Lookout) forget(id segue.InstanceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.opened, id)
}

// Await waits until the outputs of all instances that See told of were opened, and read back where they are, or until ctx is done.
func (l *Lookout) Await(ctx context.Context) {
	if l.options.Logs == nil {
		return
	}
	for {
		l.mu.Lock()
		all, news := true, l.news
		for id := range l.watched {
			all = all && l.opened[id]
		}
		l.mu.Unlock()
		if all {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

// scrape asks every instance for its metrics once. What does not answer has none.
func (l *Lookout) scrape(ctx context.Context) {
	if l.options.Gauges == nil && l.options.Fleet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, scrapeLimit)
	defer cancel()
	read := map[segue.ServerName]map[string]float64{}
	if l.options.Fleet != nil {
		all, err := l.options.Fleet(ctx)
		if err != nil {
			l.log.DebugContext(ctx, "read metrics", "error", err)
		}
		maps.Copy(read, all)
	}
	if l.options.Gauges != nil {
		l.scrapeEach(ctx, read)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gauges = read
}

// scrapeEach asks instance by instance, some at a time.
func (l *Lookout) scrapeEach(ctx context.Context, read map[segue.ServerName]map[string]float64) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	room := make(chan struct{}, scrapeMany)
	for _, one := range l.instances() {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			values, err := l.options.Gauges(ctx, one)
			if err != nil {
				l.log.DebugContext(ctx, "read metrics", "instance", one.Instance, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if read[one.Server] == nil {
				read[one.Server] = values
				return
			}
			maps.Copy(read[one.Server], values)
		})
	}
	wait.Wait()
}
