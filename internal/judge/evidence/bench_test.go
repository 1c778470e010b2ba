package evidence_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/telemetry"
)

func TestAddDoesNotAllocate(t *testing.T) {
	random := rand.New(rand.NewPCG(29, 30))
	p, fine := evidence.NewProcess(evidence.Options{Only: true}), evidence.NewNonInferior(2)
	rank, z := evidence.NewSoftRank(3), []float64{1, 2, 3}
	mine, theirs := (&host{}).draw(random, telemetry.Distribution{}, 600, 0), (&host{}).draw(random, telemetry.Distribution{}, 600, 0)
	latency := evidence.NewLatency(0.25, mine, theirs)
	mix, routes := evidence.NewMix(), map[string]float64{"a": 1, "b": 2}
	latency.Add(mine, theirs)
	mix.Add(routes, routes)
	for name, add := range map[string]func(){
		"Process":     func() { p.Add(split(1, 2, 3)); p.LogE() },
		"NonInferior": func() { fine.Add(split(1, 2, 3)); fine.LogE() },
		"SoftRank":    func() { rank.Add(1, z); rank.LogE() },
		"Latency":     func() { latency.Add(mine, theirs); latency.LogE() },
		"Mix":         func() { mix.Add(routes, routes); mix.LogE() },
	} {
		if allocations := testing.AllocsPerRun(100, add); allocations > 0 {
			t.Errorf("%s allocates %v times a bin", name, allocations)
		}
	}
	if size := unsafe.Sizeof(evidence.Process{}); size > 200 {
		t.Errorf("a process takes %d bytes", size)
	}
}

func BenchmarkProcessAdd(b *testing.B) {
	p := evidence.NewProcess(evidence.Options{Only: true})
	b.ReportAllocs()
	for b.Loop() {
		p.Add(split(1, 2, 3))
	}
}

func BenchmarkProcessLogE(b *testing.B) {
	p := evidence.NewProcess(evidence.Options{Only: true})
	p.Add(split(10, 20, 3))
	b.ReportAllocs()
	for b.Loop() {
		p.LogE()
	}
}

func BenchmarkLatencyAdd(b *testing.B) {
	random := rand.New(rand.NewPCG(31, 32))
	mine, theirs := (&host{}).draw(random, telemetry.Distribution{}, 600, 0), (&host{}).draw(random, telemetry.Distribution{}, 600, 0)
	l := evidence.NewLatency(0.25, mine, theirs)
	b.ReportAllocs()
	for b.Loop() {
		l.Add(mine, theirs)
	}
}

// BenchmarkBook sets and judges 5,000 streams, of which a few are interesting.
func BenchmarkBook(b *testing.B) {
	book, ids := evidence.NewBook(0.02), make([]string, 5000)
	for i := range ids {
		ids[i] = fmt.Sprint("template ", i)
		book.Known(ids[i], 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, id := range ids {
			book.Set(id, float64(i%10))
		}
		book.Rejected()
	}
}
