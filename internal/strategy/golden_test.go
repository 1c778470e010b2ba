package strategy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/strategy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (-update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// TestGolden keeps the text of one plan per kind of fleet and service.
func TestGolden(t *testing.T) {
	for name, request := range goldenRequests() {
		t.Run(name, func(t *testing.T) {
			plan, err := strategy.Plan(request)
			if err != nil {
				golden(t, name, "error ("+segue.KindOf(err).String()+"): "+err.Error()+"\nhint: "+segue.HintOf(err)+"\n")
				return
			}
			golden(t, name, strings.Join(strategy.Describe(plan), "\n")+"\n")
		})
	}
}

func goldenRequests() map[string]strategy.Request {
	batches := []segue.Batch{{Servers: 1}, {Percent: 25}, {Percent: 100}}
	requests := map[string]strategy.Request{
		"rolling-1-server-surge": forward(1, 1, surge),
		"rolling-2-servers":      forward(2, 1),
		"rolling-4-servers":      forward(4, 3, staged(batches)),
		"rolling-10-servers":     forward(10, 6, staged(batches), atATime(3)),
		"rolling-bake-each":      forward(4, 3, staged(batches), bakeEach),
		"rolling-approve":        forward(2, 1, approve),
		"database":               forward(2, 1, databases(adds, fills, drops)),
		"database-two":           forward(2, 1, databases(adds, segue.Work{Database: "log", Change: "0001#1", Kind: segue.StepExpand, Title: "create table entries"})),
		"database-no-return":     forward(2, 1, databases(adds, closing(drops))),
		"database-first-deploy":  forward(2, 1, nothing, databases(adds, breaks)),
		"database-all-at-once":   forward(2, 0, allAtOnce, databases(adds, closing(breaks), drops)),
		"refused-database":       forward(2, 1, databases(adds, breaks)),
		"rolling-no-bake":        forward(4, 2, atATime(2), bake(0)),
		"rolling-partitions":     forward(4, 3, partitioned("east", "west")),
		"rolling-surge":          forward(2, 2, surge),
		"rolling-workers":        forward(2, 1, workers),
		"rolling-capped":         forward(4, 3, atATime(3)),
		"rolling-hurry":          forward(2, 1, func(r *strategy.Request) { r.Hurry = true }),
		"refused-capacity":       forward(2, 2),
		"refused-down":           forward(4, 3, partitioned("east", "west"), slot(3, down)),
		"refused-surge-possible": forward(2, 2, func(r *strategy.Request) { r.Service.CanSurge = true }),
		"refused-breaking":       forward(2, 1, breaking),
		"refused-third-release":  forward(3, 2, slot(0, on("v0")), slot(1, on("v1"))),
		"refused-same-name":      forward(2, 1, func(r *strategy.Request) { r.Candidate.Name = "v1" }),
		"all-at-once":            forward(3, 0, allAtOnce, breaking),
		"all-at-once-workers":    forward(2, 0, allAtOnce, workers),
		"first-deploy":           forward(2, 1, empty(0), empty(1), func(r *strategy.Request) { r.Stable = segue.Release{} }),
		"unchanged":              forward(4, 3, func(r *strategy.Request) { r.Candidate = r.Stable }),
		"unchanged-but-one":      forward(4, 3, func(r *strategy.Request) { r.Candidate = r.Stable }, slot(2, drained)),
		"same-digest":            forward(2, 1, func(r *strategy.Request) { r.Candidate.Digest = r.Stable.Digest }),
		"empty-server":           forward(3, 1, empty(1)),
		"dead-server-first":      forward(3, 2, slot(2, down)),
		"stray":                  forward(2, 1, slot(1, stray("web-2.v0.3"))),
		"left-server":            forward(3, 1, func(r *strategy.Request) { r.Service.Servers = r.Service.Servers[:2] }),
		"resume-mixed": forward(4, 2, staged(batches), slot(1, on("v2")), slot(2, on("v2"), drained), func(r *strategy.Request) {
			r.Observed, r.Plan = 1, 2
		}),
		"resume-surge":              forward(2, 2, surge, slot(0, beside("v2", segue.RotationOut)), slot(1, on("v2"), beside("v1", segue.RotationDraining))),
		"back-all":                  back(4, 2, slot(0, on("v2")), slot(1, on("v2"), down), slot(3, on("v2"), drained)),
		"back-one":                  back(4, 2, slot(0, on("v2")), slot(1, on("v2")), scope("web-2")),
		"back-surge":                back(2, 2, surge, slot(0, beside("v2", segue.RotationOut)), slot(1, on("v2"), beside("v1", segue.RotationIn))),
		"back-all-at-once":          back(2, 0, allAtOnce, slot(0, on("v2"), down), empty(1), func(r *strategy.Request) { r.Fleet.Maintenance = true }),
		"back-maintenance":          back(2, 1, empty(1), func(r *strategy.Request) { r.Fleet.Maintenance, r.Fleet.Holding = true, true }),
		"back-first-deploy":         back(2, 1, slot(0, on("v2")), slot(1, on("v2"), down), func(r *strategy.Request) { r.Stable = segue.Release{} }),
		"back-no-spare":             back(2, 2, slot(0, on("v2"))),
		"back-nothing":              back(2, 1),
		"back-unknown-server":       back(2, 1, scope("web-9")),
		"join":                      join(3, 1, slot(0, on("v2")), empty(2), scope("web-3")),
		"parallel":                  forward(4, 4, parallel, staged(batches)),
		"parallel-2-servers":        forward(2, 2, parallel, bake(5*minute)),
		"parallel-1-server":         forward(1, 1, parallel),
		"parallel-wide":             forward(4, 4, parallel, atATime(3), staged([]segue.Batch{{Servers: 3}})),
		"parallel-database":         forward(2, 2, parallel, databases(adds, fills, drops)),
		"parallel-approve":          forward(2, 2, parallel, approve),
		"parallel-hurry":            forward(2, 2, parallel, mirroring, slot(0, beside("v2", segue.RotationOut)), func(r *strategy.Request) { r.Hurry = true }),
		"parallel-no-bake":          forward(2, 2, parallel, bake(0)),
		"parallel-dead-first":       forward(3, 3, parallel, slot(2, down)),
		"parallel-empty-first":      forward(3, 3, parallel, empty(1)),
		"parallel-first-deploy":     forward(2, 2, parallel, empty(0), empty(1), func(r *strategy.Request) { r.Stable = segue.Release{} }),
		"parallel-same-release":     forward(2, 2, parallel, slot(1, drained), func(r *strategy.Request) { r.Candidate = r.Stable }),
		"parallel-resume":           forward(3, 3, parallel, mirroring, slot(0, beside("v2", segue.RotationOut)), seen(0)),
		"parallel-resume-compared":  forward(3, 3, parallel, mirroring, slot(0, beside("v2", segue.RotationOut)), seen(1)),
		"parallel-resume-observed":  forward(3, 3, parallel, slot(0, on("v2")), seen(2)),
		"parallel-has-traffic":      forward(3, 3, parallel, slot(2, on("v2"))),
		"parallel-back":             back(3, 3, parallel, mirroring, slot(0, beside("v2", segue.RotationOut))),
		"parallel-back-nothing":     back(3, 3, parallel, mirroring),
		"parallel-back-one":         back(3, 3, parallel, mirroring, slot(0, beside("v2", segue.RotationOut)), slot(1, on("v2")), scope("web-2")),
		"parallel-join":             join(3, 2, parallel, mirroring, empty(2), scope("web-3"), slot(0, beside("v2", segue.RotationOut))),
		"refused-parallel-workers":  forward(2, 1, parallel, workers),
		"refused-parallel-no-surge": forward(2, 1, parallel, func(r *strategy.Request) { r.Service.CanSurge = false }),
		"refused-parallel-mirror":   forward(2, 1, parallel, func(r *strategy.Request) { r.Service.Judging.Mirror = nil }),
		"join-without-a-stable":     join(2, 1, empty(1), func(r *strategy.Request) { r.Stable = segue.Release{} }),
	}
	return requests
}

// TestBehindGateIsBounded keeps wide stages without a bake between them from growing with the square of their width.
func TestWideStagesStayLinear(t *testing.T) {
	request := forward(4000, 100, atATime(1000), bake(0), staged([]segue.Batch{{Percent: 50}, {Percent: 100}}))
	plan, err := strategy.Plan(request)
	if err != nil {
		t.Fatal(err)
	}
	edges := 0
	for _, step := range plan.Steps {
		edges += len(step.After)
	}
	if edges > 2*len(plan.Steps) {
		t.Errorf("%d edges between %d steps", edges, len(plan.Steps))
	}
}

// TestPlanIsTheSameAgain: same request, same plan, byte for byte.
func TestPlanIsTheSameAgain(t *testing.T) {
	for name, request := range goldenRequests() {
		first, err1 := strategy.Plan(request)
		second, err2 := strategy.Plan(request)
		if (err1 == nil) != (err2 == nil) {
			t.Errorf("%s: %v, then %v", name, err1, err2)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

const minute = time.Minute
