package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/judge/template"
)

// anyWorld draws small worlds of all kinds.
func anyWorld(t *rapid.T) rehearsal.World {
	kinds := []rehearsal.Kind{
		rehearsal.NewLine, rehearsal.StackTrace, rehearsal.MoreWarnings, rehearsal.NoHeartbeat, rehearsal.Slow, rehearsal.SlowRoute, rehearsal.MoreErrors,
		rehearsal.RouteErrors, rehearsal.WrongField, rehearsal.Leak, rehearsal.CrashLoop, rehearsal.Wording, rehearsal.StartLines, rehearsal.Version,
		rehearsal.Keys, rehearsal.NewInfo, rehearsal.Merge, rehearsal.ExtraField, rehearsal.Fewer, rehearsal.Incident, rehearsal.Lossy,
		rehearsal.OtherMix, rehearsal.BrokenRoute, rehearsal.StrayClient,
	}
	var styles []string
	for _, s := range rehearsal.Styles() {
		styles = append(styles, s.Name)
	}
	w := rehearsal.World{
		Seed: rapid.Uint64().Draw(t, "seed"), Servers: rapid.IntRange(2, 4).Draw(t, "servers"), Length: 5 * time.Minute, History: 30 * time.Minute,
		Style: rapid.SampledFrom(styles).Draw(t, "style"), Look: rapid.SampledFrom([]time.Duration{0, time.Second, 30 * time.Second, time.Minute}).Draw(t, "look"),
		Mirror: rapid.SampledFrom([]float64{0, 0.2}).Draw(t, "mirror"), Restarts: rapid.SampledFrom([]float64{-1, 0, 48}).Draw(t, "restarts"), Requests: 120,
	}
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		w.Changes = append(w.Changes, rehearsal.Change{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Size: rapid.SampledFrom([]float64{1, 2, 5}).Draw(t, "size"),
			After: time.Duration(rapid.IntRange(0, 2).Draw(t, "after")) * time.Minute,
		})
	}
	return w
}

func TestWindowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		told, last := map[string]bool{}, time.Time{}
		for e := range w.Windows() {
			for _, part := range append(slices.Clone(e.Before), e) {
				if !last.IsZero() && !part.Since.Equal(last) {
					t.Fatalf("window begins %s, the one before ended %s", part.Since, last)
				}
				last = part.Until
				checkWindow(t, part, told)
			}
		}
	})
}

func checkWindow(t *rapid.T, e judge.Evidence, told map[string]bool) {
	for _, n := range e.Templates {
		if told[n.ID] {
			t.Fatalf("template %s is told twice", n.ID)
		}
		told[n.ID] = true
	}
	for _, s := range e.Servers {
		counted, routed, failed := int64(0), int64(0), int64(0)
		for _, b := range s.Latency.Buckets {
			counted += b.Count
		}
		for _, n := range s.Routes {
			routed += n
		}
		for route, n := range s.RouteErrors {
			if failed += n; n <= 0 || n > s.Routes[route] {
				t.Fatalf("%s: %d of %d requests of %s failed", s.Server, n, s.Routes[route], route)
			}
		}
		if s.Requests != s.Latency.Count || counted != s.Requests || routed != s.Requests || s.Errors > s.Requests || failed != s.Errors {
			t.Fatalf("%s: %d requests, %d errors, %d latencies, %d in buckets, %d and %d by route",
				s.Server, s.Requests, s.Errors, s.Latency.Count, counted, routed, failed)
		}
		for _, n := range s.Logs {
			if !told[n.Template] || n.Units <= 0 || n.Events < n.Units || n.Units > int64(e.Length()/(10*time.Second)) {
				t.Fatalf("%s: %+v in %s, told %v", s.Server, n, e.Length(), told[n.Template])
			}
		}
		for name, value := range s.Gauges {
			if !(value > 0) || math.IsInf(value, 0) {
				t.Fatalf("%s: %s = %v", s.Server, name, value)
			}
		}
	}
}

func TestWorldRepeatsItself(t *testing.T) {
	t.Parallel()
	w := rehearsal.World{Seed: 3, Length: 5 * time.Minute, Mirror: 0.1, Changes: []rehearsal.Change{{Kind: rehearsal.NewLine, Size: 3}}}
	first := written(t, w)
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var again rehearsal.World
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, written(t, again)) {
		t.Error("the same world gives something else")
	}
	w.Seed++
	if bytes.Equal(first, written(t, w)) {
		t.Error("another seed gives the same")
	}
}

