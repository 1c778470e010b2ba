package upstream

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// link is one TCP connection to the backend. It knows what was written to it, who works on it, and how long it may idle.
type link struct {
	net.Conn
	raw    syscall.RawConn
	ledger *ledger
	// busy counts the exchanges on it: at most one for HTTP/1.1, streams for HTTP/2.
	busy atomic.Int32
	// sent counts the bytes handed to the kernel.
	sent atomic.Int64
	// deaf is closed once reading has failed or ended.
	deaf   chan struct{}
	deafen sync.Once
	// heard is what sent was when bytes last came in.
	heard atomic.Int64
	// keep is how long it may idle, in nanoseconds: Options.IdleTimeout, or less where the backend says so.
	keep atomic.Int64
	// idleSince is when it became idle. The owner of an idle link guards it.
	idleSince time.Time
	// closing, when set, is called as the link closes.
	closing atomic.Pointer[func()]
	// abort closes it; made once, so that a request does not need to.
	abort func()
	gone  sync.Once
	shut  atomic.Bool

	look  sync.Mutex
	seen  quietness
	probe func(fd uintptr)
}

// Write counts what the kernel took. It counts beforehand and takes back what was too much, so that whoever looks meanwhile sees too
// many rather than too few.
func (l *link) Write(p []byte) (int, error) {
	l.sent.Add(int64(len(p)))
	n, err := l.Conn.Write(p)
	if n < len(p) {
		l.sent.Add(int64(n - len(p)))
	}
	return n, err
}

// Read notes how much had been written when bytes came in, so that bytes which nobody asked for can be told from an answer.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(l.sent.Load())
	}
	if err != nil {
		l.deafen.Do(func() { close(l.deaf) })
	}
	return n, err
}

// Close closes the connection and strikes it from the ledger. It is safe to call more than once.
func (l *link) Close() error {
	var err error
	l.gone.Do(func() {
		l.shut.Store(true)
		err = l.Conn.Close()
		l.ledger.strike(l)
		if told := l.closing.Load(); told != nil {
			(*told)()
		}
	})
	return err
}

// watch calls told when the link closes, at once if it is closed already. told must bear being called twice. The watch is over with
// unwatch, which needs what watch returned: another exchange may have the link by then.
func (l *link) watch(told func()) *func() {
	l.closing.Store(&told)
	if l.shut.Load() {
		told()
	}
	return &told
}

func (l *link) unwatch(told *func()) { l.closing.CompareAndSwap(told, nil) }

// state looks whether the backend has closed the connection or sent bytes nobody asked for.
func (l *link) state() quietness {
	l.look.Lock()
	defer l.look.Unlock()
	l.seen = ended
	if err := l.raw.Control(l.probe); err != nil {
		return ended
	}
	return l.seen
}

// heed lowers the time a link may idle to less than what the backend's Keep-Alive header says.
func (l *link) heed(timeout time.Duration) {
	if timeout < 0 {
		return
	}
	margin := max(timeout/10, 500*time.Millisecond)
	l.keep.Store(int64(max(0, min(timeout-margin, l.ledger.opts.IdleTimeout))))
}

// ledger dials, and holds every open connection to one backend.
type ledger struct {
	opts   Options
	dialer net.Dialer

	mu     sync.Mutex
	open   map[*link]struct{}
	closed bool
}

func newLedger(opts Options) *ledger {
	return &ledger{
		opts:   opts,
		dialer: net.Dialer{Timeout: opts.DialTimeout},
		open:   make(map[*link]struct{}),
	}
}

// dial opens a connection and enters it.
func (d *ledger) dial(ctx context.Context) (*link, error) {
	if d.isClosed() {
		return nil, ErrClosed
	}
	conn, err := d.dialer.DialContext(ctx, "tcp", d.opts.Address)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, ledger: d, deaf: make(chan struct{})}
	l.keep.Store(int64(d.opts.IdleTimeout))
	l.probe = func(fd uintptr) { l.seen = peek(fd) }
	l.abort = func() { _ = l.Close() }
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open raw connection: %w", err)
	}
	l.raw = raw
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return nil, ErrClosed
	}
	d.open[l] = struct{}{}
	return l, nil
}

func (d *ledger) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *ledger) strike(l *link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, l)
}

// close closes every connection and refuses new ones.
func (d *ledger) close() {
	d.mu.Lock()
	d.closed = true
	links := make([]*link, 0, len(d.open))
	for l := range d.open {
		links = append(links, l)
	}
	d.mu.Unlock()
	for _, l := range links {
		_ = l.Close()
	}
}

// count returns how many connections are open without and with an exchange on them.
func (d *ledger) count() (idle, active int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.open {
		if l.busy.Load() > 0 {
			active++
		} else {
			idle++
		}
	}
	return idle, active
}
