package source

import (
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// hint reads what the team says in one comment (`segue: ...`); other comments are left alone.
func (r *reader) hint(into *migration.Hints, at migration.Position, comment string) {
	text, ours := strings.CutPrefix(comment, "segue:")
	if !ours {
		return
	}
	text = strings.TrimSpace(text)
	if rest, keeps := strings.CutPrefix(text, "keep "); keeps {
		r.keep(into, at, rest)
		return
	}
	for text != "" {
		var key, value string
		key, value, text = cutHint(text)
		switch key {
		case "phase":
			into.Phase = migration.Phase(value)
			switch into.Phase {
			case migration.PhaseExpand, migration.PhaseBackfill, migration.PhaseContract, migration.PhaseBreaking:
			default:
				r.fault(at, "write expand, backfill, contract or breaking", "%q is no phase", value)
			}
		case "after":
			after, ok := parseDuration(value)
			if !ok {
				r.fault(at, "write it like 7d, 12h or 30m", "%q is no time", value)
			}
			into.After = after
		case "assume-safe":
			into.AssumeSafe = true
		case "reason":
			into.Reason = value
		default:
			r.fault(at, "there are phase=, after=, assume-safe reason=\"...\" and keep COLUMN = EXPRESSION", "%q is not known after segue:", key)
		}
	}
	if into.AssumeSafe && into.Reason == "" {
		r.fault(at, "write assume-safe reason=\"...\"", "assume-safe without a reason")
	}
}

// keep reads `COLUMN = EXPRESSION`.
func (r *reader) keep(into *migration.Hints, at migration.Position, text string) {
	column, expr, ok := strings.Cut(text, "=")
	name := sqltext.Columns(r.dialect, column)
	if !ok || len(name) != 1 || strings.TrimSpace(expr) == "" {
		r.fault(at, "write: keep name = first_name || ' ' || last_name", "keep says no COLUMN = EXPRESSION")
		return
	}
	into.Keep = append(into.Keep, migration.Assignment{Column: name[0], Expr: strings.TrimSuffix(strings.TrimSpace(expr), ";")})
}

// cutHint takes one key, key=value or key="some value" from the beginning of a text.
func cutHint(text string) (key, value, rest string) {
	end := strings.IndexAny(text, "= \t")
	if end < 0 {
		return text, "", ""
	}
	key, rest = text[:end], text[end:]
	if rest[0] != '=' {
		return key, "", strings.TrimSpace(rest)
	}
	rest = rest[1:]
	if inside, quoted := strings.CutPrefix(rest, `"`); quoted {
		value, rest, _ = strings.Cut(inside, `"`)
		return key, value, strings.TrimSpace(rest)
	}
	value, rest, _ = strings.Cut(rest, " ")
	return key, value, strings.TrimSpace(rest)
}

// parseDuration reads Go's durations, and d and w for days and weeks.
func parseDuration(text string) (time.Duration, bool) {
	units := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for unit, length := range units {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseFloat(number, 64)
			return time.Duration(n * float64(length)), err == nil && n >= 0
		}
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
