// Package upstreamtest is the conformance suite of upstream.Upstream: what a client may rely on, whichever implementation carries its
// request. The backends are real TCP servers, most of them raw, since net/http would not misbehave as needed.
package upstreamtest

import (
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// check is one rule by its name.
type check struct {
	name string
	run  func(s *suite)
}

// suite makes the Upstream under test.
type suite struct {
	t    *testing.T
	make func(upstream.Options) upstream.Upstream
}

// Suite runs every check against the Upstreams that make returns. Checks with requests for which Serve returns ErrIneligible are
// skipped.
func Suite(t *testing.T, makeUpstream func(upstream.Options) upstream.Upstream) {
	t.Helper()
	for _, group := range [][]check{
		headerChecks(), framingChecks(), trailerChecks(), informationalChecks(), expectChecks(), streamChecks(),
		abortChecks(), poolChecks(), retryChecks(), tunnelChecks(), shutChecks(), h2cChecks(), limitChecks(),
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&suite{t: t, make: makeUpstream})
			})
		}
	}
}
