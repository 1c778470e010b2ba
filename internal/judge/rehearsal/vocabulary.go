package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// kind is a kind of log line: its words, and how often a server says it.
type kind struct {
	id, severity, logger string
	// format has {{name}} where something varies.
	format string
	// rate is in events per minute at the mean of the day, period in minutes for what comes by the clock. With neither it comes by an occasion.
	rate, period float64
	// lines an event writes.
	lines int
	trace bool
}

// text is the kind as a template.
func (k kind) text() string {
	var out strings.Builder
	for rest := k.format; ; {
		before, after, found := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString("<*>")
		_, rest, _ = strings.Cut(after, "}}")
	}
}

// vocabulary is all that a service can say, and what of it changes work on.
type vocabulary struct {
	kinds []kind
	// common are the kinds with rates, the first so many.
	common int
	hearts []int
	starts []int
	// warning, failure and info are known kinds of their severity; pair are two infos that are one.
	warning, failure, info int
	pair                   [2]int
	crash                  int
	// fresh are the kinds of changes, by their place in World.Changes.
	fresh map[int][]int
}

// subjects, verbs and tails make sentences that differ in at least two words.
func subjects() []string {
	return []string{
		"order", "payment", "invoice", "session", "cart", "customer", "shipment", "inventory", "coupon", "refund", "token", "mailbox",
		"report", "thumbnail", "subscription", "ledger", "webhook", "replica", "partition", "checkpoint", "upload", "voucher", "profile",
		"schedule", "tenant", "certificate", "queue", "lease", "snapshot", "basket",
	}
}

func verbs(severity string) []string {
	switch severity {
	case "error":
		return []string{"rejected", "failed", "corrupted", "unreachable", "aborted", "refused", "overflowed", "expired unexpectedly"}
	case "warn":
		return []string{"delayed", "retried", "degraded", "throttled", "stale", "nearly full", "slow", "duplicated"}
	case "debug":
		return []string{"looked up", "compared", "serialized", "locked", "visited", "hashed", "polled", "unlocked"}
	}
	return []string{"accepted", "stored", "shipped", "archived", "refreshed", "published", "assigned", "closed", "created", "synchronized", "delivered", "renewed"}
}

func shapes() []string {
	return []string{
		"%s {{int}} %s by {{user}}",
		"%s %s in {{dur}}",
		"could see %s {{uuid}} %s at {{url}}",
		"[{{int}}] %s was %s, {{int}} of {{int}} items left",
		"%s id={{hex}} %s size={{size}}",
		"while handling %s: %s (code {{int}})",
		"%s %s: {{list}}",
		"%s for {{ip}} %s after {{int}} tries, waited {{dur}}",
		"Batch of %s entries %s from {{path}}",
		"%s %s",
		"{{email}}: %s %s",
		"ratio {{float}} of %s became %s on {{host}} (release {{version}})",
	}
}

// newVocabulary draws what the service says.
func newVocabulary(w World) *vocabulary {
	r := w.random("vocabulary", 0)
	v := &vocabulary{fresh: map[int][]int{}}
	rare := min(100, w.Templates/3)
	sentences := newSentences(r)
	zipf := 0.0
	for i := range w.Templates - rare {
		zipf += 1 / float64(i+1)
	}
	for i := range w.Templates {
		severity := [...]string{"info", "info", "debug", "info", "warn", "info", "error", "info", "debug", "info"}[i%10]
		k := sentences.next(severity)
		k.rate, k.lines = 1.0/600, w.Burst
		if i < w.Templates-rare {
			k.rate = w.LogRate / float64(w.Burst) / zipf / float64(i+1)
		}
		v.add(k)
	}
	v.common = len(v.kinds)
	v.warning, v.failure, v.info, v.pair = 4, 6, 3, [2]int{5, 7}
	for _, minutes := range []float64{0.5, 1, 5} {
		k := sentences.next("info")
		k.format, k.period, k.lines = "heartbeat "+k.format, minutes, 1
		v.hearts = append(v.hearts, v.add(k))
	}
	for i := range 12 {
		severity := "info"
		if i == 7 {
			severity = "warn"
		}
		k := sentences.next(severity)
		k.format, k.lines = "Starting: "+k.format, 1
		v.starts = append(v.starts, v.add(k))
	}
	k := sentences.next("fatal")
	k.trace = true
	v.crash = v.add(k)
	v.change(w, sentences)
	return v
}

// change adds the kinds that changes bring.
func (v *vocabulary) change(w World, sentences *sentences) {
	for i, c := range w.Changes {
		n, severity := 0, "info"
		switch c.Kind {
		case NewLine, StackTrace, Incident:
			n, severity = 1, "error"
		case NewInfo, Wording:
			n = 1
		case StartLines:
			n = max(1, int(c.Size))
		default:
		}
		if c.Severity != "" {
			severity = c.Severity
		}
		for range n {
			k := sentences.next(severity)
			k.trace = c.Kind == StackTrace
			k.lines = 1
			v.fresh[i] = append(v.fresh[i], v.add(k))
		}
	}
}

func (v *vocabulary) add(k kind) int {
	k.id = fmt.Sprintf("%016x", hash(k.severity+k.format))
	v.kinds = append(v.kinds, k)
	return len(v.kinds) - 1
}

// sentences gives ever new ones.
type sentences struct {
	*rand.Rand
	said   map[string]bool
	number int
}

func newSentences(r *rand.Rand) *sentences { return &sentences{Rand: r, said: map[string]bool{}} }

func (s *sentences) next(severity string) kind {
	all := shapes()
	for {
		s.number++
		subject, verb := subjects()[s.IntN(len(subjects()))], verbs(severity)
		format := fmt.Sprintf(all[s.number%len(all)], subject, verb[s.IntN(len(verb))])
		// Two words apart at least: a miner that takes half of the words for the sentence would rightly call them one.
		if s.number > 20*len(all)*len(all) {
			format = fmt.Sprintf("%s stage%c%c", format, 'a'+rune(s.IntN(26)), 'a'+rune(s.IntN(26)))
		}
		key := severity + strings.Join(slices.DeleteFunc(strings.Fields(format), func(f string) bool { return strings.Contains(f, "{{") }), " ")
		if !s.said[key] {
			s.said[key] = true
			return kind{severity: severity, logger: subject, format: format}
		}
	}
}
