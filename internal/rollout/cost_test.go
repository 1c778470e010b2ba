package rollout_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/segue-deploy/segue"
)

// rolledFleet rolls a fleet from v1 to v2 through strategy and ledger.
func rolledFleet(tb testing.TB, servers int) {
	tb.Helper()
	w := newWorld()
	settings := settingsOf([]string{fmt.Sprintf("servers=%d", servers), fmt.Sprintf("width=%d", max(1, servers/100))})
	settings.MinReady = servers / 2
	w.feed(segue.Event{Kind: segue.EventServiceConfigured, Service: "web", Settings: &settings, Config: "sha256:c"})
	for _, name := range []string{"v1", "v2"} {
		stable := w.ledger.Services["web"].Stable
		if _, err := w.open(settings, stable, release(name), false); err != nil {
			tb.Fatal(err)
		}
		for len(w.pending) > 0 {
			w.answer(w.take(len(w.pending) - 1))
		}
	}
	if stable := w.ledger.Services["web"].Stable.Name; stable != "v2" {
		tb.Fatalf("stable is %q", stable)
	}
}

// TestMemoryPerServerStaysFlat: planning for a fleet and folding its rollout allocates the same per server in a fleet of any size.
func TestMemoryPerServerStaysFlat(t *testing.T) {
	perServer := func(servers int) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rolledFleet(t, servers)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(servers)
	}
	perServer(100)
	small, large := perServer(200), perServer(2000)
	if large > 1.5*small {
		t.Errorf("%.0f bytes per server with 200 servers, %.0f with 2000", small, large)
	}
}

// BenchmarkRollout reports the cost of a whole rollout per server: planning and folding, without drivers.
func BenchmarkRollout(b *testing.B) {
	for _, servers := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("servers=%d", servers), func(b *testing.B) {
			for b.Loop() {
				rolledFleet(b, servers)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*servers), "ns/server")
		})
	}
}
