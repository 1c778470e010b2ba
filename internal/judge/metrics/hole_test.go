package metrics

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// TestLogsAloneAreNoHistory: the time in which logs were read and no answer was counted does not make servers' habits known.
func TestLogsAloneAreNoHistory(t *testing.T) {
	t.Parallel()
	for window := range (rehearsal.World{Seed: 1, Servers: 2, History: 40 * time.Minute, Length: time.Minute}).Windows() {
		before := append([]judge.Evidence(nil), window.Before...)
		if h := newHistory(before); h.length != 40*time.Minute {
			t.Errorf("history is %s, want 40 min", h.length)
		}
		for i := range before[:30] {
			rows := make([]judge.ServerEvidence, 0, len(before[i].Servers))
			for _, row := range before[i].Servers {
				rows = append(rows, judge.ServerEvidence{Server: row.Server, Release: row.Release, LogsRead: true, Logs: row.Logs})
			}
			before[i].Servers = rows
		}
		var mine, others side
		mine.names, others.names = append(mine.names, before[0].Servers[0].Server), append(others.names, before[0].Servers[1].Server)
		if h := newHistory(before); h.length != 10*time.Minute || h.knows(mine, others) {
			t.Errorf("history with 10 min of answers is %s, and knows servers: %t", h.length, h.knows(mine, others))
		}
		return
	}
}
