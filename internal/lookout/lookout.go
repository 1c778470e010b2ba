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
	// keep is how much of the past a rollout is compared with.
	keep  = time.Hour
	slice = time.Minute
	// rows bounds the past of a large fleet: servers times minutes.
	rows = 6000
	// retryFirst and retryMost are between two tries to read an output.
	retryFirst, retryMost = 500 * time.Millisecond, 30 * time.Second
	// scrapeLimit bounds one reading of an instance's metrics.
	scrapeLimit = 5 * time.Second
	// startTime is how old an instance may be for its first startLines lines to be read after all.
	startTime, startLines = 30 * time.Second, 2000
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
	// Gauges reads an instance's own metrics.
	Gauges func(ctx context.Context, instance Watched) (map[string]float64, error)
	// Fleet reads metrics of all servers at once; nil for none.
	Fleet func(ctx context.Context) (map[segue.ServerName]map[string]float64, error)
	// Every is the time between two readings of metrics. Default 10 s.
	Every  time.Duration
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

// Run reads outputs and metrics until ctx is done.
func (l *Lookout) Run(ctx context.Context) {
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
	for pause := retryFirst; ctx.Err() == nil; pause = min(2*pause, retryMost) {
		began := time.Now()
		err := l.read(ctx, one, tail)
		tail = 0
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

func (l *Lookout) read(ctx context.Context, one Watched, tail int) error {
	output, err := l.options.Logs(ctx, one.Instance, tail)
	if err != nil {
		return err
	}
	// A driver's stream ends with ctx; closing it as well wakes whoever reads from one that does not.
	stop := context.AfterFunc(ctx, func() { _ = output.Close() })
	defer func() {
		if stop() {
			_ = output.Close()
		}
	}()
	return l.logs.Follow(logs.Output{Server: one.Server, Instance: string(one.Instance), Name: "output"}, output)
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
