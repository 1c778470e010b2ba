package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/receipt"
)

// plural gives "1 server", "4 servers".
func plural[N ~int | ~int64](n N, noun string) string {
	text := count(int64(n)) + " " + noun
	if n == 1 {
		return text
	}
	return text + "s"
}

// count groups thousands: 12,345.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// span writes a duration as the receipt does: "180 ms", "4.2 s", "3 min 20 s". Whole seconds, which somebody has set, have no fraction.
func span(d time.Duration) string {
	if d > 0 && d < 10*time.Second && d%time.Second == 0 {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return receipt.Seconds(d).String()
}

// clock writes a running time without fractions, so that a live line does not flicker: "0 s", "41 s", "3 min 20 s".
func clock(d time.Duration) string { return span(max(0, d.Truncate(time.Second))) }

// stamp is a time of day, in the reader's zone.
func stamp(at time.Time) string { return at.Local().Format("15:04:05") }

// moment is a date and a time of day, in the reader's zone.
func moment(at time.Time) string {
	if at.IsZero() {
		return "–"
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// orNone stands for a release that is none.
func orNone(release segue.ReleaseName) string {
	if release == "" {
		return "nothing"
	}
	return string(release)
}

// journey is "v1 → v2", or "v1" alone for a first deploy.
func journey(paint palette, from, to segue.ReleaseName) string {
	if from == "" || from == to {
		return paint.candidate(string(to))
	}
	return paint.stable(string(from)) + " → " + paint.candidate(string(to))
}

// names lists things of a kind, the first few of many.
func names[N ~string](all []N) string {
	const most = 6
	texts := make([]string, 0, most+1)
	for i, name := range all {
		if i == most && len(all) > most+1 {
			texts = append(texts, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		texts = append(texts, string(name))
	}
	return strings.Join(texts, ", ")
}

// figure writes a finding's number in its unit.
func figure(value float64, unit string) string {
	switch unit {
	case "share":
		return fmt.Sprintf("%.2f %%", 100*value)
	case "ms":
		return span(time.Duration(value * float64(time.Millisecond)))
	case "", "count":
		return strconv.FormatFloat(value, 'g', 4, 64)
	default:
		return strconv.FormatFloat(value, 'g', 4, 64) + " " + unit
	}
}
