package evidence

import (
	"math"
	"slices"
)

// steepness are the exponents of Growth's bets: a gentle one sees slow growth through noise, a sharp one bets on new records.
func steepness() [3]float64 { return [3]float64{1, 4, 16} }

const (
	// startLate is the part of what is not bet yet that begins to bet with each value: growth may begin late.
	startLate = 0.05
	// mostValues bounds a Growth's memory; values beyond weigh nothing.
	mostValues = 2000
)

// Growth is evidence that one series of values rises: of a resource that leaks.
//
// If nothing rises, the values are exchangeable: the n-th is as likely to have any rank among the first n, whatever their distribution is, and
// ranks are independent. A rank r weighs r^s·n/Σi^s, which has expectation 1. E is the mean over three exponents s, and over the times at which
// the bet may begin, so growth that begins late is found too. Ten records in a row are worth over 10^5. Equal values take the lowest rank of theirs,
// so a constant is no evidence.
//
// Values must be nearly independent, as means over some minutes are. A resource that fills up after a start rises too: whether it goes on is for
// the caller to ask, with Slope.
type Growth struct {
	values []float64
	sorted []float64
	waits  float64
	bets   [3]float64
}

// NewGrowth starts with E = 1.
func NewGrowth() *Growth { return &Growth{waits: 1} }

// Add weighs the next value. One that is infinite or NaN changes nothing.
func (g *Growth) Add(value float64) {
	if !finite(value) || len(g.values) >= mostValues {
		return
	}
	rank, _ := slices.BinarySearch(g.sorted, value)
	g.values, g.sorted = append(g.values, value), slices.Insert(g.sorted, rank, value)
	n := len(g.sorted)
	if n < 2 {
		return
	}
	joins := startLate * g.waits
	g.waits -= joins
	for i, s := range steepness() {
		sum := 0.0
		for r := 1; r <= n; r++ {
			sum += math.Pow(float64(r)/float64(n), s)
		}
		won := math.Pow(float64(rank+1)/float64(n), s) * float64(n) / sum
		g.bets[i] = min((g.bets[i]+joins/float64(len(g.bets)))*won, mostE)
	}
}

// LogE gives the natural logarithm of the current e-value; 0 at the start.
func (g *Growth) LogE() float64 { return math.Log(g.E()) }

// E gives the current e-value, at most 1e300.
func (g *Growth) E() float64 { return min(g.waits+g.bets[0]+g.bets[1]+g.bets[2], mostE) }

// Values gives what was weighed, in order. They must not be changed.
func (g *Growth) Values() []float64 { return g.values }

// Slope gives the median of the slopes between all pairs of values (Theil-Sen), per value; of fewer than two 0. A few outliers, or the teeth of a
// saw, do not move it.
func Slope(values []float64) float64 {
	slopes := make([]float64, 0, len(values)*(len(values)-1)/2)
	for i := range values {
		for j := range values[:i] {
			slopes = append(slopes, (values[i]-values[j])/float64(i-j))
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return (slopes[len(slopes)/2] + slopes[(len(slopes)-1)/2]) / 2
}
