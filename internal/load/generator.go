// Package load sends mixed traffic to a target and accounts for every failure.
//
// GETs and POSTs are sent open-loop at a given rate over keep-alive connections: a request is released at its time whether
// or not earlier ones were answered, and its latency counts from then, the wait for a connection included. Beside them
// slow uploads, streams and WebSockets are kept going. The client never retries. Like any real client it notices that the peer has closed a resting
// connection before it writes on it; that is an idle close, not a failure. All else is a failure, with its cause, the
// stage it had reached, and who had answered.
//
// POSTs carry unique ids; Report.Reconcile compares them with what the servers say they applied. Package backend, below,
// is a server to send to that keeps such a ledger.
package load

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// tick is the least time between two looks at what is due, so that a high rate does not cost a wake-up per request.
const tick = time.Millisecond

// Generator sends traffic. It is for one run.
type Generator struct {
	config Config
	host   string
	run    string // prefix of all ids
	names  headerNames
	common []byte // header lines that every request has
	short  *pool  // GETs and POSTs
	long   *pool  // uploads and streams
	client *http.Client
	filler []byte // content of POSTs and uploads
	upload string // checksum of an upload's content

	sequence atomic.Uint64
	tally    tally

	mu       sync.Mutex
	inFlight *sync.WaitGroup // GETs and POSTs since the last Settle
	room     chan struct{}   // a token per GET and POST in flight; nil for no bound
}

// headerNames are the response headers that say who answered.
type headerNames struct{ server, release string }

// New returns a generator for one run; its error lists every fault of the configuration.
func New(config Config) (*Generator, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure load: %w", err)
	}
	target, err := url.Parse(config.Target)
	if err != nil {
		return nil, fmt.Errorf("configure load: %w", err)
	}
	address := target.Host
	if target.Port() == "" {
		address += ":80"
	}
	g := &Generator{
		config: config,
		host:   target.Host,
		run:    strconv.FormatUint(rand.Uint64(), 36),
		names:  headerNames{server: config.ServerHeader, release: config.ReleaseHeader},
		short:  newPool(address, config.Connections, config.MaxConnections, config.Timeout),
		long: newPool(address, max(config.Uploads+config.Streams, 1), max(config.Uploads+config.Streams, 1),
			config.Timeout),
		client:   &http.Client{Transport: &http.Transport{Proxy: nil}},
		filler:   makeFiller(max(config.PostBytes, uploadPiece)),
		inFlight: new(sync.WaitGroup),
	}
	if config.ClosedAt > 0 {
		g.room = make(chan struct{}, config.ClosedAt)
	}
	g.common = commonHeader(target.Host, config.Header)
	if config.Uploads > 0 {
		g.upload = g.uploadSum()
	}
	g.tally.limit = config.MaxFailures
	return g, nil
}

// commonHeader renders the header lines that every request has.
func commonHeader(host string, extra http.Header) []byte {
	lines := fmt.Appendf(nil, "Host: %s\r\n", host)
	if extra.Get("User-Agent") == "" {
		lines = append(lines, "User-Agent: segue-load\r\n"...)
	}
	for name, values := range extra {
		for _, value := range values {
			lines = fmt.Appendf(lines, "%s: %s\r\n", name, value)
		}
	}
	return lines
}

// makeFiller returns n bytes of printable text that differ along the way, so that a shifted body has another checksum.
func makeFiller(n int) []byte {
	source := rand.New(rand.NewPCG(1, 2))
	filler := make([]byte, n)
	for i := range filler {
		filler[i] = 'a' + byte(source.UintN(26))
	}
	return filler
}

// Run sends traffic until ctx ends, waits for what is in flight, each part bounded by its own timeout, and returns the
// account. It must be called once.
func (g *Generator) Run(ctx context.Context) *Report {
	g.tally.start()
	var running sync.WaitGroup
	running.Go(func() {
		<-ctx.Done()
		g.tally.stop()
	})
	if g.config.Gets > 0 {
		running.Go(func() { g.dispatch(ctx, g.config.Gets, g.get) })
	}
	if g.config.Posts > 0 {
		running.Go(func() { g.dispatch(ctx, g.config.Posts, g.post) })
	}
	for i := range g.config.Uploads {
		start := g.config.UploadTime * time.Duration(i) / time.Duration(g.config.Uploads)
		running.Go(func() { g.repeat(ctx, start, g.sendUpload) })
	}
	for i := range g.config.Streams {
		start := g.config.StreamTime * time.Duration(i) / time.Duration(g.config.Streams)
		running.Go(func() { g.repeat(ctx, start, g.readStream) })
	}
	for i := range g.config.WebSockets {
		start := g.config.EchoEvery * time.Duration(i) / time.Duration(g.config.WebSockets)
		running.Go(func() { g.repeat(ctx, start, g.holdWebSocket) })
	}
	running.Wait()
	g.short.close()
	g.long.close()
	g.client.CloseIdleConnections()
	return g.Snapshot()
}

