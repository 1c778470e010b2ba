package evidence

import "math"

// ForecastRequest asks how long it takes to find something, or what can be found in a given time.
type ForecastRequest struct {
	// Rate is how many events per minute one server has now; Others how many other servers there are.
	Rate   float64
	Others int
	// Null and Only are those of the Process. Null 0 means DefaultNull.
	Null float64
	Only bool
	// Ratio is how many times as often the candidate has them. 0 asks which ratio is found within Minutes.
	Ratio   float64
	Minutes float64
	// Alpha: it is found when E reaches 1/Alpha. Power is the wanted probability to find it. 0 means 1 % and 90 %.
	Alpha, Power float64
}

// Outlook answers a ForecastRequest.
type Outlook struct {
	// Found is false if it cannot be found: the ratio is within the null, there is no other server, or it would take over 30 days (a ratio
	// over 1000, when one is asked for). Then the numbers are those of the request.
	Found          bool
	Minutes, Ratio float64
}

const (
	longestForecast = 30 * 24 * 60
	greatestRatio   = 1000
)

// Forecast tells how many minutes it takes until a ratio is found with some probability, or the smallest ratio that is found in some
// minutes. It takes the logarithm of E for a random walk whose drift is the expected log growth of the mixture, and asks when that has
// first crossed log(1/Alpha) plus half a step of overshoot (inverse Gaussian distribution); tests hold it against simulated processes.
func Forecast(r ForecastRequest) Outlook {
	r.Null, r.Alpha, r.Power = positiveOr(r.Null, DefaultNull), positiveOr(r.Alpha, 0.01), positiveOr(r.Power, 0.9)
	none := Outlook{Minutes: r.Minutes, Ratio: r.Ratio}
	if !(r.Rate > 0 && r.Rate <= mostEvents) || r.Others < 1 || r.Alpha >= 1 || r.Power >= 1 {
		return none
	}
	if r.Ratio != 0 {
		if !(r.Ratio > r.Null && r.Ratio <= mostUneven) || r.power(r.Ratio, longestForecast) < r.Power {
			return none
		}
		minutes := bisect(1e-3, longestForecast, func(minutes float64) bool { return r.power(r.Ratio, minutes) >= r.Power })
		return Outlook{Found: true, Minutes: minutes, Ratio: r.Ratio}
	}
	if !(r.Minutes > 0) || r.power(greatestRatio, r.Minutes) < r.Power {
		return none
	}
	ratio := bisect(r.Null, greatestRatio, func(ratio float64) bool { return r.power(ratio, r.Minutes) >= r.Power })
	return Outlook{Found: true, Minutes: r.Minutes, Ratio: ratio}
}

// bisect gives the least positive number up to high for which enough holds, to 0.1 %, on a logarithmic scale.
func bisect(low, high float64, enough func(float64) bool) float64 {
	for high/low > 1.001 {
		if middle := math.Sqrt(low * high); enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// power approximates the probability that E has reached 1/Alpha by then.
func (r ForecastRequest) power(ratio, minutes float64) float64 {
	others := r.Rate * float64(r.Others) * minutes
	candidate := r.Rate * ratio * minutes
	p := newProcess(Options{Null: r.Null, Only: r.Only})
	p.Add(Split{Candidate: candidate, Others: others, CandidateExposure: 1, OthersExposure: float64(r.Others)})
	best := 0
	for j := range p.logs[:points] {
		if p.logs[j] > p.logs[best] {
			best = j
		}
	}
	// One event on the candidate is worth gain-cost, one on the others -cost.
	gain := p.low + float64(best)*p.step
	cost := math.Log1p(p.null*math.Exp(gain)/float64(r.Others)) - math.Log1p(p.null/float64(r.Others))
	deviation := math.Sqrt(candidate*(gain-cost)*(gain-cost) + others*cost*cost)
	drift := p.logs[best]
	if drift <= 0 || deviation == 0 {
		return 0
	}
	barrier := math.Log(1/r.Alpha) + drift - p.LogE() + (gain-cost)/2
	reflected := 2*drift*barrier/(deviation*deviation) + logPhi(-(barrier+drift)/deviation)
	return min(1, phi((drift-barrier)/deviation)+math.Exp(min(0, reflected)))
}

// phi is the normal distribution function, logPhi its logarithm, also far out where phi is 0.
func phi(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

func logPhi(z float64) float64 {
	if z > -30 {
		return math.Log(phi(z))
	}
	return -z*z/2 - math.Log(-z*math.Sqrt(2*math.Pi))
}
