package receipt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

// Headline is the receipt in one line: "web v1 → v2: done in 41 s, 12,480 requests, 0 failed, 20 of 20 sessions kept".
func (r Receipt) Headline() string {
	var b strings.Builder
	b.WriteString(r.title())
	if r.Outcome.Over() {
		fmt.Fprintf(&b, ": %s %s", r.outcomeWord(), r.Duration)
	} else {
		fmt.Fprintf(&b, ": %s, %s so far", r.outcomeWord(), r.Duration)
	}
	if r.Traffic == nil {
		b.WriteString(", requests not measured")
	} else {
		fmt.Fprintf(&b, ", %s, %s failed", plural(r.Traffic.Requests, "request"), count(r.Traffic.Failed))
	}
	if w := r.Witness; w != nil && w.Users > 0 {
		fmt.Fprintf(&b, ", %s of %s kept", count(int64(w.SessionsKept)), plural(int64(w.Users), "session"))
	}
	return b.String()
}

// title names what went where: "web v1 → v2".
func (r Receipt) title() string {
	text := string(r.Service)
	if text == "" {
		text = "rollout " + r.Rollout.String()
	}
	if r.From != "" && r.From != r.To {
		text += " " + string(r.From) + " →"
	}
	if r.To != "" {
		text += " " + string(r.To)
	}
	return text
}

// outcomeWord says where it stands; for one that is over, it leads up to the duration.
func (r Receipt) outcomeWord() string {
	switch r.Outcome {
	case segue.PhaseSucceeded:
		return "done in"
	case segue.PhaseRolledBack:
		return "rolled back after"
	case segue.PhaseMixed:
		return "ended mixed after"
	case segue.PhaseProgressing:
		return "under way"
	case segue.PhaseHeld:
		return "held for a person"
	case segue.PhaseRollingBack:
		return "rolling back"
	default:
		return string(r.Outcome)
	}
}

// Failed counts all that users noticed as broken: failed requests as the balancer counted them, or, where it counted nothing, as the witness did.
func (r Receipt) Failed() (n int64, measured bool) {
	switch {
	case r.Traffic != nil:
		return r.Traffic.Failed, true
	case r.Witness != nil:
		return r.Witness.Failed, true
	}
	return 0, false
}

// clean says whether nothing at all went wrong for users.
func (r Receipt) clean() bool {
	n, measured := r.Failed()
	if !measured || n > 0 || r.Traffic != nil && r.Traffic.Long.Cut > 0 {
		return false
	}
	w := r.Witness
	return w == nil || w.SessionsLost == 0 && w.Failed == 0 && w.Writes.Lost == 0 && w.Writes.Doubled == 0 && w.Sockets.Cut == 0 && w.Problem == ""
}

// count writes a number with thousands separated.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && digit != '-' && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

func plural(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return count(n) + " " + noun
}
