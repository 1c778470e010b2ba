package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
)

// seen is a judge that keeps what it was fed.
type seen struct{ windows []judge.Evidence }

func (*seen) Name() string { return "seen" }

func (s *seen) Weigh(window judge.Evidence) []segue.Finding {
	s.windows = append(s.windows, window)
	return nil
}

// What a trial pretends must not be what the servers are remembered by: a rollout is compared with that.
func TestPlaceboLeavesThePastAlone(t *testing.T) {
	t.Parallel()
	judging := &seen{}
	settings := segue.Service{Name: "web", Judging: segue.Judging{Placebo: true, Budget: 0.05}}
	p := newPlacebo(settings, func(segue.Service, segue.ReleaseName) []judge.Judge { return []judge.Judge{judging} })
	past := lookout.New(lookout.Options{})
	since := time.Now().Add(-time.Minute)
	window := judge.Evidence{Service: "web", Since: since, Until: since.Add(time.Second)}
	for _, name := range []segue.ServerName{"web-1", "web-2", "web-3"} {
		window.Servers = append(window.Servers, judge.ServerEvidence{Server: name, Release: "v1", Requests: 10})
	}
	past.Remember(window)
	before := past.Counted()[0].Servers[0]
	p.weigh(window, past)
	if len(judging.windows) != 1 || judging.windows[0].Servers[0].Release != placeboRelease {
		t.Fatalf("the trial was of %+v", judging.windows)
	}
	if diff := cmp.Diff(before, past.Counted()[0].Servers[0]); diff != "" {
		t.Error(diff)
	}
}
