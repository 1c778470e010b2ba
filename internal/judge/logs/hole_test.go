package logs

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// verdicts are what a judge says of a rollout, window by window, with a past that was changed.
func verdicts(world rehearsal.World, change func([]judge.Evidence) []judge.Evidence) [][]segue.Finding {
	j := New(Config{})
	var all [][]segue.Finding
	for window := range world.Windows() {
		if window.Before != nil {
			window.Before = change(window.Before)
		}
		all = append(all, j.Weigh(window))
	}
	return all
}

// TestWhatNobodyReadIsNoSilence: slices of history in which output was not read change nothing, wherever they stand.
func TestWhatNobodyReadIsNoSilence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		world := rehearsal.World{
			Seed: seed, Servers: 3, History: 30 * time.Minute, Length: 10 * time.Minute, Restarts: -1, Templates: 100,
			Changes: []rehearsal.Change{{Kind: rehearsal.MoreWarnings, Size: 4}, {Kind: rehearsal.NoHeartbeat}},
		}
		whole := verdicts(world, func(before []judge.Evidence) []judge.Evidence { return before })
		holed := verdicts(world, func(before []judge.Evidence) []judge.Evidence {
			for i := 25; i > 0; i -= 3 {
				unread := before[i]
				unread.Templates, unread.Servers = nil, slices.Clone(unread.Servers)
				for k := range unread.Servers {
					unread.Servers[k].Logs, unread.Servers[k].LogsRead = nil, false
				}
				before = slices.Insert(before, i, unread)
			}
			return before
		})
		if differ := cmp.Diff(whole, holed); differ != "" {
			t.Errorf("seed %d (-without +with slices that were not read):\n%.2000s", seed, differ)
		}
	}
}

// TestABlockHasNoHole: minutes that are not next to each other are no block of time, and say nothing of what comes by the clock.
func TestABlockHasNoHole(t *testing.T) {
	t.Parallel()
	said := []minute{{slice: 0, units: 1, events: 1}, {slice: 2, units: 1, events: 1}, {slice: 4, units: 1, events: 1}}
	read := slices.Repeat([]bool{true}, 6)
	blocks, empty, _ := regularity(said, read, []bool{false, true, true, true, true, true}, 2)
	if blocks != 3 || empty != 0 {
		t.Errorf("%v blocks, %v of them empty, want 3 and none", blocks, empty)
	}
	blocks, _, _ = regularity(said, read, []bool{false, true, true, false, true, true}, 2)
	if blocks != 2 {
		t.Errorf("%v blocks around a hole, want 2", blocks)
	}
}

// TestCountsAreOfWhatWasRead: of the slices in which one server alone was not read, its counts say nothing.
func TestCountsAreOfWhatWasRead(t *testing.T) {
	t.Parallel()
	row := func(name segue.ServerName, read bool) judge.ServerEvidence {
		return judge.ServerEvidence{Server: name, LogsRead: read}
	}
	kept, read := readSlices([]judge.Evidence{
		{Servers: []judge.ServerEvidence{row("a", true), row("b", true)}},
		{Servers: []judge.ServerEvidence{row("a", false), row("b", false)}},
		{Servers: []judge.ServerEvidence{row("a", false), row("b", true)}},
	})
	at := func(slice int) float64 { return float64(7 * slice) }
	if differ := cmp.Diff([][]float64{{0}, {0, 7}}, [][]float64{read.counts("a", at), read.counts("b", at)}); differ != "" || len(kept) != 2 {
		t.Errorf("%d slices, counts (-want +got):\n%s", len(kept), differ)
	}
}
