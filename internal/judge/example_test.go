package judge_test

import (
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// crashes is a judge in a few lines: any crash of the candidate fails it.
type crashes struct{ seen int }

func (c *crashes) Name() string { return "crashes" }

func (c *crashes) Weigh(window judge.Evidence) []segue.Finding {
	looked := int64(0)
	for _, server := range window.Servers {
		if server.Release == window.Candidate {
			looked++
			c.seen += server.Crashes
		}
	}
	ruling := segue.RulingPass
	switch {
	case c.seen > 0:
		ruling = segue.RulingFail
	case looked == 0:
		ruling = segue.RulingInconclusive // silence is no pass
	}
	return []segue.Finding{{Judge: c.Name(), Ruling: ruling, Release: window.Candidate, Value: float64(c.seen), Samples: looked}}
}

// A judge is fed window by window and says what it thinks by now.
func Example() {
	var j judge.Judge = &crashes{}
	quiet := judge.Evidence{Candidate: "v2", Servers: []judge.ServerEvidence{{Server: "web-1", Release: "v2"}}}
	crashed := judge.Evidence{Candidate: "v2", Servers: []judge.ServerEvidence{{Server: "web-1", Release: "v2", Crashes: 1}}}
	for _, window := range []judge.Evidence{{Candidate: "v2"}, quiet, crashed, quiet} {
		fmt.Println(j.Weigh(window)[0].Ruling)
	}
	// Output:
	// inconclusive
	// pass
	// fail
	// fail
}
