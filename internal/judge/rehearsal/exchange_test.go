package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/judge/responses"
)

// answered is a world whose answers are compared, with a change by name.
func answered(t *testing.T, seed uint64, change string) rehearsal.World {
	t.Helper()
	w := rehearsal.World{Seed: seed, Servers: 3, Mirror: 0.2, Length: 3 * time.Minute, History: time.Minute, Templates: 30, Restarts: -1}
	if change != "none" {
		c, err := rehearsal.ParseChange(change)
		if err != nil {
			t.Fatal(err)
		}
		w.Changes = append(w.Changes, c)
	}
	return w
}

// judged is what the judge of answers makes of what comparing finds.
func judged(w rehearsal.World) segue.Ruling {
	j, ruling := responses.New(0.01), segue.RulingInconclusive
	window := judge.Evidence{Stable: rehearsal.Stable, Candidate: rehearsal.Candidate}
	weigh := func() {
		if ruling != segue.RulingFail && len(window.Answers) > 0 {
			ruling = segue.Combine(window.Until, j.Weigh(window)).Ruling
		}
	}
	for row := range w.Compared() {
		if !row.Until.Equal(window.Until) {
			weigh()
			window.Since, window.Until, window.Answers = row.Since, row.Until, nil
		}
		window.Answers = append(window.Answers, row.AnswerCount)
	}
	weigh()
	return ruling
}

// Answers in words, taken apart by the product, give what the judges ought to say of each change.
func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]segue.Ruling{
		"none": segue.RulingPass, "slow-x2": segue.RulingPass, "extra-field": segue.RulingPass,
		"wrong-field-missing-x0.3": segue.RulingFail, "wrong-field-type-x0.3": segue.RulingFail, "wrong-field-status-x0.3": segue.RulingFail,
		"wrong-field-value-x0.3": segue.RulingHold, "route-errors-x0.3": segue.RulingFail,
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				got := judged(answered(t, seed, change))
				if got != want && (want != segue.RulingPass || got != segue.RulingInconclusive) {
					t.Errorf("seed %d: %s, want %s", seed, got, want)
				}
			}
		})
	}
}

// A slower candidate answers the same, later, on that route alone.
func TestAnswersTellWhatIsSlower(t *testing.T) {
	t.Parallel()
	medians := func(change string) (route, rest float64) {
		var slow, other [2][]float64
		for x := range answered(t, 7, change).Exchanges() {
			into := &other
			if responses.RouteOf(x.Method, x.Path) == "GET /orders/{id}" {
				into = &slow
			}
			into[0], into[1] = append(into[0], x.Primary.TookMS), append(into[1], x.Candidate.TookMS)
		}
		middle := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
		return middle(slow[1]) / middle(slow[0]), middle(other[1]) / middle(other[0])
	}
	usual, alike := medians("none")
	slow, others := medians("slow-route-x4")
	if slow < 3*usual || others > 1.3*alike {
		t.Errorf("the route takes %.2f times as long as stable, and %.2f without the change; the others %.2f and %.2f", slow, usual, others, alike)
	}
}

// What is written is read again, says the same each time, and is there only where two stable servers are.
func TestAnswersRepeatThemselves(t *testing.T) {
	t.Parallel()
	w := answered(t, 3, "wrong-field-x0.5")
	all := slices.Collect(w.Exchanges())
	if len(all) < 500 {
		t.Fatalf("%d exchanges in three minutes", len(all))
	}
	last, next := time.Time{}, 0
	for same := range w.Exchanges() {
		x := all[next]
		next++
		text, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := json.Marshal(same); err != nil || !bytes.Equal(text, now) {
			t.Fatalf("first %s, then %s, %v", text, now, err)
		}
		var again rehearsal.Exchange
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(x.Triple(), again.Triple()) {
			t.Fatalf("%+v is read again as %+v", x, again)
		}
		if x.At.Before(last) || x.Primary.Server == x.Secondary.Server || x.Candidate.Release != rehearsal.Candidate || x.Primary.Release != rehearsal.Stable {
			t.Fatalf("%s: %+v", last, x)
		}
		last = x.At
	}
	for range w.Exchanges() {
		break // who wants no more is not answered
	}
	for range w.Compared() {
		break
	}
	w.Servers = 2
	if n := len(slices.Collect(w.Exchanges())); n > 0 {
		t.Errorf("%d exchanges with one stable server", n)
	}
}
