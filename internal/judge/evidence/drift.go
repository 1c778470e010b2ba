package evidence

import "math"

const (
	// soon is in how many minutes most equal releases shall be shown to be fine, surely how many deviations the margin must be away for that: 2.7
	// for evidence of 20 at any time, and 0.9 so that four of five get there.
	soon   = 30
	surely = 3.6
	// mostShift is a logarithm beyond which nothing is a shift.
	mostShift = 1000
)

// Drift says how far two sides wander apart that differ in nothing: servers have moods that last for minutes, which no count of independent
// requests knows of. It is evidence that a shift is smaller than a margin, whatever moods do, as far as they are what they were before.
type Drift struct{ variance, past float64 }

// NewDrift takes the variance that a minute adds to the sum of the difference between the two sides (of logarithms, say), and for how many minutes
// their usual difference was seen. Without a variance, every difference counts as one at once.
func NewDrift(variance, past float64) Drift {
	if !(variance > 0 && variance <= mostEvents) {
		variance = 0
	}
	return Drift{variance, max(positiveOr(past, 1), 1)}
}

// Margin gives the margin, at least the one that is wished for, that most equal releases keep in half an hour: what is finer would take hours, or
// more of a past than there is. It is known before the first look.
func (d Drift) Margin(wished float64) float64 {
	return max(wished, surely*math.Sqrt(d.variance/soon*(1+soon/d.past)))
}

// LogE gives the logarithm of the evidence against "the shift is margin or more", after so many minutes of which the mean shift is given.
//
// The sum of the slack over t minutes, in which the usual difference is off by as much as a past of h minutes leaves open, is a Brownian motion at
// the time t·h/(t+h) once it is divided by 1+t/h. It is weighed by a half-normal mixture (Robbins 1970), so it may be looked at all the time.
func (d Drift) LogE(minutes, shift, margin float64) float64 {
	if d.variance == 0 {
		if shift < margin {
			return math.Log(mostE)
		}
		return 0
	}
	if !(minutes > 0 && minutes <= mostEvents) || !(math.Abs(shift) <= mostShift) || !(math.Abs(margin) <= mostShift) {
		return 0
	}
	slow := 1 + minutes/d.past
	sum, v := minutes*(margin-shift)/slow, d.variance*minutes/slow
	// The mixture is best at about this.
	prior := d.variance * soon / (1 + soon/d.past) / 6
	z := sum / math.Sqrt(v+prior)
	return min(math.Log(2)+0.5*math.Log(prior/(v+prior))+z*z/2+logPhi(z), math.Log(mostE))
}
