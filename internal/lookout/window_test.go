package lookout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
)

// TestRememberLeavesTheWindow remembers two windows of a minute, each of which is put to another use afterwards, as trials do. And a minute that was
// watched in part stands for that part.
func TestRememberLeavesTheWindow(t *testing.T) {
	t.Parallel()
	l := lookout.New(lookout.Options{})
	minute := time.Now().Truncate(time.Minute).Add(-10 * time.Minute)
	for _, from := range []time.Duration{10 * time.Second, 20 * time.Second, 45 * time.Second} {
		window := judge.Evidence{
			Since: minute.Add(from), Until: minute.Add(from + 10*time.Second),
			Servers: []judge.ServerEvidence{{Server: "web-1", Release: "v1", Requests: 5}},
		}
		l.Remember(window)
		window.Servers[0].Release = "placebo"
	}
	type slice struct {
		Length   time.Duration
		Requests int64
	}
	var got []slice
	for _, e := range l.Past(time.Now(), nil) {
		got = append(got, slice{e.Length(), e.Servers[0].Requests})
	}
	if differ := cmp.Diff([]slice{{20 * time.Second, 10}, {10 * time.Second, 5}}, got); differ != "" {
		t.Errorf("the past (-want +got):\n%s", differ)
	}
}

// TestSumAddsWhatIsCounted adds two windows of a server: counts add up, by route too, and what only one of them knows stays.
func TestSumAddsWhatIsCounted(t *testing.T) {
	t.Parallel()
	type counts = map[string]int64
	window := func(row judge.ServerEvidence) judge.Evidence {
		row.Server, row.Release = "web-1", "v1"
		return judge.Evidence{Servers: []judge.ServerEvidence{row}}
	}
	sum := lookout.Sum(
		window(judge.ServerEvidence{Requests: 5, Errors: 1, Mirrored: 2, Routes: counts{"GET /": 4, "GET /a": 1}, RouteErrors: counts{"GET /a": 1}}),
		window(judge.ServerEvidence{Requests: 3, Errors: 2, Mirrored: 1, Routes: counts{"GET /": 3}, RouteErrors: counts{"GET /": 2}}),
	)
	want := window(judge.ServerEvidence{
		Requests: 8, Errors: 3, Mirrored: 3, Routes: counts{"GET /": 7, "GET /a": 1}, RouteErrors: counts{"GET /": 2, "GET /a": 1},
	})
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
}
