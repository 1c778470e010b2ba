package logs

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
)

func TestStampOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 15, 4, 5, 123_000_000, time.UTC)
	whole := at.Truncate(time.Second)
	for line, want := range map[string]stamp{
		`{"time":"2026-01-02T15:04:05.123Z","level":"INFO"}`:             {at, true},
		`{"level":"info","ts":1767366245.123,"msg":"x"}`:                 {at, true},
		`{"level":30,"time":1767366245123,"msg":"x"}`:                    {at, true},
		`{"@timestamp": "2026-01-02T16:04:05.123+01:00"}`:                {at, true},
		`{"msg":"of 2026-01-02T15:04:05Z"}`:                              {},
		`time=2026-01-02T10:04:05.123-05:00 level=INFO`:                  {at, true},
		`level=info ts=2026-01-02T15:04:05.123Z`:                         {at, true},
		`2026-01-02 15:04:05,123 - shop - INFO - x`:                      {at, false},
		`2026/01/02 15:04:05 [error] 7#7: x`:                             {whole, false},
		`[2026-01-02T15:04:05Z] [INFO] x`:                                {whole, true},
		`2026-01-02 15:04:05.123 UTC [12] LOG:  x`:                       {at, true},
		`2026-01-02T20:34:05.123+0530 x`:                                 {at, true},
		`I, [2026-01-02T15:04:05.123000 #7]  INFO -- : x`:                {at, false},
		`10.0.0.7 - - [02/Jan/2026:10:04:05 -0500] "GET / HTTP/1.1" 200`: {whole, true},
		`<134>1 2026-01-02T15:04:05.123Z web-1 shop 7 - - INFO: x`:       {at, true},
		`12026-01-02 15:04:05 x`:                                         {},
		`2026-13-02 15:04:05 x`:                                          {},
		`at com.example.Shop.sell(Shop.java:12)`:                         {},
		``:                                                               {},
	} {
		got := stampOf([]byte(line))
		if got.zoned != want.zoned || got.at.Sub(want.at).Abs() > time.Microsecond {
			t.Errorf("%s: %s (zone known: %t), want %s (%t)", line, got.at.UTC(), got.zoned, want.at, want.zoned)
		}
	}
}

// TestRecallBelievesHonestTimesAlone: lines of which the times cannot be right say nothing of the past, and neither do lines without.
func TestRecallBelievesHonestTimesAlone(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	lines := func(n int, line func(at time.Time) string) string {
		var text strings.Builder
		for i := range n {
			text.WriteString(line(opened.Add(time.Duration(i-n)*10*time.Second)) + "\n")
		}
		return text.String()
	}
	honest := func(at time.Time) string { return at.Format(time.RFC3339) + " INFO all is well" }
	for _, each := range []struct {
		name, text string
		since      time.Duration // before it was opened, 0 for nothing
	}{
		{"honest", lines(100, honest), 1000 * time.Second},
		{"more than an hour", lines(1000, honest), time.Hour},
		{"nothing", "", 0},
		{"no times", lines(100, func(time.Time) string { return "INFO all is well" }), 0},
		{"a zone that is wrong", lines(100, func(at time.Time) string { return honest(at.Add(-time.Hour)) }), 0},
		{"a clock that is ahead", lines(100, func(at time.Time) string { return honest(at.Add(time.Minute)) }), 0},
		{"the same time always", lines(100, func(time.Time) string { return honest(opened.Add(-time.Hour)) }), 0},
		{"a stack trace after each", lines(100, func(at time.Time) string {
			return honest(at) + "\npanic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1"
		}), 1000 * time.Second},
		{"times now and then", lines(100, func(at time.Time) string {
			if at.Second() == 0 && at.Minute()%5 == 0 {
				return honest(at)
			}
			return "INFO all is well"
		}), 0},
		{"times out of order", lines(100, func(at time.Time) string {
			return honest(opened.Add(-time.Duration(at.Second()+1) * 40 * time.Second))
		}), 0},
		{"output that was dropped", lines(50, honest) + "[segue: 17 bytes of output dropped here: no room for the log]\n" + lines(20, honest), 200 * time.Second},
		{"a line that is still being written", lines(100, honest) + opened.Add(-time.Second).Format(time.RFC3339) + " INFO all", 1000 * time.Second},
	} {
		g := NewGatherer()
		output := Output{Server: "web-1", Instance: "1", Name: "output"}
		since, err := g.Recall(output, strings.NewReader(each.text), opened)
		if err != nil {
			t.Errorf("%s: %v", each.name, err)
		}
		if each.since == 0 && !since.IsZero() || each.since != 0 && !since.Equal(opened.Add(-each.since)) {
			t.Errorf("%s: known since %s, want %s before %s", each.name, since, each.since, opened)
		}
		for _, minute := range g.Begin(time.Time{}, opened, []judge.ServerEvidence{{Server: "web-1"}}) {
			if minute.Since.Before(since) || minute.Servers[0].LogsLost > 0 {
				t.Errorf("%s: minute of %s: %+v", each.name, minute.Since, minute.Servers[0])
			}
		}
	}
}
