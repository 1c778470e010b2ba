package workloadtest

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/segue-deploy/segue"
)

// fakeLog is an instance's output.
type fakeLog struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced by every line
}

// fakeLogLines bounds what is kept of one instance, so that long simulations do not grow.
const fakeLogLines = 1000

func newFakeLog() *fakeLog { return &fakeLog{changed: make(chan struct{})} }

// Say adds a line to an instance's output.
func (f *Fake) Say(id segue.InstanceID, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say(id, line)
}

func (f *Fake) say(id segue.InstanceID, line string) {
	log := f.logs[id]
	if log == nil {
		return
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if len(log.lines) < fakeLogLines {
		log.lines = append(log.lines, line)
	}
	close(log.changed)
	log.changed = make(chan struct{})
}

func (l *fakeLog) open(ctx context.Context, tail int, follow bool) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	if tail >= 0 {
		at = max(0, len(l.lines)-tail)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &fakeLogReader{log: l, at: at, follow: follow, done: ctx.Done(), cancel: cancel}
}

type fakeLogReader struct {
	log    *fakeLog
	at     int
	rest   string // of the line that is being read
	follow bool
	done   <-chan struct{}
	cancel context.CancelFunc
}

// Read gives what there is, or waits for more when following.
func (r *fakeLogReader) Read(into []byte) (int, error) {
	for r.rest == "" {
		r.log.mu.Lock()
		changed := r.log.changed
		if r.at < len(r.log.lines) {
			r.rest = strings.Join(r.log.lines[r.at:], "\n") + "\n"
			r.at = len(r.log.lines)
		}
		r.log.mu.Unlock()
		if r.rest != "" {
			break
		}
		if !r.follow {
			return 0, io.EOF
		}
		select {
		case <-changed:
		case <-r.done:
			return 0, io.EOF
		}
	}
	n := copy(into, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the reading.
func (r *fakeLogReader) Close() error {
	r.cancel()
	return nil
}
