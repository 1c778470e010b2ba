package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/template"
)

const (
	// chunkSize times mostChunks is what may wait of one output. A chunk is more than a template looks at of a line, so that a line which
	// is cut between two of them keeps its template.
	chunkSize  = 32 << 10
	mostChunks = 32
	// quiet is after how long a silence an event is taken to be complete.
	quiet = time.Second
	// mostSpans bounds what is remembered of when a server was read.
	mostSpans = 512
)

// Output names one output of one process on a server.
type Output struct {
	Server segue.ServerName
	// Instance tells a server's processes apart, in any form: what one of them wrote is not the next one's.
	Instance string
	// Name is "stdout", "stderr", or the name of a file.
	Name string
}

// Follow reads an output until it ends: close it to stop. It takes lines away as fast as they come, so the process never waits: of what
// templates cannot be learnt of in time a megabyte waits, and the rest is dropped and counted as lost. The error is that of reading; the
// end of the output is none.
func (g *Gatherer) Follow(output Output, r io.Reader) error {
	f := &follower{
		gatherer: g, output: output, stream: g.open(output),
		queue: make(chan chunk, mostChunks), free: make(chan []byte, mostChunks), spare: make([]byte, chunkSize),
	}
	mined := make(chan struct{})
	go func() {
		defer close(mined)
		f.mine()
	}()
	err := f.read(r)
	close(f.queue)
	<-mined
	g.close(output, f.stream, err != nil)
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", output.Name, output.Server, err)
	}
	return nil
}

// chunk is a piece of an output. torn: what came right before it was dropped.
type chunk struct {
	buffer, data []byte
	torn         bool
}

// follower is one Follow: a reader that never waits, and a miner behind it.
type follower struct {
	gatherer *Gatherer
	output   Output
	stream   *template.Stream
	queue    chan chunk
	free     chan []byte
	made     int
	// spare is read into while there is no room. torn: something was dropped since the last chunk; skip: the last of it was no whole line.
	spare      []byte
	torn, skip bool
}

// read passes chunks on while there is room for them. They end with a line, unless it is longer than a chunk, so that nothing but such a
// line is ever torn by what is dropped.
func (f *follower) read(r io.Reader) error {
	var tail []byte
	for idle := 0; ; idle++ {
		buffer := f.buffer()
		into := buffer
		if buffer == nil {
			into = f.spare
		}
		held := copy(into, tail)
		n, err := r.Read(into[held:])
		if n > 0 {
			idle = 0
		}
		data := into[:held+n]
		end := bytes.LastIndexByte(data, '\n') + 1
		if err != nil || end == 0 && len(data) == chunkSize {
			end = len(data)
		}
		tail = append(tail[:0], data[end:]...)
		if buffer == nil {
			f.drop(data[:end])
		} else {
			f.pass(buffer, data[:end])
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case idle >= 100:
			return io.ErrNoProgress
		}
	}
}

// buffer gives a chunk's memory, or nil when all that may wait does.
func (f *follower) buffer() []byte {
	select {
	case b := <-f.free:
		return b
	default:
	}
	if f.made == mostChunks {
		return nil
	}
	f.made++
	return make([]byte, chunkSize)
}

func (f *follower) drop(data []byte) {
	if len(data) == 0 {
		return
	}
	f.torn, f.skip = true, data[len(data)-1] != '\n'
	f.gatherer.lose(f.output, bytes.Count(data, []byte{'\n'}))
}

func (f *follower) pass(buffer, data []byte) {
	if f.skip {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			end = len(data) - 1
		} else {
			f.skip = false
			f.gatherer.lose(f.output, 1)
		}
		data = data[end+1:]
	}
	if len(data) == 0 {
		f.free <- buffer
		return
	}
	f.queue <- chunk{buffer: buffer, data: data, torn: f.torn}
	f.torn = false
}

// mine learns from chunks as they come, and from what was held back when the output is quiet.
func (f *follower) mine() {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case c, ok := <-f.queue:
			if !ok {
				return
			}
			f.gatherer.learn(f.output, func(now time.Time) {
				if c.torn {
					f.stream.Write([]byte{'\n'}, now)
				}
				f.stream.Write(c.data, now)
			})
			f.free <- c.buffer
		case <-timer.C:
			f.gatherer.learn(f.output, f.stream.Flush)
		}
		timer.Reset(quiet)
	}
}

// learn calls write, unless the server has a newer instance by now.
func (g *Gatherer) learn(output Output, write func(now time.Time)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.servers[output.Server].instance == output.Instance {
		write(g.advance(time.Now()))
	}
}

// open begins an output of a server.
func (g *Gatherer) open(output Output) *template.Stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.advance(time.Now())
	s := g.source(output, now)
	s.failed = false
	s.outputs[output.Name]++
	s.note(now)
	return g.miner.Stream(output.Server)
}

// source gives what is known of a server, for an output of the instance that it has now.
func (g *Gatherer) source(output Output, now time.Time) *source {
	s := g.servers[output.Server]
	if s == nil {
		s = &source{instance: output.Instance, outputs: map[string]int{}}
		g.servers[output.Server] = s
	}
	if s.instance != output.Instance {
		// While no process ran there was nothing to read.
		if last := len(s.read) - 1; last >= 0 && !s.failed {
			s.read[last].until = time.Time{}
		}
		s.instance, s.outputs, s.since = output.Instance, map[string]int{}, slotOf(now)
		s.before = g.said(output.Server, s.since)
	}
	return s
}

// said gives how often a server said what in a slot.
func (g *Gatherer) said(server segue.ServerName, number int64) map[template.ID]int64 {
	said := map[template.ID]int64{}
	g.miner.Look(func(tree *template.Tree, counts *template.Counter) {
		for _, t := range tree.Templates() {
			if slotOf(t.Last) < number {
				continue
			}
			if _, events := counts.Between(t.ID, server, timeOf(number), timeOf(number+1)); events > 0 {
				said[t.ID] = events
			}
		}
	})
	return said
}

// close ends an output of a server.
func (g *Gatherer) close(output Output, stream *template.Stream, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, now := g.servers[output.Server], g.advance(time.Now())
	if s.instance != output.Instance {
		return
	}
	stream.Close(now)
	s.outputs[output.Name]--
	s.failed = s.failed || failed
	s.note(now)
}

// note keeps whether all of the server's outputs are read from now on.
func (s *source) note(now time.Time) {
	all := len(s.outputs) > 0
	for _, open := range s.outputs {
		all = all && open > 0
	}
	switch {
	case all && !s.reading():
		s.read = append(s.read, span{from: now})
	case !all && s.reading():
		s.read[len(s.read)-1].until = now
	}
	old := 0
	for old < len(s.read) && !s.read[old].until.IsZero() && (len(s.read)-old > mostSpans || s.read[old].until.Before(now.Add(-history))) {
		old++
	}
	s.read = s.read[old:]
}

func (s *source) reading() bool {
	last := len(s.read) - 1
	return last >= 0 && s.read[last].until.IsZero()
}

// lose counts lines that were dropped.
func (g *Gatherer) lose(output Output, lines int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, number := g.servers[output.Server], slotOf(g.advance(time.Now()))
	if s.instance != output.Instance || lines == 0 {
		return
	}
	if last := len(s.lost) - 1; last < 0 || s.lost[last].Slot != number {
		if len(s.lost) > int(history/slot) {
			s.lost = s.lost[1:]
		}
		s.lost = append(s.lost, template.Count{Slot: number})
	}
	last := &s.lost[len(s.lost)-1]
	last.Count = uint32(min(math.MaxUint32, int64(last.Count)+int64(lines)))
}