// Snapshot returns the account so far. It may be called at any time.
func (g *Generator) Snapshot() *Report {
	report := g.tally.report()
	report.Target = g.config.Target
	for _, p := range []*pool{g.short, g.long} {
		dialed, idleCloses := p.counts()
		report.Connections.Dialed += dialed
		report.Connections.IdleCloses += idleCloses
	}
	return report
}

// Settle waits until every GET and POST that is in flight now has ended.
func (g *Generator) Settle() {
	g.mu.Lock()
	old := g.inFlight
	g.inFlight = new(sync.WaitGroup)
	g.mu.Unlock()
	old.Wait()
}

// launch sends one request beside others.
func (g *Generator) launch(send func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight.Go(func() {
		send()
		if g.room != nil {
			<-g.room
		}
	})
}

// admit waits for room. It says whether there was some, and whether that was at once.
func (g *Generator) admit(ctx context.Context) (ok, atOnce bool) {
	if g.room == nil {
		return true, true
	}
	select {
	case g.room <- struct{}{}:
		return true, true
	default:
	}
	select {
	case g.room <- struct{}{}:
		return true, false
	case <-ctx.Done():
		return false, false
	}
}

// dispatch starts a request at each time that is due until ctx ends, and waits for all of them.
func (g *Generator) dispatch(ctx context.Context, rate float64, send func(context.Context, time.Time)) {
	var mine sync.WaitGroup
	defer mine.Wait()
	inner := context.WithoutCancel(ctx)
	interval := time.Duration(float64(time.Second) / rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		for ; !due.After(now); due = due.Add(interval) {
			ok, atOnce := g.admit(ctx)
			if !ok {
				return
			}
			if !atOnce { // what was due meanwhile is not sent
				now = time.Now()
				due = now
			}
			g.tally.late(now.Sub(due))
			at := now
			mine.Add(1)
			g.launch(func() {
				defer mine.Done()
				send(inner, at)
			})
		}
		timer.Reset(max(due.Sub(now), tick))
	}
}

// repeat does one thing after another until ctx ends, the first after a start time; after a failure it rests a little.
func (g *Generator) repeat(ctx context.Context, start time.Duration, do func(context.Context) (ok bool)) {
	rest := start
	for {
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		rest = 0
		if !do(ctx) {
			rest = 100 * time.Millisecond
		}
	}
}

// carry takes a link from a pool and carries one exchange over it.
func (g *Generator) carry(ctx context.Context, p *pool, x *exchange) (ok bool) {
	x.stage = StageDial
	l, err := p.take(ctx, x.until)
	switch {
	case err == errNoPlace: //nolint:errorlint // the pool returns the value itself
		x.fail(CauseNoConnection, err)
	case err != nil:
		x.fail(causeOf(err, StageDial), err)
	default:
		p.put(l, x.over(l, &g.names))
	}
	g.tally.add(x)
	return x.cause == ""
}

// nextID returns an id that no other request has.
func (g *Generator) nextID() string {
	return g.run + "-" + strconv.FormatUint(g.sequence.Add(1), 36)
}

// header begins a request in a link's scratch space: request line, common lines and id, without the empty line.
func (g *Generator) header(l *link, method, path, id string) []byte {
	head := append(l.head[:0], method...)
	head = append(head, ' ')
	head = append(head, path...)
	head = append(head, " HTTP/1.1\r\n"...)
	head = append(head, g.common...)
	head = append(head, IDHeader+": "...)
	head = append(head, id...)
	l.head = append(head, "\r\n"...)
	return l.head
}

// get sends one GET.
func (g *Generator) get(ctx context.Context, due time.Time) {
	x := &exchange{kind: KindGet, id: g.nextID(), due: due, until: due.Add(g.config.Timeout)}
	path := g.config.GetPaths[int(g.sequence.Load()%uint64(len(g.config.GetPaths)))]
	x.send = func(l *link) error {
		head := append(g.header(l, http.MethodGet, path, x.id), "\r\n"...)
		_, err := l.conn.Write(head)
		return err
	}
	g.carry(ctx, g.short, x)
}

// readStream asks for a stream and reads it to its end.
func (g *Generator) readStream(ctx context.Context) bool {
	now := time.Now()
	x := &exchange{
		kind: KindStream, id: g.nextID(), due: now,
		until: now.Add(g.config.StreamTime + g.config.Timeout),
	}
	x.send = func(l *link) error {
		head := append(g.header(l, http.MethodGet, g.config.StreamPath, x.id), "\r\n"...)
		_, err := l.conn.Write(head)
		return err
	}
	x.check = func(body io.Reader) error { return endsWith(body, g.config.StreamEnd) }
	return g.carry(context.WithoutCancel(ctx), g.long, x)
}

// endsWith reads everything and returns an error unless it ends as given.
func endsWith(body io.Reader, end string) error {
	var tail []byte
	piece := make([]byte, 4<<10)
	for {
		n, err := body.Read(piece)
		tail = append(tail, piece[:n]...)
		if over := len(tail) - len(end); over > 0 {
			tail = slices.Delete(tail, 0, over)
		}
		if err != nil {
			break
		}
	}
	if string(tail) != end {
		return fmt.Errorf("stream ends with %q instead of %q", tail, end)
	}
	return nil
}
