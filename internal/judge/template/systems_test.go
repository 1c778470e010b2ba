package template_test

import (
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template/templatetest"
)

func TestSystems(t *testing.T) {
	t.Parallel()
	all, table := judgeEach(t, templatetest.Systems())
	t.Log("\n" + table)
	if all.precision() < 0.995 || all.recall() < 0.995 {
		t.Errorf("all: precision %.4f, recall %.4f", all.precision(), all.recall())
	}
}
