package lookout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
)

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
