package proxy

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// routes is a service without sockets, for tests of where requests go.
type routes struct {
	*service
	stored storedService
}

func newRoutes(releases ...string) *routes {
	s := newService(web, discard(), func(upstream.Options) upstream.Upstream { return &still{} })
	r := &routes{service: s}
	for i, release := range releases {
		r.stored.Backends = append(r.stored.Backends, storedBackend{
			Backend:  Backend{ID: segue.InstanceID(name("b", i)), Server: segue.ServerName(name("s", i)), Release: segue.ReleaseName(release)},
			Rotation: segue.RotationIn,
		})
	}
	r.apply(r.stored)
	return r
}

// spread picks n times and counts, each request being over before the next.
func (r *routes) spread(n int) map[segue.InstanceID]int {
	got := map[segue.InstanceID]int{}
	for range n {
		if b := r.table.Load().pick(nil); b != nil {
			got[b.ID]++
		} else {
			got[""]++
		}
	}
	return got
}

// near says whether a share of n is what is wanted, within five standard deviations.
func near(got, n int, want float64) bool {
	return math.Abs(float64(got)-float64(n)*want) <= 5*math.Sqrt(float64(n)*want*(1-want)+1)
}

func TestSlowStartRampsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoutes("v1", "v1", "v1")
		back := &r.stored.Backends[2]
		back.Rotation = segue.RotationDraining
		r.apply(r.stored)
		if got := r.spread(1000); got["b-2"] != 0 {
			t.Fatalf("a drained backend got %d", got["b-2"])
		}
		back.Rotation, back.AdmittedAt, back.SlowStart = segue.RotationIn, time.Now(), 10*time.Second
		r.apply(r.stored)
		last := 0
		for step := range 3 {
			got := r.spread(20_000)["b-2"]
			weight := 0.1 + 0.9*float64(step)/2
			// Of the pairs that hold it (2 of 3), it wins weight/(1+weight).
			if want := 2.0 / 3 * weight / (1 + weight); !near(got, 20_000, want) {
				t.Errorf("with weight %.2f it got %d of 20000, want about %.0f", weight, got, 20_000*want)
			}
			if got <= last {
				t.Errorf("its share went from %d to %d", last, got)
			}
			last = got
			<-time.After(5 * time.Second)
		}
		if r.find("b-2").ramp.Load() != nil {
			t.Error("the slow start is not over after its time")
		}
	})
}

func TestSlowStartTakesDisplacedLoadWhenOthersAreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoutes("v1", "v1")
		back := &r.stored.Backends[1]
		back.Rotation = segue.RotationOut
		r.apply(r.stored)
		back.Rotation, back.AdmittedAt, back.SlowStart = segue.RotationIn, time.Now(), time.Minute
		r.apply(r.stored)
		r.find("b-0").busy.Store(30)
		if got := r.spread(1000); got["b-1"] != 1000 {
			t.Errorf("with 30 outstanding on the other, the returning backend got %d of 1000", got["b-1"])
		}
	})
}

func TestLeastOutstandingOfTwo(t *testing.T) {
	r := newRoutes("v1", "v1", "v1", "v1")
	r.find("b-0").busy.Store(100)
	got := r.spread(10_000)
	if got["b-0"] != 0 {
		t.Errorf("the busiest of four got %d", got["b-0"])
	}
	for _, id := range []segue.InstanceID{"b-1", "b-2", "b-3"} {
		if !near(got[id], 10_000, 1.0/3) {
			t.Errorf("%s got %d of 10000", id, got[id])
		}
	}
}

