package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// advised is how many points of a metric Kayenta's authors advise.
	advised = 50
	// mostPoints bounds memory: the rule goes by the last day.
	mostPoints = 24 * 60
)

// Kayenta judges by the rule of Spinnaker's Kayenta, for teams that come from there: values of each minute of candidate and stable, the
// Mann-Whitney test at 98 % with a tolerance of 0.25, over a window that grows; the score passes at 95 and is marginal at 75. The groups
// errors, latency and gauges weigh the same. It only reports, for good reason: of equal releases on servers that are alike but have moods of 10 %
// that last for minutes, 18 % do not pass at one look after an hour and 70 % at some look of one a minute; on servers that differ by 30 % for
// good, all of them (TestKayentaOfEqualReleases). Judge fails 1 % of those.
type Kayenta struct {
	open   [2]minute
	since  time.Time
	began  bool
	points map[string]*points
	said   []segue.Finding
}

// minute is what one side did in the minute that is open.
type minute struct {
	side
	gauges map[string]mean
}

// points are the values of one metric, minute by minute.
type points struct {
	group string
	sides [2][]float64
}

// NewKayenta makes the judge of one rollout.
func NewKayenta() *Kayenta { return &Kayenta{points: map[string]*points{}} }

// Name is "kayenta".
func (k *Kayenta) Name() string { return "kayenta" }

// Weigh takes the next window.
func (k *Kayenta) Weigh(window judge.Evidence) []segue.Finding {
	if !k.began {
		k.began, k.since = true, window.Since
	}
	for _, row := range sorted(window.Servers) {
		switch row.Release {
		case window.Candidate:
			k.open[sideCandidate].add(row, window.Length())
		case window.Stable:
			k.open[sideStable].add(row, window.Length())
		}
	}
	if window.Until.Sub(k.since) >= time.Minute {
		k.close()
		k.since = window.Until
		k.said = []segue.Finding{k.score(window)}
	}
	if k.said == nil {
		return []segue.Finding{{
			Judge: k.Name(), Ruling: segue.RulingReport, Release: window.Candidate, Unit: "score", Needed: advised,
			Text: "Kayenta's rule has no points yet: it takes one a minute",
		}}
	}
	return slices.Clone(k.said)
}

func (m *minute) add(row judge.ServerEvidence, length time.Duration) {
	m.side.add(row)
	for key, value := range row.Gauges {
		if m.gauges == nil {
			m.gauges = map[string]mean{}
		}
		if old, there := m.gauges[key]; there || len(m.gauges) < mostSeries {
			m.gauges[key] = mean{old.sum + value*length.Seconds(), old.seconds + length.Seconds()}
		}
	}
}

// close makes points of the minute.
func (k *Kayenta) close() {
	for at, m := range k.open {
		if m.requests > 0 {
			k.put("errors", "errors", at, m.errors/m.requests)
		}
		if m.latency.Count > 0 {
			for _, q := range []float64{0.5, 0.9, 0.99} {
				k.put("latency", fmt.Sprintf("p%.0f", 100*q), at, ms(m.latency.Quantile(q)))
			}
		}
		for key, value := range m.gauges {
			if value.seconds > 0 {
				k.put("gauges", key, at, value.value())
			}
		}
	}
	k.open = [2]minute{}
}

func (k *Kayenta) put(group, name string, at int, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	name = group + ": " + name
	p := k.points[name]
	if p == nil {
		p = &points{group: group}
		k.points[name] = p
	}
	p.sides[at] = append(p.sides[at], value)
	p.sides[at] = p.sides[at][max(0, len(p.sides[at])-mostPoints):]
}

// score classifies all metrics and sums them up.
func (k *Kayenta) score(window judge.Evidence) segue.Finding {
	metrics := make([]evidence.Classified, 0, len(k.points))
	var off []string
	f := segue.Finding{Judge: k.Name(), Ruling: segue.RulingReport, Release: window.Candidate, Unit: "score", Limit: evidence.KayentaPass, Needed: advised}
	for _, name := range slices.Sorted(maps.Keys(k.points)) {
		p := k.points[name]
		// More errors and more time are bad; of gauges nobody says which way is.
		rule := evidence.Kayenta{Increase: p.group != "gauges"}
		label := rule.Classify(p.sides[sideStable], p.sides[sideCandidate])
		if label == evidence.LabelHigh || label == evidence.LabelLow {
			off = append(off, fmt.Sprintf("%s %s", name, label))
		}
		metrics = append(metrics, evidence.Classified{Group: p.group, Label: label})
		f.Samples = max(f.Samples, int64(len(p.sides[sideCandidate])))
		f.BaselineSamples = max(f.BaselineSamples, int64(len(p.sides[sideStable])))
	}
	f.Value = evidence.KayentaScore(metrics, nil)
	word := "fails"
	switch {
	case f.Value >= evidence.KayentaPass:
		word = "passes"
	case f.Value >= evidence.KayentaMarginal:
		word = "is marginal"
	}
	f.Text = fmt.Sprintf("Kayenta's rule %s: score %.0f of 100 over %d metrics, %d minutes", word, f.Value, len(metrics), min(f.Samples, f.BaselineSamples))
	if min(f.Samples, f.BaselineSamples) < advised {
		f.Text += fmt.Sprintf(" (%d are advised)", advised)
	}
	if len(off) > 0 {
		f.Text += ": " + list(off)
	}
	return f
}

// sorted gives servers in order of their names, so that sums come out the same each time.
func sorted(servers []judge.ServerEvidence) []judge.ServerEvidence {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b judge.ServerEvidence) int { return cmp.Compare(a.Server, b.Server) })
	return servers
}
