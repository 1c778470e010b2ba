package upstream_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
	"github.com/segue-deploy/segue/internal/proxy/upstream/upstreamtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(peerRole) != "" {
		runPeer(os.Stdin, os.Stdout)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestGeneral(t *testing.T) { upstreamtest.Suite(t, upstream.General) }

func TestFast(t *testing.T) { upstreamtest.Suite(t, upstream.Fast) }

func TestNew(t *testing.T) { upstreamtest.Suite(t, upstream.New) }
