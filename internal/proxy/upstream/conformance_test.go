package upstream_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
	"github.com/segue-deploy/segue/internal/proxy/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGeneral(t *testing.T) { upstreamtest.Suite(t, upstream.General) }

func TestFast(t *testing.T) { upstreamtest.Suite(t, upstream.Fast) }

func TestNew(t *testing.T) { upstreamtest.Suite(t, upstream.New) }
