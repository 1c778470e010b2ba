package template_test

import (
	"fmt"
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template/templatetest"
)

func TestSystems(t *testing.T) {
	t.Parallel()
	var all told
	table := fmt.Sprintf("%-12s %6s %9s %9s %7s %7s %13s\n", "system", "events", "templates", "precision", "recall", "births", "false births")
	for _, style := range templatetest.Systems() {
		var n told
		var templates int
		for seed := uint64(1); seed <= 5; seed++ {
			got, k, wrong := judge(style, seed)
			n.add(got)
			templates += k
			if testing.Verbose() {
				for _, w := range wrong[:min(len(wrong), 3)] {
					t.Log(style.Name, w)
				}
			}
		}
		all.add(n)
		table += fmt.Sprintf("%-12s %6d %9.1f %9.4f %7.4f %7d %13d\n", style.Name, style.Events(), float64(templates)/5, n.precision(), n.recall(), n.births, n.falseBirths)
		if n.precision() < 0.95 || n.recall() < 0.96 {
			t.Errorf("%s: precision %.4f, recall %.4f; want 0.95 and 0.96", style.Name, n.precision(), n.recall())
		}
	}
	t.Log("\n" + table)
	if all.precision() < 0.995 || all.recall() < 0.995 {
		t.Errorf("all: precision %.4f, recall %.4f", all.precision(), all.recall())
	}
}