func TestSharesAreKept(t *testing.T) {
	r := newRoutes("v1", "v1", "v1", "v2")
	r.stored.Shares = map[segue.ReleaseName]float64{"v1": 0.95, "v2": 0.05}
	r.apply(r.stored)
	if got := r.spread(40_000); !near(got["b-3"], 40_000, 0.05) {
		t.Errorf("v2 got %d of 40000, want 5 %%", got["b-3"])
	}
	t.Run("the others take over for a release without ready backends", func(t *testing.T) {
		r.stored.Backends[3].Rotation = segue.RotationDraining
		r.apply(r.stored)
		if got := r.spread(100); got[""] != 0 || got["b-3"] != 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("no share is no request, even so", func(t *testing.T) {
		r.stored.Backends[3].Rotation = segue.RotationIn
		r.stored.Shares = map[segue.ReleaseName]float64{"v3": 1, "v2": 0}
		r.apply(r.stored)
		if got := r.spread(100); got[""] != 100 {
			t.Errorf("%v, want none routed", got)
		}
	})
}

func TestPassiveHealthLeavesTheLastOne(t *testing.T) {
	r := newRoutes("v1", "v1")
	for _, id := range []segue.InstanceID{"b-0", "b-1"} {
		for range defaultFailures {
			r.suspect(r.find(id))
		}
	}
	if r.find("b-0").health.up || r.find("b-1").health.up {
		t.Error("backends that failed three times in a row are healthy")
	}
	if n := len(r.table.Load().ready); n != 2 {
		t.Errorf("%d ready, want both while none is healthy", n)
	}
	r.judge(r.find("b-0"), nil)
	if got := r.spread(10); got["b-0"] != 10 {
		t.Errorf("%v, want all to the one that is well", got)
	}
}

func TestActiveHealth(t *testing.T) {
	r := run(t, Config{Health: HealthConfig{Path: "/up", Interval: 20 * time.Millisecond, Rise: 2}})
	var sick syncFlag
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/up" && sick.get() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "a")
	})
	r.admit(a.Backend)
	r.admit(serveApp(t, "b", "v1", nil).Backend)
	sick.set(true)
	eventually(t, "the check takes it out", func() bool { return !r.status("a").Healthy })
	for range 20 {
		r.get("/").want(t, 200, "b")
	}
	sick.set(false)
	eventually(t, "the check takes it back", func() bool { return r.status("a").Healthy })
}

func TestMaintenance(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	r.must(r.client.Maintenance(t.Context(), web, true, 90*time.Second))
	for accept, want := range map[string][2]string{
		"text/html,application/xhtml+xml": {"text/html; charset=utf-8", "<!doctype html>"},
		"application/json":                {"application/json", `{"error":"Back in a moment"`},
		"*/*":                             {"text/plain; charset=utf-8", "Back in a moment."},
	} {
		got := r.get("/", "Accept", accept)
		if got.StatusCode != 503 || got.Header.Get("Retry-After") != "90" || got.Header.Get("Cache-Control") != "no-store" ||
			got.Header.Get("Content-Type") != want[0] || !strings.HasPrefix(got.text, want[1]) {
			t.Errorf("Accept %q: %d %v %q", accept, got.StatusCode, got.Header, got.text)
		}
	}
	r.must(r.client.Maintenance(t.Context(), web, false, 0))
	r.get("/").want(t, 200, "a")
	if snap := r.snapshot(); snap.Unrouted[causeMaintenance] != 3 || len(snap.Failures) != 0 {
		t.Errorf("unrouted %v, failures %v", snap.Unrouted, snap.Failures)
	}
}

func TestMaintenanceTakesOverFromHold(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	r.must(r.client.Hold(t.Context(), web, time.Minute))
	url := r.url("/")
	result := make(chan answer, 1)
	go func() { result <- sendTo(t, url, http.MethodGet, "") }()
	eventually(t, "the request waits", func() bool { return r.snapshot().HeldNow == 1 })
	r.must(r.client.Maintenance(t.Context(), web, true, time.Second))
	if got := <-result; got.StatusCode != 503 || !strings.Contains(got.text, "Back in a moment") {
		t.Errorf("a held request got %d %q", got.StatusCode, got.text)
	}
	if got := r.status("a").Counters.Requests; got != 0 || r.snapshot().HeldNow != 0 {
		t.Errorf("%d requests reached the backend", got)
	}
}
