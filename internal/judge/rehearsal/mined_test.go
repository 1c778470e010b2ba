package rehearsal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// The long way through text counts what the short way does; what is told apart may differ.
func TestMinedSaysWhatWindowsSay(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"json", "jvm", "syslog 5424", "logfmt"} {
		w := rehearsal.World{
			Seed: 11, Style: style, Servers: 3, Templates: 60, History: 10 * time.Minute, Length: 5 * time.Minute, Mirror: 0.1, Restarts: -1,
			Changes: []rehearsal.Change{{Kind: rehearsal.NewLine, Size: 12}, {Kind: rehearsal.Keys}, {Kind: rehearsal.Version}},
		}
		windows, mined := slices.Collect(w.Windows()), slices.Collect(w.Mined())
		if len(windows) != len(mined) {
			t.Fatalf("%s: %d windows, %d mined", style, len(windows), len(mined))
		}
		kinds, templates, most := 0, 0, int64(0)
		for i := range windows {
			a, b := events(windows[i]), events(mined[i])
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s: events until %s (-windows +mined):\n%s", style, windows[i].Until, diff)
			}
			for _, part := range append(windows[i].Before, windows[i]) {
				kinds += len(part.Templates)
			}
			for _, part := range append(mined[i].Before, mined[i]) {
				templates += len(part.Templates)
				for _, one := range part.Templates {
					most = max(most, one.Born)
				}
			}
		}
		if templates < kinds*9/10 || templates > kinds*11/10 || most < int64(templates) {
			t.Errorf("%s: %d templates of %d kinds of lines, the last is number %d", style, templates, kinds, most)
		}
		judges := func() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }
		s := judgetest.Scenario{Name: "new line", World: w}
		long, short := judgetest.RunWindows(judges, s, slices.Values(mined)), judgetest.Run(judges, s)
		if long.Ruling != short.Ruling || long.After != short.After {
			t.Errorf("%s: %s after %s by text, %s after %s without", style, long.Ruling, long.After, short.Ruling, short.After)
		}
	}
}

// events counts what each server logged in each part of a window.
func events(e judge.Evidence) map[string]int64 {
	sums := map[string]int64{}
	for _, part := range append(slices.Clone(e.Before), e) {
		for _, s := range part.Servers {
			for _, n := range s.Logs {
				sums[part.Until.Format(time.TimeOnly)+" "+string(s.Server)] += n.Events
			}
		}
	}
	return sums
}
