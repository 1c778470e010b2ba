package logs

import (
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// defaultCeiling is how many times its usual rate a caveat excuses.
const defaultCeiling = 5

// Caveat is a finding that a team knows of and lives with. It is no mute button: it moves what is expected, and at Ceiling times its usual
// rate the finding counts again.
type Caveat struct {
	ID string
	// Fingerprint is that of the finding, of any judge. Match is text that a log template contains, or its whole text.
	Fingerprint string
	Match       string
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
	return c.Fingerprint != "" && c.Fingerprint == fingerprint || c.Match != "" && text != "" && strings.Contains(text, c.Match)
}

func (c *Caveat) expired(at time.Time) bool { return !c.Expires.IsZero() && !at.Before(c.Expires) }

func (c *Caveat) ceiling() float64 {
	if c.Ceiling > 1 {
		return c.Ceiling
	}
	return defaultCeiling
}

// margin is the ratio to its usual rate up to which it is innocent for a test: half way to the ceiling on a scale of ratios, so that both
// the usual rate and the ceiling are clear of it.
func (c *Caveat) margin() float64 { return math.Sqrt(c.ceiling()) }

// rated tells whether it says what is usual.
func (c *Caveat) rated() bool { return c.Rate > 0 || c.Share > 0 }

// Excuse applies caveats to findings of other judges, by fingerprint: what is against the candidate and within ceiling times the usual share
// (or rate, or what stable has) becomes a report. Value and Baseline of a finding are taken for shares. It changes findings in place.
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
	usual := max(c.Share, c.Rate)
	if usual == 0 {
		usual = f.Baseline
	}
	if limit := c.ceiling() * usual; f.Value > limit {
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
