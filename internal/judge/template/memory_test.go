package template_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template"
)

// word writes a number in letters.
func word(n int) string {
	text := ""
	for ; n > 0 || len(text) < 4; n /= 20 {
		text += string(rune('g' + n%20))
	}
	return text
}

// BenchmarkMemory is what 10,000 templates of eight words take, and what learning each costs.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := template.NewMiner(template.Options{Templates: 12000}, nil)
		for i := range 10000 {
			m.Add(fmt.Appendf(nil, "%s: %s failed to %s the %s %d %s %s", word(i*31), word(i*7), word(i), word(i*3), i, word(i*5), word(i*11)), "a", start, start)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB/10000")
		m.Look(func(tree *template.Tree, _ *template.Counter) { b.ReportMetric(float64(tree.Len()), "templates") })
	}
}
