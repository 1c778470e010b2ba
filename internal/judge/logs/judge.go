package logs

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	defaultAlpha = 0.02
	// warm is how long a process's first lines are those of its start; the last of them come in a slot that closes later.
	warm = time.Minute + slot
	// holdAt is the evidence at which a candidate is not promoted further, passAt that for being as good as stable.
	holdAt = 20
	passAt = 20
	// bornAt is how many slots a new line was said in, by any server, when it counts as born.
	bornAt = 2
	// forKnown is the part of the error rate that is for lines known before the rollout: a new release mostly fails by new ones. A book spends
	// half of its rate on what is known and half on births; those of one kind alone have twice the rate to make up for it.
	forKnown = 1.0 / 3
	// recent is how far back the traffic of a server is looked at, to tell its share.
	recent = time.Minute
)

// Config is what the judge of a rollout goes by. The zero value is good.
type Config struct {
	// Alpha is the chance of a false alarm over the whole rollout. Default 2 %.
	Alpha float64
	// Caveats are known findings, Expected are changes that the release is known to bring.
	Caveats  []Caveat
	Expected []Expectation
	// SingleOld is the ratio of rates that is taken for noise in lines never seen before while one stable server alone is left to compare with.
	// Default 2.
	SingleOld float64
}

// Judge weighs what the servers of a rollout log. For each template it gathers evidence that the candidate says it more often than its share,
// or less often, where the share is what the same servers had of it before the rollout.
type Judge struct {
	config Config
	begun  bool
	// opened is when the rollout began.
	opened time.Time
	lines  map[string]*line
	order  []*line // as met
	alias  map[string]string
	// graves and births decide about what can fail the candidate, of lines known before the rollout and of new ones; notes about what is
	// reported.
	graves, births, notes *evidence.Book
	servers               map[segue.ServerName]*server
	// starts counts the starts of processes that were seen to their end, by side.
	starts   [2]float64
	volume   volume
	errorPhi float64
	// heard is by side; dark: severities cannot be read, as of the last window.
	heard [2]heard
	dark  bool
	// voices are how much the sides write while warm.
	voices [2]voice
	// exposure of sides in seconds while both were read, since the first such window.
	exposure [2]float64
	since    time.Time
	// compared is the end of the last window in which both sides were read; matched are caveats that some line came under.
	compared time.Time
	matched  map[string]bool
	// unread are servers whose logs cannot be read, and since when; lost counts lines that were lost.
	unread map[segue.ServerName]time.Time
	lost   map[segue.ServerName]int64
}

// server is what is known of one server.
type server struct {
	// past is its time in the history, in seconds, and its requests in that.
	past, pastRequests float64
	// requests of about the last minute.
	requests float64
	// start is what it said since its process started, until that is over.
	start   map[*line]float64
	started time.Time
}

// FirstBirth is the error rate at which the first kind of error line that nobody knew fails a candidate, with Alpha for the whole rollout.
func FirstBirth(alpha float64) float64 { return evidence.Spend((1-forKnown)*alpha, 1) }

// New makes the judge of one rollout.
func New(config Config) *Judge {
	if !(config.Alpha > 0 && config.Alpha < 1) {
		config.Alpha = defaultAlpha
	}
	if !(config.SingleOld >= 1) {
		config.SingleOld = 2
	}
	return &Judge{
		config: config, lines: map[string]*line{}, alias: map[string]string{}, servers: map[segue.ServerName]*server{}, matched: map[string]bool{},
		graves: evidence.NewBook(2 * forKnown * config.Alpha), births: evidence.NewBook(2 * (1 - forKnown) * config.Alpha), notes: evidence.NewBook(config.Alpha),
		volume: newVolume(),
		unread: map[segue.ServerName]time.Time{}, lost: map[segue.ServerName]int64{},
	}
}

// Name is "logs".
func (j *Judge) Name() string { return "logs" }

// Weigh takes the next window.
func (j *Judge) Weigh(window judge.Evidence) []segue.Finding {
	window.Servers = slices.Clone(window.Servers)
	slices.SortStableFunc(window.Servers, func(a, b judge.ServerEvidence) int { return cmp.Compare(a.Server, b.Server) })
	if !j.begun {
		j.begun, j.opened = true, window.Since
		j.begin(window)
	}
	j.meet(window, window.Templates)
	for _, m := range window.Merged {
		j.merge(m)
	}
	l := j.look(window)
	j.count(l)
	j.endStarts(l)
	j.book()
	return j.findings(l)
}

// begin learns the history, and enters what it has into the books.
func (j *Judge) begin(window judge.Evidence) {
	for _, past := range window.Before {
		j.meet(window, past.Templates)
	}
	kept, read := readSlices(window.Before)
	for i, past := range kept {
		for _, row := range past.Servers {
			if readable(row) {
				j.remember(i, past, row)
			}
		}
	}
	if len(kept) == 0 {
		// Nothing tells what is new.
		j.meet(window, window.Templates)
	}
	j.errorPhi = j.volume.phi(read)
	for _, l := range j.order {
		j.settle(l, read)
		l.old = true
		more, less := j.books(l)
		more.Known(l.ID, l.weight())
		if l.known() {
			less.Known("-"+l.ID, 1)
		}
		l.entered = true
	}
}

// watched says of each server in which slices of history its output was read; after, of each slice whether it begins where the one before ended.
type watched struct {
	servers map[segue.ServerName][]bool
	after   []bool
}

// readable tells whether a slice of a server's history can be used.
func readable(row judge.ServerEvidence) bool { return row.LogsRead && row.LogsLost == 0 }