func written(t *testing.T, w rehearsal.World) []byte {
	t.Helper()
	text, err := json.Marshal(slices.Collect(w.Windows()))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRoutesHaveTheirOwnErrors: over all, as many requests fail as the World says, and routes differ by far.
func TestRoutesHaveTheirOwnErrors(t *testing.T) {
	t.Parallel()
	requests, errors := map[string]float64{}, map[string]float64{}
	sum, failed := 0.0, 0.0
	for seed := range uint64(3) {
		for row := range (rehearsal.World{Seed: seed, Servers: 10, Errors: 0.01, Templates: 60, History: time.Minute}).Traffic() {
			sum, failed = sum+float64(row.Requests), failed+float64(row.Errors)
			for route, n := range row.Routes {
				requests[route] += float64(n)
				errors[route] += float64(row.RouteErrors[route])
			}
		}
	}
	if share := failed / sum; share < 0.008 || share > 0.0125 {
		t.Errorf("%.4f of all requests failed, want 0.01", share)
	}
	most, least := 0.0, 1.0
	for route, n := range requests {
		most, least = max(most, errors[route]/n), min(least, errors[route]/n)
		if part := n / sum; part < 0.005 || part > 0.4 {
			t.Errorf("%s gets %.4f of the requests", route, part)
		}
	}
	if len(requests) < 8 || most < 20*least {
		t.Errorf("%d routes, of which %.5f to %.5f fail", len(requests), least, most)
	}
}

// TestChangesOfRoutes: what each of the changes of routes does, and to whom.
func TestChangesOfRoutes(t *testing.T) {
	t.Parallel()
	const refund, feeds = "POST /orders/{id}/refund", "GET /feeds/{id}"
	shares := func(change rehearsal.Change, server segue.ServerName, route string) (asked, failing float64) {
		var all, some, bad float64
		w := rehearsal.World{Seed: 4, Servers: 2, Templates: 60, Length: 20 * time.Minute, History: 20 * time.Minute, Changes: []rehearsal.Change{change}}
		for row := range w.Traffic() {
			if row.Server == server && !row.Since.Before(w.Full().Start) {
				all, some, bad = all+float64(row.Requests), some+float64(row.Routes[route]), bad+float64(row.RouteErrors[route])
			}
		}
		return some / all, bad / max(1, some)
	}
	for _, test := range []struct {
		text   string
		server segue.ServerName
		route  string
		asked  [2]float64
		failed [2]float64
	}{
		{"route-errors-rare-x0.5", "web-1", refund, [2]float64{0.005, 0.02}, [2]float64{0.3, 0.7}},
		{"route-errors-rare-x0.5", "web-2", refund, [2]float64{0.005, 0.02}, [2]float64{0, 0.1}},
		{"other-mix-x0.5", "web-1", refund, [2]float64{0.12, 0.2}, [2]float64{0, 0.1}},
		{"other-mix-x0.5", "web-2", refund, [2]float64{0.005, 0.02}, [2]float64{0, 0.1}},
		{"broken-route-x0.02", "web-1", feeds, [2]float64{0.01, 0.03}, [2]float64{1, 1}},
		{"broken-route-x0.02", "web-2", feeds, [2]float64{0.01, 0.03}, [2]float64{1, 1}},
		{"stray-client-x120", "web-1", feeds, [2]float64{0.004, 0.02}, [2]float64{1, 1}},
		{"stray-client-x120", "web-2", feeds, [2]float64{0, 0}, [2]float64{0, 0}},
	} {
		change, err := rehearsal.ParseChange(test.text)
		if err != nil {
			t.Fatal(err)
		}
		asked, failed := shares(change, test.server, test.route)
		if asked < test.asked[0] || asked > test.asked[1] || failed < test.failed[0] || failed > test.failed[1] {
			t.Errorf("%s: %.4f of the requests of %s are %s, and %.3f of them fail", test.text, asked, test.server, test.route, failed)
		}
	}
}

// A change of the candidate leaves everything else as it was, so that what differs is its doing.
func TestChangesAreTheCandidates(t *testing.T) {
	t.Parallel()
	w := rehearsal.World{Seed: 5, Length: 10 * time.Minute}
	changed := w
	changed.Changes = []rehearsal.Change{
		{Kind: rehearsal.NewLine, Size: 5},
		{Kind: rehearsal.MoreWarnings, Size: 5},
		{Kind: rehearsal.Slow, Size: 2},
		{Kind: rehearsal.Leak, Size: 0.1},
		{Kind: rehearsal.CrashLoop, Size: 2},
		{Kind: rehearsal.OtherMix, Size: 0.3},
		{Kind: rehearsal.StrayClient, Size: 60},
	}
	was, is := slices.Collect(w.Windows()), slices.Collect(changed.Windows())
	differ := false
	for i := range was {
		stable := func(s judge.ServerEvidence) bool { return s.Release == rehearsal.Candidate }
		a, b := slices.DeleteFunc(slices.Clone(was[i].Servers), stable), slices.DeleteFunc(slices.Clone(is[i].Servers), stable)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("stable servers until %s (-without +with):\n%s", was[i].Until, diff)
		}
		differ = differ || !cmp.Equal(was[i].Servers, is[i].Servers)
	}
	if !differ {
		t.Error("the candidate's changes change nothing")
	}
}

