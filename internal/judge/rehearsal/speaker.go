package rehearsal

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// lots are the ways to draw.
type lots struct{ *rand.Rand }

// poisson draws how many events come when mean are expected.
func (l lots) poisson(mean float64) int {
	if !(mean > 0) {
		return 0
	}
	if mean > 40 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*l.NormFloat64())))
	}
	n, limit := 0, math.Exp(-mean)
	for p := l.Float64(); p >= limit; n++ {
		p *= l.Float64()
	}
	return n
}

// alias draws indices by weights in constant time (Vose, 1991).
type alias struct {
	share []float64
	other []int32
	sum   float64
}

func newAlias(weights []float64) alias {
	a := alias{share: make([]float64, len(weights)), other: make([]int32, len(weights))}
	for _, w := range weights {
		a.sum += w
	}
	var small, large []int32
	for i, w := range weights {
		a.share[i] = w * float64(len(weights)) / a.sum
		if a.share[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.other[s] = l
		if a.share[l] -= 1 - a.share[s]; a.share[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		a.share[i] = 1
	}
	return a
}

func (a alias) draw(r *rand.Rand) int {
	i := r.IntN(len(a.share))
	if r.Float64() < a.share[i] {
		return i
	}
	return int(a.other[i])
}

// load is the traffic at a time, relative to the mean of the day.
func (w World) load(at time.Time) float64 {
	minute := float64(at.Hour()*60 + at.Minute())
	return 1 + w.Day*math.Sin(2*math.Pi*(minute-8*60)/(24*60))
}

// said is a kind that was said in a step, so many lines.
type said struct{ kind, lines int }

// speaker is what a server logs. It is asked step by step, in order.
type speaker struct {
	World
	*process
	words    *vocabulary
	base     lots
	changed  lots
	common   alias
	quirk    []float64
	phases   []int64
	counts   []int
	mentions []int
}

func newSpeaker(w World, words *vocabulary, p *process) *speaker {
	s := &speaker{
		World: w, process: p, words: words, base: lots{w.random("log", p.server)}, changed: lots{w.random("changed log", p.server)},
		counts: make([]int, len(words.kinds)),
	}
	weights := make([]float64, words.common)
	for i := range weights {
		q := math.Exp(w.Spread * s.base.NormFloat64())
		s.quirk = append(s.quirk, q)
		weights[i] = words.kinds[i].rate * q
	}
	s.common = newAlias(weights)
	for range words.hearts {
		s.phases = append(s.phases, s.base.Int64N(30))
	}
	return s
}

// step gives what is said in the step that begins at a time.
func (s *speaker) step(at time.Time) []said {
	if s.down(at) {
		return s.collect()
	}
	minutes := step.Minutes()
	load := s.load(at)
	for range s.base.poisson(s.common.sum * load * minutes) {
		k := s.common.draw(s.base.Rand)
		s.say(k, s.words.kinds[k].lines)
	}
	for i, k := range s.words.hearts {
		period := int64(s.words.kinds[k].period * 60)
		seconds := at.Unix() - s.phases[i]*period/30
		if (seconds+int64(step.Seconds()))/period != seconds/period {
			s.say(k, 1)
		}
	}
	age := at.Sub(s.started(at))
	if age >= 0 && age < 30*time.Second {
		part := int(age / step)
		for _, k := range s.words.starts[part*4 : part*4+4] {
			s.say(k, 1)
		}
	}
	for i, c := range s.Changes {
		if s.active(c, at) {
			s.change(i, c, at, load*minutes)
		}
	}
	return s.collect()
}

func (s *speaker) say(kind, lines int) {
	if lines > 0 && s.counts[kind] == 0 {
		s.mentions = append(s.mentions, kind)
	}
	s.counts[kind] += lines
}

// change does to a step what a change of the release does.
func (s *speaker) change(i int, c Change, at time.Time, exposure float64) {
	fresh := s.words.fresh[i]
	switch c.Kind {
	case NewLine, StackTrace, NewInfo, Incident:
		rate := c.Size
		if c.Kind == Incident {
			rate = 6
		}
		s.say(fresh[0], s.changed.poisson(rate*step.Minutes()))
	case MoreWarnings:
		k := s.words.warning
		rate := s.words.kinds[k].rate * s.quirk[k] * (c.Size - 1)
		s.say(k, s.words.kinds[k].lines*s.changed.poisson(rate*exposure))
	case NoHeartbeat:
		s.silence(c.Size)
	case Wording:
		lines := s.counts[s.words.info]
		s.counts[s.words.info] = 0
		s.say(fresh[0], lines)
	case Fewer:
		k := s.words.failure
		if s.counts[k] > 0 && s.changed.Float64() > 1/c.Size {
			s.counts[k] = 0
		}
	case StartLines:
		for _, k := range fresh {
			if age := at.Sub(s.started(at)); age >= 0 && age < step {
				s.say(k, 1)
			}
		}
	case CrashLoop:
		if s.crashes(at.Add(step)) > 0 {
			s.say(s.words.crash, 1)
		}
	default:
	}
}

// silence takes back the heartbeat of that many minutes, 0 for one.
func (s *speaker) silence(minutes float64) {
	def(&minutes, 1)
	for _, k := range s.words.hearts {
		if s.words.kinds[k].period == minutes {
			s.counts[k] = 0
		}
	}
}

// collect gives the counts in the order of kinds, and clears them.
func (s *speaker) collect() []said {
	slices.Sort(s.mentions)
	all := make([]said, 0, len(s.mentions))
	for i, k := range s.mentions {
		if s.counts[k] > 0 && (i == 0 || s.mentions[i-1] != k) {
			all = append(all, said{k, s.counts[k]})
		}
		s.counts[k] = 0
	}
	s.mentions = s.mentions[:0]
	return all
}
