package lookout_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/lookout"
)

// undated are styles of logs whose lines do not say when they were written, or not in a form that is read.
func undated() []string {
	return []string{"dotnet", "kernel", "klog", "log4j", "syslog", "journal", "apache"}
}

// said gives how many events each server said in each minute, or -1 where its output was not read.
func said(past []judge.Evidence, since time.Time, minutes, servers int) [][]int64 {
	all := make([][]int64, minutes)
	for i := range all {
		all[i] = slices.Repeat([]int64{-1}, servers)
		at := slices.IndexFunc(past, func(e judge.Evidence) bool { return e.Since.Equal(since.Add(time.Duration(i) * time.Minute)) })
		if at < 0 {
			continue
		}
		for k, row := range past[at].Servers {
			if row.LogsRead {
				all[i][k] = 0
				for _, n := range row.Logs {
					all[i][k] += n.Events
				}
			}
		}
	}
	return all
}

// TestWhatNobodyWatchedIsReadBack ends a lookout for five minutes. What was written meanwhile is known again where lines say when they were written,
// to the line; where they do not, these minutes were not watched, which is not that nothing was said. And so it is where nobody ever watched.
func TestWhatNobodyWatchedIsReadBack(t *testing.T) {
	t.Parallel()
	const minutes, leaves, back = 20, 7, 12
	for _, style := range rehearsal.Styles() {
		synctest.Test(t, func(t *testing.T) {
			world := rehearsal.World{Seed: 3, Servers: 2, History: minutes * time.Minute, Length: time.Minute, Restarts: -1, Templates: 80, LogRate: 90, Style: style.Name}
			began := time.Now()
			world.Start = began.Add(world.History).UTC()
			f := newFleet(world)
			instances := f.watched()
			speaking, silence := context.WithCancel(t.Context())
			defer silence()
			go f.speak(speaking)
			always, stop := f.watch(t, "", false, instances)
			defer stop()
			file := filepath.Join(t.TempDir(), "web.jsonl.gz")
			_, leave := f.watch(t, file, false, instances)
			wait := func(minute int) {
				<-time.After(time.Until(began.Add(time.Duration(minute) * time.Minute)))
				synctest.Wait()
			}
			wait(leaves)
			leave()
			wait(back)
			forgetful, stop2 := f.watch(t, file, false, instances)
			defer stop2()
			again, stop3 := f.watch(t, file, true, instances)
			defer stop3()
			wait(minutes)
			late, stop4 := f.watch(t, "", true, instances)
			defer stop4()
			synctest.Wait()
			past := func(l *lookout.Lookout) [][]int64 {
				var servers []judge.ServerEvidence
				for _, name := range f.servers {
					servers = append(servers, judge.ServerEvidence{Server: name})
				}
				return said(l.Past(time.Now(), servers), began, minutes, len(servers))
			}
			dated := !slices.Contains(undated(), style.Name)
			truth, holed, whole, all := past(always), past(forgetful), past(again), past(late)
			for i := range minutes {
				for k := range f.servers {
					away := i >= leaves && i < back
					if truth[i][k] < 1 {
						t.Fatalf("%s: server %d has %d events in minute %d", style.Name, k, truth[i][k], i)
					}
					for _, each := range []struct {
						who   string
						knows int64
						is    bool
					}{
						{"without times", holed[i][k], !away},
						{"with times", whole[i][k], !away || dated},
						// The time before the first line is not known of.
						{"who comes at the end", all[i][k], dated && i > 0},
					} {
						switch {
						case each.is && each.knows != truth[i][k]:
							t.Errorf("%s, %s: server %d has %d events in minute %d, want %d", style.Name, each.who, k, each.knows, i, truth[i][k])
						case !each.is && each.knows != -1 && (i > 0 || each.knows != truth[i][k]):
							t.Errorf("%s, %s: server %d has %d events in minute %d, which nobody knows of", style.Name, each.who, k, each.knows, i)
						}
					}
				}
			}
		})
	}
}