func TestLinesSayWhatWindowsCount(t *testing.T) {
	t.Parallel()
	w := rehearsal.World{Seed: 9, Length: 10 * time.Minute, Style: "plain", Restarts: -1, Changes: []rehearsal.Change{{Kind: rehearsal.NewLine, Size: 5}}}
	counted := map[segue.ServerName]int64{}
	for e := range w.Windows() {
		for _, part := range append(e.Before, e) {
			for _, s := range part.Servers {
				for _, n := range s.Logs {
					counted[s.Server] += n.Events
				}
			}
		}
	}
	for _, server := range w.Names() {
		written, last := int64(0), time.Time{}
		for line := range w.Lines(server) {
			if line.At.Before(last) {
				t.Fatalf("%s: a line of %s after one of %s", server, line.At, last)
			}
			written, last = written+1, line.At
		}
		// The windows leave out the one in which the candidate was put in place.
		if off := counted[server] - written; off > 0 || off < -300 {
			t.Errorf("%s wrote %d lines, and the windows count %d", server, written, counted[server])
		}
	}
	if len(slices.Collect(w.Lines("nobody"))) > 0 {
		t.Error("a server that is not there wrote lines")
	}
}

// In every style, what is new on the candidate is a template of its own.
func TestStylesAreMinable(t *testing.T) {
	t.Parallel()
	if got := len(rehearsal.Styles()); got < 16 {
		t.Errorf("%d styles, want 16 at least", got)
	}
	for i, style := range rehearsal.Styles() {
		for _, kind := range []rehearsal.Kind{rehearsal.NewLine, rehearsal.StackTrace} {
			t.Run(fmt.Sprintf("%s/%s", style.Name, kind), func(t *testing.T) {
				t.Parallel()
				w := rehearsal.World{
					Seed: uint64(i), Servers: 2, Style: style.Name, Templates: 60, History: 20 * time.Minute, Length: 10 * time.Minute,
					Changes: []rehearsal.Change{{Kind: kind, Size: 6}},
				}
				found := alone(w, w.Names()[0], 30)
				if len(found) == 0 || len(found) > 3 {
					t.Errorf("%d templates that the candidate alone has, want what is new: %v", len(found), found)
				}
				trace := func(one template.Template) bool { return one.Kind == template.Trace }
				if kind == rehearsal.StackTrace && !slices.ContainsFunc(found, trace) {
					t.Errorf("no stack trace among the templates that the candidate alone has: %v", found)
				}
			})
		}
	}
}

// alone gives the templates that a server alone has, so many times at least.
func alone(w rehearsal.World, server segue.ServerName, least int64) []template.Template {
	miner := template.NewMiner(template.Options{Slots: 100000}, nil)
	var until time.Time
	for _, name := range w.Names() {
		stream := miner.Stream(name)
		for line := range w.Lines(name) {
			stream.Line([]byte(line.Text), line.At, line.At)
			until = line.At
		}
		stream.Close(until)
	}
	var found []template.Template
	miner.Look(func(tree *template.Tree, counts *template.Counter) {
		for _, one := range tree.Templates() {
			servers := counts.Servers(one.ID)
			_, events := counts.Between(one.ID, server, time.Unix(0, 0), until)
			if len(servers) == 1 && servers[0] == server && events >= least {
				found = append(found, one)
			}
		}
	})
	return found
}

func BenchmarkRollout(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		seed++
		for range (rehearsal.World{Seed: seed}).Windows() {
		}
	}
}