// readSlices gives the slices of history in which anything was read: of the others nobody knows what there was to read.
func readSlices(before []judge.Evidence) ([]judge.Evidence, watched) {
	const near = time.Second
	read := watched{servers: map[segue.ServerName][]bool{}}
	var kept []judge.Evidence
	for _, past := range before {
		if slices.ContainsFunc(past.Servers, readable) {
			last := len(kept) - 1
			read.after = append(read.after, last >= 0 && past.Since.Sub(kept[last].Until).Abs() <= near)
			kept = append(kept, past)
		}
	}
	for i, past := range kept {
		for _, row := range past.Servers {
			if !readable(row) {
				continue
			}
			if read.servers[row.Server] == nil {
				read.servers[row.Server] = make([]bool, len(kept))
			}
			read.servers[row.Server][i] = true
		}
	}
	return kept, read
}

// counts lists a server's counts of the slices that it was read in, those without any too.
func (w watched) counts(server segue.ServerName, at func(slice int) float64) []float64 {
	var counts []float64
	for i, read := range w.servers[server] {
		if read {
			counts = append(counts, at(i))
		}
	}
	return counts
}

// remember takes one server's slice of history.
func (j *Judge) remember(i int, past judge.Evidence, row judge.ServerEvidence) {
	s := j.server(row.Server)
	s.past += past.Length().Seconds()
	s.pastRequests += float64(row.Requests + row.Mirrored)
	starting := !row.Started.IsZero() && past.Until.After(row.Started) && past.Since.Before(row.Started.Add(time.Minute))
	if starting && !past.Since.After(row.Started) {
		j.starts[others]++
	}
	for _, n := range row.Logs {
		l := j.line(n.Template)
		l.remember(row.Server, []minute{{slice: i, units: float64(n.Units), events: float64(n.Events)}})
		if starting {
			l.start[others] += float64(n.Units)
		}
		j.volume.remember(l, row.Server, i, float64(n.Units))
	}
}

// settle draws from a line's history what is used over and over.
func (j *Judge) settle(l *line, read watched) {
	if !l.known() {
		return
	}
	l.phi, l.eventPhi = 0, 0
	for _, name := range slices.Sorted(maps.Keys(l.past)) {
		said := make([]minute, len(read.after))
		for _, m := range l.past[name] {
			said[m.slice] = m
		}
		units := read.counts(name, func(i int) float64 { return said[i].units })
		events := read.counts(name, func(i int) float64 { return said[i].events })
		l.phi += evidence.Dispersion(units) / float64(len(l.past))
		l.eventPhi += evidence.Dispersion(events) / float64(len(l.past))
	}
	if l.grave() || l.dim() {
		l.weighLines()
	}
	if !l.bad() {
		l.beat = newBeat(l, read)
	}
}

// books gives the books that decide about "more often" and "less often".
func (j *Judge) books(l *line) (more, less *evidence.Book) {
	more, less = j.notes, j.notes
	if l.grave() && l.old {
		more = j.graves
	} else if l.grave() {
		more = j.births
	}
	if l.beat != nil {
		less = j.graves
	}
	return more, less
}

func (j *Judge) server(name segue.ServerName) *server {
	s := j.servers[name]
	if s == nil {
		s = &server{}
		j.servers[name] = s
	}
	return s
}

// line gives a line by an id of now or of before a merge; one that no window told of is known by its id alone.
func (j *Judge) line(id string) *line {
	for next, ok := j.alias[id]; ok; next, ok = j.alias[id] {
		id = next
	}
	l := j.lines[id]
	if l == nil {
		l = newLine(judge.LogTemplate{ID: id})
		j.lines[id], j.order = l, append(j.order, l)
	}
	return l
}

// meet enters new templates, by birth.
func (j *Judge) meet(window judge.Evidence, templates []judge.LogTemplate) {
	templates = slices.Clone(templates)
	slices.SortStableFunc(templates, func(a, b judge.LogTemplate) int {
		return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range templates {
		if j.lines[t.ID] != nil || j.alias[t.ID] != "" {
			continue
		}
		l := newLine(t)
		j.lines[t.ID], j.order = l, append(j.order, l)
		for i := range j.config.Caveats {
			c := &j.config.Caveats[i]
			if c.applies(window.Service, window.Candidate) && c.names(t.ID, t.Text) {
				l.caveat = c
				if c.rated() {
					l.usual = newRate(1.25, 1.6, 2, 3, 5)
				}
				break
			}
		}
	}
}

// merge makes one line of two.
func (j *Judge) merge(m judge.LogMerge) {
	from, into := j.line(m.From), j.line(m.Into)
	if from == into {
		return
	}
	into.take(from, j.starts)
	j.alias[from.ID] = into.ID
	delete(j.lines, from.ID)
	j.order = slices.DeleteFunc(j.order, func(l *line) bool { return l == from })
	for _, s := range j.servers {
		if n, ok := s.start[from]; ok {
			s.start[into] += n
			delete(s.start, from)
		}
	}
	for _, l := range j.order {
		if l.beat != nil {
			l.beat.merge(from, into)
		}
	}
	more, less := j.books(from)
	if from.entered {
		more.Set(from.ID, math.Inf(-1))
	}
	if from.known() {
		less.Set("-"+from.ID, math.Inf(-1))
	}
}

// book enters the evidence as it stands; new lines by birth, whoever said them. The later a birth, the more it takes to fail a candidate by
// it, so one is not wasted on what was said but once in all: that decides nothing.
func (j *Judge) book() {
	for _, l := range j.order {
		if !l.stale {
			continue
		}
		l.update(j.starts)
		if !l.entered && l.units(candidate)+l.units(others) < bornAt {
			continue
		}
		l.entered = true
		more, less := j.books(l)
		more.Set(l.ID, l.logMore)
		if l.known() {
			less.Set("-"+l.ID, l.logLess)
		}
	}
}
