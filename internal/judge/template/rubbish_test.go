package template_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template"
)

// TestRubbishIsOneTemplate: bytes that are no text must not crowd out what is.
func TestRubbishIsOneTemplate(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	miner := template.NewMiner(template.Options{}, nil)
	stream := miner.Stream("web-1")
	for range 500 {
		line := make([]byte, 40+r.IntN(400))
		for i := range line {
			line[i] = byte(r.Uint32())
		}
		stream.Write(append(bytes.ReplaceAll(line, []byte{'\n'}, nil), '\n'), start)
	}
	var wide []byte
	for _, c := range []byte("2026-01-02 03:04:05 ERROR order 7 lost\n") {
		wide = append(wide, c, 0)
	}
	stream.Write(append([]byte{0xff, 0xfe}, wide...), start)
	stream.Write([]byte("naïve größe überschritten 100 % ✓ 🎉 naïve\n"), start)
	stream.Close(start)
	miner.Look(func(tree *template.Tree, _ *template.Counter) {
		var lost bool
		for _, one := range tree.Templates() {
			lost = lost || one.Severity == template.Error && bytes.Contains([]byte(one.Text), []byte("lost"))
		}
		if n := tree.Len(); n > 20 || !lost {
			t.Errorf("%d templates, text in two bytes a letter read: %v: %v", n, lost, tree.Templates())
		}
	})
}
