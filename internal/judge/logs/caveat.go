package logs

import (
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// DefaultCeiling is how many times its usual rate a caveat excuses.
const DefaultCeiling = 5

// Caveat is a finding that a team knows of and lives with. It is no mute button: it moves what is expected, and at Ceiling times its usual
// rate the finding counts again.
type Caveat struct {
	ID string
	// Fingerprint is that of the finding, of any judge. Match is text that a log template contains, Form its whole text, with <*> for what varies.
	Fingerprint string
	Match       string
	Form        string
	// Service and Scope narrow it down: to one service, and to releases whose names the pattern fits ("v2.*").
	Service segue.ServiceName
	Scope   string
	Owner   string
	Reason  string
	// Ceiling is how many times its usual rate it excuses. 0 means 5.
	Ceiling float64
	Expires time.Time
	// Rate is its usual rate in lines per minute and server, Share per request (of differing answers: of those compared). With neither, usual
	// is what stable servers have.
	Rate  float64
	Share float64
}

// applies tells whether the caveat is about the service and release, whether expired or not.
func (c *Caveat) applies(service segue.ServiceName, release segue.ReleaseName) bool {
	if c.Service != "" && c.Service != service {
		return false
	}
	fits, err := path.Match(c.Scope, string(release))
	return c.Scope == "" || err == nil && fits
}

// names tells whether it is about a finding.
func (c *Caveat) names(fingerprint, text string) bool {
	return c.Fingerprint != "" && c.Fingerprint == fingerprint || text != "" && (c.Match != "" && strings.Contains(text, c.Match) || c.Form != "" && sameForm(c.Form, text))
}

// sameForm tells whether two templates are the same but for what varies in one of them. A template that is learnt anew may be born of another value of
// what turns out to vary, and then has another fingerprint.
func sameForm(a, b string) bool {
	one, other := strings.Fields(a), strings.Fields(b)
	words := 0
	for i := range one {
		if i == len(other) || one[i] != other[i] && one[i] != "<*>" && other[i] != "<*>" {
			return false
		}
		if one[i] == other[i] && one[i] != "<*>" {
			words++
		}
	}
	return len(one) == len(other) && 2*words >= len(one)-strings.Count(a, "<*>")
}

func (c *Caveat) expired(at time.Time) bool { return !c.Expires.IsZero() && !at.Before(c.Expires) }

func (c *Caveat) ceiling() float64 {
	if c.Ceiling > 1 {
		return c.Ceiling
	}
	return DefaultCeiling
}

// margin is the ratio to its usual rate up to which it is innocent for a test: half way to the ceiling on a scale of ratios, so that both
// the usual rate and the ceiling are clear of it.
func (c *Caveat) margin() float64 { return math.Sqrt(c.ceiling()) }

// rated tells whether it says what is usual.
func (c *Caveat) rated() bool { return c.Rate > 0 || c.Share > 0 }

// Learn takes what the finding saw for usual: the rate of a log line, else the share of what was compared. A line that comes less often has none. Of a
// line the form is kept beside the fingerprint, which is that of the values it was first seen with.
func (c *Caveat) Learn(f segue.Finding) error {
	if f.Judge != "logs" {
		share, _ := shareOf(f)
		c.Share = roughly(min(1, share))
		return nil
	}
	if f.Value < f.Baseline {
		return segue.Errorf(segue.KindInvalid, "the line comes less often, and a caveat excuses what comes more often").
			WithHint("put its text into judges.logs.expected of the project's file")
	}
	c.Rate = roughly(f.Value)
	c.Form = f.Template
	return nil
}

// roughly keeps two digits.
func roughly(v float64) float64 {
	if v <= 0 {
		return 0
	}
	scale := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Ceil(v/scale-1e-9) * scale
}

// shareOf gives a finding's value and baseline: of counts, as shares of what was compared.
func shareOf(f segue.Finding) (value, baseline float64) {
	value, baseline = f.Value, f.Baseline
	if f.Unit == "count" && f.Samples > 0 {
		value, baseline = value/float64(f.Samples), baseline/float64(max(f.BaselineSamples, 1))
	}
	return value, baseline
}

// Excuse applies caveats to findings of other judges, by fingerprint: what is against the candidate and within ceiling times the usual share
// (or rate, or what stable has) becomes a report. It changes findings in place.
func Excuse(caveats []Caveat, service segue.ServiceName, at time.Time, findings []segue.Finding) {
	for i := range findings {
		f := &findings[i]
		if f.Fingerprint == "" || f.Caveat != "" || f.Ruling != segue.RulingFail && f.Ruling != segue.RulingHold {
			continue
		}
		for k := range caveats {
			c := &caveats[k]
			if c.Fingerprint == f.Fingerprint && c.applies(service, f.Release) && !c.expired(at) {
				c.excuse(f)
				break
			}
		}
	}
}

func (c *Caveat) excuse(f *segue.Finding) {
	f.Caveat = c.ID
	value, baseline := shareOf(*f)
	usual := max(c.Share, c.Rate)
	if usual == 0 {
		usual = baseline
	}
	if limit := c.ceiling() * usual; value > limit {
		f.Text += fmt.Sprintf("; caveat %s excuses it up to %.3g", c.ID, limit)
		return
	}
	f.Ruling = segue.RulingReport
	f.Text += fmt.Sprintf("; known as caveat %s (%s)", c.ID, c.Reason)
}

// Expectation is a change in what is logged that a release is known to bring: a new line, or one that goes. It does not excuse errors.
type Expectation struct {
	Fingerprint string
	// Match is text that the template contains.
	Match string
}

func (e Expectation) names(fingerprint, text string) bool {
	return e.Fingerprint != "" && e.Fingerprint == fingerprint || e.Match != "" && strings.Contains(text, e.Match)
}

// due tells whether it should have matched within as many seconds on one server: three times at its rate.
func (c *Caveat) due(seconds float64) bool { return c.Rate == 0 || c.Rate*seconds/60 >= 3 }
