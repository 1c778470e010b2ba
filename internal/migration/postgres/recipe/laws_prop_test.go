package recipe

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/migration"
)

// Whatever statements come together, in whatever order, on whatever sizes: the laws hold, and planning twice gives the same.
func TestLaws(t *testing.T) {
	t.Parallel()
	m := readMatrix(t)
	versions := []int{110022, 120022, 130022, 140019, 150018, 160013, 170009, 180003}
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom(versions).Draw(t, "version")
		var setup []string
		var operations []operation
		for range rapid.IntRange(1, 7).Draw(t, "operations") {
			o := m.Operations[rapid.IntRange(0, len(m.Operations)-1).Draw(t, "operation")]
			operations = append(operations, o)
			setup = append(setup, o.Setup...)
		}
		request := Request{Catalog: m.catalog(version, setup), Version: version, Release: "v2"}
		for i := range request.Catalog.Tables {
			bytes := rapid.SampledFrom([]int64{0, 8 << 10, 4 << 30}).Draw(t, "bytes")
			request.Catalog.Tables[i].Rows, request.Catalog.Tables[i].Heap, request.Catalog.Tables[i].Bytes = bytes/100, bytes/2, bytes
		}
		hints := rapid.SampledFrom([]migration.Hints{
			{},
			{},
			{},
			{Phase: migration.PhaseContract},
			{Phase: migration.PhaseExpand},
			{AssumeSafe: true, Reason: "known"},
			{Keep: []migration.Assignment{{Column: "b", Expr: "z1::text"}}},
		})
		n := 0
		for _, o := range operations {
			file := m.request(o, version).Files[0]
			for i := range file.Statements {
				n++
				s := &file.Statements[i]
				s.ID, s.At.Line, s.Hints = migration.MakeStatementID("0001", n), n, hints.Draw(t, "hints")
			}
			request.Files = append(request.Files, file)
		}
		changes, faults, _ := Plan(request)
		check(t, request, changes, faults)
		again, _, _ := Plan(request)
		if show(changes, faults, nil) != show(again, faults, nil) {
			t.Errorf("two plans of the same request differ")
		}
	})
}
