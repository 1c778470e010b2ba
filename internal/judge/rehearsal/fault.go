package rehearsal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is what is to be known of a kind of change, for people who choose one.
type Fault struct {
	Kind Kind `json:"kind"`
	// Text says what the candidate does; SIZE stands for the size.
	Text string `json:"text"`
	// Decoy is no fault: a judge should not roll back for it.
	Decoy bool `json:"decoy,omitempty"`
	// Size is the usual one, 0 for a kind that has none. Sizes are all that it may be, nil for any up to Most (0: no bound).
	Size  float64   `json:"size,omitempty"`
	Sizes []float64 `json:"sizes,omitempty"`
	Most  float64   `json:"most,omitempty"`
	// Severities are the words that may stand behind the kind, the usual one first.
	Severities []string `json:"severities,omitempty"`
	// Needs names evidence that not every service has: "mirror" for compared answers, "gauges" for an instance's own metrics, "requests".
	Needs string `json:"needs,omitempty"`
}

// Faults lists every kind of change: faults first, then decoys.
func Faults() []Fault {
	severities := []string{"error", "warn", "fatal", "info", "debug"}
	const mirror, gauges, requests = "mirror", "gauges", "requests"
	return []Fault{
		{Kind: NewLine, Text: "writes a line that nobody wrote before, SIZE a minute", Size: 1, Severities: severities},
		{Kind: StackTrace, Text: "writes a stack trace that nobody wrote before, SIZE a minute", Size: 1},
		{Kind: MoreWarnings, Text: "writes a known warning SIZE times as often", Size: 10},
		{Kind: NoHeartbeat, Text: "stops a line that comes every SIZE min", Size: 1, Sizes: []float64{0.5, 1, 5}},
		{Kind: Slow, Text: "takes SIZE times as long", Size: 2, Needs: requests},
		{Kind: SlowRoute, Text: "takes SIZE times as long on one route", Size: 4, Needs: requests},
		{Kind: MoreErrors, Text: "answers SIZE times as many requests with 5xx", Size: 3, Needs: requests},
		{Kind: RouteErrors, Text: "answers a share SIZE of one route's requests with 5xx", Size: 0.3, Most: 1, Severities: []string{busy, rare}, Needs: requests},
		{Kind: WrongField, Text: "gives another answer to a share SIZE of one route's requests", Size: 0.3, Most: 1, Severities: []string{"missing", "type", "status", "value"}, Needs: mirror},
		{Kind: Leak, Text: "grows its memory by a share SIZE of the usual, each minute", Size: 0.05, Most: 1, Needs: gauges},
		{Kind: CrashLoop, Text: "crashes every SIZE min", Size: 2},

		{Kind: Wording, Decoy: true, Text: "words a known line otherwise"},
		{Kind: StartLines, Decoy: true, Text: "writes SIZE more lines at its start", Size: 10, Most: 100, Severities: []string{"info", "debug", "warn"}},
		{Kind: Version, Decoy: true, Text: "says its own version in a known line"},
		{Kind: Keys, Decoy: true, Text: "writes structured lines with their keys in another order"},
		{Kind: NewInfo, Decoy: true, Text: "writes a harmless line that nobody wrote before, SIZE a minute", Size: 5},
		{Kind: Merge, Decoy: true, Text: "shows that two templates are one"},
		{Kind: ExtraField, Decoy: true, Text: "adds a field to its answers", Needs: mirror},
		{Kind: Fewer, Decoy: true, Text: "writes a known error SIZE times less often", Size: 10},
		{Kind: Incident, Decoy: true, Text: "meets trouble of the whole fleet, for SIZE min", Size: 10},
		{Kind: Lossy, Decoy: true, Text: "has SIZE of its lines a minute lost on the way", Size: 20},
		{Kind: OtherMix, Decoy: true, Text: "is asked for other routes than stable in a share SIZE of its requests", Size: 0.3, Most: 1, Needs: requests},
		{Kind: BrokenRoute, Decoy: true, Text: "has a route that always fails, as stable has, with a share SIZE of the requests", Size: 0.01, Most: 0.5, Needs: requests},
		{Kind: StrayClient, Decoy: true, Text: "is asked SIZE times in a minute, by one client, for what fails on every server", Size: 60, Needs: requests},
	}
}

// FaultOf gives what is to be known of a kind.
func FaultOf(kind Kind) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Kind == kind })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// mostSize bounds sizes that have no bound of their own, so that no rollout takes for ever.
const mostSize = 1000

// ParseChange reads a change as Change.String writes it, with spaces or hyphens: "new-line", "new line warn x5". Without a size it has the usual one.
func ParseChange(text string) (Change, error) {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == '-' || r == '_' })
	if len(words) == 0 {
		return Change{}, errors.New("it is empty")
	}
	var c Change
	sized := false
	if size, ok := strings.CutPrefix(words[len(words)-1], "x"); ok && len(words) > 1 {
		n, err := strconv.ParseFloat(size, 64)
		if err != nil {
			return Change{}, fmt.Errorf("%q is no size: write x3, or x0.5", "x"+size)
		}
		c.Size, sized, words = n, true, words[:len(words)-1]
	}
	about, ok := FaultOf(Kind(strings.Join(words, " ")))
	if last := len(words) - 1; !ok && last > 0 {
		if about, ok = FaultOf(Kind(strings.Join(words[:last], " "))); ok {
			c.Severity = words[last]
		}
	}
	if !ok {
		return Change{}, fmt.Errorf("there is no fault %q", strings.Join(words, "-"))
	}
	if c.Kind = about.Kind; !sized {
		c.Size = about.Size
	}
	return c, about.check(c, sized)
}

// check tells what is wrong with a change of the kind.
func (f Fault) check(c Change, sized bool) error {
	most := f.Most
	if most == 0 {
		most = mostSize
	}
	switch {
	case c.Severity != "" && !slices.Contains(f.Severities, c.Severity):
		if len(f.Severities) == 0 {
			return fmt.Errorf("%s has nothing like %q", f.Kind, c.Severity)
		}
		return fmt.Errorf("%s is %s, not %q", f.Kind, strings.Join(f.Severities, ", "), c.Severity)
	case sized && f.Size == 0:
		return fmt.Errorf("%s has no size", f.Kind)
	case f.Sizes != nil && !slices.Contains(f.Sizes, c.Size):
		return fmt.Errorf("the size of %s is one of %s", f.Kind, strings.Trim(fmt.Sprint(f.Sizes), "[]"))
	case sized && (!(c.Size > 0) || c.Size > most):
		return fmt.Errorf("the size of %s is over 0 and at most %g", f.Kind, most)
	}
	return nil
}

// Says words the change for people: what the candidate does.
func (c Change) Says() string {
	about, ok := FaultOf(c.Kind)
	if !ok {
		return c.String()
	}
	text := strings.ReplaceAll(about.Text, "SIZE", strconv.FormatFloat(c.Size, 'g', -1, 64))
	if len(about.Severities) > 0 {
		text += " (" + cmp.Or(c.Severity, about.Severities[0]) + ")"
	}
	return text
}
