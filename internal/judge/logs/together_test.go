package logs_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

// From raw lines to findings, looked at every second: the candidate says what all say, what it says at its start, and an error of its own.
func TestTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, began := logs.NewGatherer(), time.Now()
		outputs := map[segue.ServerName]output{}
		names := []segue.ServerName{"web-1", "web-2", "web-3", "web-4"}
		for _, name := range names {
			outputs[name] = follow(g, name, "old")
		}
		var replaced time.Time
		second := func(i int) {
			for k, name := range names {
				outputs[name].say(t, "%s INFO handled order %d of customer-%d in %d ms", time.Now().Format(time.RFC3339), i, i*k, i%97)
				if i%10 == k {
					outputs[name].say(t, "INFO tick from %s", name)
				}
				if (i+7*k)%45 == 0 {
					outputs[name].say(t, "ERROR cannot reach 10.0.%d.%d: timeout", k, i%256)
				}
			}
			if !replaced.IsZero() && i%25 == 0 {
				for range 3 {
					outputs["web-1"].say(t, "level=error msg=\"coupon %d has no total\" request=%d", i, i)
				}
			}
			<-time.After(time.Second)
		}
		for i := range 20 * 60 {
			second(i)
		}
		servers := func() (rows []judge.ServerEvidence) {
			for _, name := range names {
				row := judge.ServerEvidence{Server: name, Release: "v1", Started: began.Add(-time.Hour), Ready: true}
				if name == "web-1" && !replaced.IsZero() {
					row.Release, row.Started = "v2", replaced
				}
				rows = append(rows, row)
			}
			return rows
		}
		before := g.Begin(time.Time{}, time.Now(), servers())
		outputs["web-1"].say(t, "ERROR old release cut short")
		outputs["web-1"].end(t)
		replaced = time.Now()
		outputs["web-1"] = follow(g, "web-1", "new")
		outputs["web-1"].say(t, "INFO loading coupons, a thing that only v2 does")
		j := logs.New(logs.Config{})
		var found segue.Finding
		for i := 0; i < 6*60 && found.Text == ""; i++ {
			since := time.Now()
			second(20*60 + i)
			window := judge.Evidence{Service: "web", Stable: "v1", Candidate: "v2", Since: since, Until: time.Now(), Servers: servers(), Before: before}
			g.Fill(&window)
			before = nil
			for _, f := range j.Weigh(window) {
				if f.Ruling == segue.RulingFail {
					found = f
				}
				if f.Severity == "error" && f.Text != "" && f.Counts["web-2"] > 0 {
					t.Fatalf("a known error counts: %+v", f)
				}
			}
		}
		if found.Fingerprint == "" || found.Server != "web-1" || found.Severity != "error" || found.Counts["web-1"] < 4 || found.Counts["web-2"] != 0 {
			t.Errorf("found: %+v", found)
		}
		took := time.Since(replaced)
		if took > 4*time.Minute {
			t.Errorf("found after %s only", took)
		}
		t.Logf("found after %s: %s", took, fmt.Sprint(found.Text, found.Evidence, found.Threshold, found.Counts))
		for _, o := range outputs {
			o.end(t)
		}
	})
}
