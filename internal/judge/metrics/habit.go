package metrics

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

const (
	// A habit is drawn from enoughWindows at least; its neighbours may resemble each other by mostLag.
	enoughWindows = 8
	mostLag       = 0.2
	// usual is the part of a gauge's mean that always counts as noise.
	usual = 0.05
	// present is the part of the longest history that a server must have to count.
	present = 0.5
)

// lengths are those of a gauge's windows: the shortest is taken whose neighbours are nearly independent.
func lengths() [4]time.Duration {
	return [4]time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute}
}

// habit is what a series was like before the rollout.
type habit struct {
	// span is the index of the window's length.
	span int
	// windows is how many of them were seen, deviation that of their values, means are servers' own ones.
	windows   int
	deviation float64
	means     map[segue.ServerName]float64
	// logarithmic series were never 0 or below: day and night multiply them, alike on all servers whatever their size.
	logarithmic bool
	least       float64
}

// scale gives a value on the series' own scale.
func (h habit) scale(value float64) float64 {
	if h.logarithmic {
		return math.Log(max(value, h.least/100))
	}
	return value
}

// mean is a mean over time.
type mean struct{ sum, seconds float64 }

func (m mean) value() float64 { return m.sum / m.seconds }

// slice is what one server showed of one series in one slice of history.
type slice struct {
	at      time.Duration
	seconds float64
	value   float64
}

// historyOf sorts history by series, as far as they are wanted, and by server.
func historyOf(before []judge.Evidence, wanted func(key string) bool) map[string]map[segue.ServerName][]slice {
	slicesOf := map[string]map[segue.ServerName][]slice{}
	for _, past := range before {
		for _, row := range past.Servers {
			for key, value := range row.Gauges {
				if math.IsNaN(value) || math.IsInf(value, 0) || past.Length() <= 0 || !wanted(key) {
					continue
				}
				if slicesOf[key] == nil {
					slicesOf[key] = map[segue.ServerName][]slice{}
				}
				slicesOf[key][row.Server] = append(slicesOf[key][row.Server], slice{past.Since.Sub(before[0].Since), past.Length().Seconds(), value})
			}
		}
	}
	return slicesOf
}

// habits draws habits from history. Series that were there and have none, since the history is short or they wander for longer than windows
// are, are given as left out.
func habits(before []judge.Evidence) (known map[string]habit, leftOut []string) {
	slicesOf := historyOf(before, func(string) bool { return true })
	known = map[string]habit{}
	for _, key := range slices.Sorted(maps.Keys(slicesOf)) {
		if h, ok := habitOf(slicesOf[key]); ok {
			known[key] = h
		} else {
			leftOut = append(leftOut, key)
		}
	}
	return known, leftOut
}

func habitOf(servers map[segue.ServerName][]slice) (habit, bool) {
	names, h := shape(servers)
	for span, length := range lengths() {
		rows := windows(names, servers, length)
		if len(names) < 2 || len(rows) < enoughWindows {
			continue
		}
		h.span, h.windows, h.means = span, len(rows), map[segue.ServerName]float64{}
		grand := 0.0
		for i, name := range names {
			for _, row := range rows {
				row[i] = h.scale(row[i])
				h.means[name] += row[i] / float64(len(rows))
			}
			grand += math.Abs(h.means[name]) / float64(len(names))
		}
		if h.logarithmic {
			grand = 1
		}
		lag, deviation := h.resemblance(names, rows)
		if lag+1/float64(len(rows)) < mostLag {
			h.deviation = max(deviation, usual*grand, 1e-9)
			return h, true
		}
	}
	return habit{}, false
}

// shape gives the servers that were seen long enough, in order, and the series' scale.
func shape(servers map[segue.ServerName][]slice) (names []segue.ServerName, h habit) {
	seconds, longest := map[segue.ServerName]float64{}, 0.0
	h.least = math.Inf(1)
	for name, all := range servers {
		for _, s := range all {
			seconds[name] += s.seconds
			h.least = min(h.least, s.value)
		}
		longest = max(longest, seconds[name])
	}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if seconds[name] >= present*longest {
			names = append(names, name)
		}
	}
	h.logarithmic = h.least > 0
	return names, h
}

// resemblance gives the lag-1 autocorrelation and the deviation of what servers have of their own: less their own mean, and less what all do in a
// window, since day and night move all alike.
func (h habit) resemblance(names []segue.ServerName, rows [][]float64) (lag, deviation float64) {
	n, previous := float64(len(names)), make([]float64, len(names))
	products, squares := 0.0, 0.0
	for at, row := range rows {
		common := 0.0
		for i, name := range names {
			common += (row[i] - h.means[name]) / n
		}
		for i, name := range names {
			own := row[i] - h.means[name] - common
			if squares += own * own; at > 0 {
				products += own * previous[i]
			}
			previous[i] = own
		}
	}
	if squares > 0 {
		lag = products / squares
	}
	return lag, math.Sqrt(squares / ((n - 1) * float64(len(rows)-1)))
}

// windows gives the means of windows in which all servers were seen for most of the time, in the order of servers' names.
func windows(names []segue.ServerName, servers map[segue.ServerName][]slice, length time.Duration) [][]float64 {
	cells := map[int][]mean{}
	for i, name := range names {
		for _, s := range servers[name] {
			if s.seconds > length.Seconds() {
				continue // it tells nothing of windows as short as that
			}
			at := int(s.at / length)
			if cells[at] == nil {
				cells[at] = make([]mean, len(names))
			}
			cells[at][i].sum += s.value * s.seconds
			cells[at][i].seconds += s.seconds
		}
	}
	var rows [][]float64
	for _, at := range slices.Sorted(maps.Keys(cells)) {
		row := make([]float64, len(names))
		complete := true
		for i, m := range cells[at] {
			complete = complete && m.seconds >= mostOf*length.Seconds()
			row[i] = m.value()
		}
		if complete {
			rows = append(rows, row)
		}
	}
	return rows
}
