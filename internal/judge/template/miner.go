package template

import (
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// Miner turns the lines of a service's servers into templates and counts. It is safe for concurrent use.
type Miner struct {
	mu     sync.Mutex
	parser *Parser
	line   Line
	tree   *Tree
	counts *Counter
	onNew  func(Template)
	// servers are those seen so far.
	servers map[segue.ServerName]struct{}
}

// NewMiner gives an empty miner. born, which may be nil, is told of each new template as it comes; it must not call the miner.
func NewMiner(o Options, born func(Template)) *Miner {
	m := &Miner{parser: NewParser(), tree: NewTree(o), counts: NewCounter(o), onNew: born, servers: map[segue.ServerName]struct{}{}}
	m.tree.moved, m.tree.dropped = m.counts.move, m.counts.drop
	return m
}

// Stream is one output of one server. It is not for concurrent use; streams of one miner are.
type Stream struct {
	miner  *Miner
	server segue.ServerName
	lines  Assembler
	now    time.Time
}

// Stream opens a server's output. When the server restarts or the stream is read anew, Close it and open another. Open the streams of all
// servers before the first line: the servers' names are values in all lines from then on.
func (m *Miner) Stream(server segue.ServerName) *Stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meet(server)
	return &Stream{miner: m, server: server}
}

func (m *Miner) meet(server segue.ServerName) {
	if _, ok := m.servers[server]; !ok {
		m.servers[server] = struct{}{}
		m.tree.Hide(string(server))
	}
}

// Line takes a line that the server dated at (zero: unknown) and that came now.
func (s *Stream) Line(line []byte, at, now time.Time) {
	s.now = now
	s.lines.Feed(line, at, s.emit)
}

// Write takes raw bytes that came now.
func (s *Stream) Write(p []byte, now time.Time) {
	s.now = now
	s.lines.Write(p, time.Time{}, s.emit)
}

// Flush counts what is held back: call it when the stream was silent for a second.
func (s *Stream) Flush(now time.Time) {
	s.now = now
	s.lines.Flush(s.emit)
}

// Close counts all that is held back, and forgets what was learnt of the server's clock.
func (s *Stream) Close(now time.Time) {
	s.now = now
	s.lines.Close(time.Time{}, s.emit)
	s.miner.mu.Lock()
	defer s.miner.mu.Unlock()
	s.miner.counts.Restarted(s.server)
}

func (s *Stream) emit(e Event) { s.miner.Add(e.Text, s.server, e.At, s.now) }

// Add takes an event that is joined already.
func (m *Miner) Add(event []byte, server segue.ServerName, at, now time.Time) Match {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meet(server)
	m.parser.Parse(event, &m.line)
	match := m.tree.Learn(&m.line, event, now)
	m.counts.Add(match.ID, server, at, now)
	if match.New && m.onNew != nil {
		if t, ok := m.tree.Get(match.ID); ok {
			m.onNew(t)
		}
	}
	return match
}

// Look calls see with the tree and the counts while nothing is learnt.
func (m *Miner) Look(see func(*Tree, *Counter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	see(m.tree, m.counts)
}

// Shared gives the templates that at least two of the servers said, by birth: those of one alone are what a judge looks at.
func (m *Miner) Shared(servers []segue.ServerName) []Template {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(m.tree.Templates(), func(t Template) bool {
		said := 0
		for _, name := range servers {
			if len(m.counts.series[seriesKey{t.ID, name}]) > 0 {
				said++
			}
		}
		return said < 2
	})
}
