package app

import (
	"testing"

	"github.com/segue-deploy/segue/internal/balancer"
)

// TestReleasesMaySayTheirNames: answers that differ in nothing but the name of the release do not differ.
func TestReleasesMaySayTheirNames(t *testing.T) {
	t.Parallel()
	answer := func(release, text string) balancer.MirrorAnswer {
		return balancer.MirrorAnswer{Status: 200, Header: map[string][]string{"X-Release": {release}, "Content-Type": {"text/html"}}, Body: []byte(text)}
	}
	for name, test := range map[string]struct {
		stable, candidate string
		differ            bool
	}{
		"a word of the page":      {"<p>running v2.</p>", "<p>running bad-errors.</p>", false},
		"at either end":           {"v2 and v2", "bad-errors and bad-errors", false},
		"a part of another word":  {"rev2 runs", "rebad-errors runs", true},
		"a path of the interface": {`{"next":"/v2/items","by":"v2"}`, `{"next":"/v2/items","by":"bad-errors"}`, false},
		"something else":          {"<p>running v2, 3 left</p>", "<p>running bad-errors, 4 left</p>", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := newAnswers("v2", "bad-errors")
			for range 5 {
				answers.Record(balancer.MirrorRecord{
					Method: "GET", Path: "/", Primary: answer("v2", test.stable), Secondary: answer("v2", test.stable), Candidate: answer("bad-errors", test.candidate),
				})
			}
			differ := false
			for _, count := range answers.Take() {
				differ = differ || count.Candidate > 0
			}
			if differ != test.differ {
				t.Errorf("differ: %t, want %t", differ, test.differ)
			}
		})
	}
}
