// Package clustertest gives tests a PostgreSQL server of their own in about 0.3 seconds, and a database of their own in 0.1.
package clustertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/testenv"
)

// Start starts a server of a major version ("" for any) with settings ("wal_level=minimal"), and stops it when the test ends. Where that version is not
// installed the test is skipped, or fails if CI=true.
func Start(tb testing.TB, version string, settings ...string) *cluster.Cluster {
	tb.Helper()
	bin := testenv.PostgresBin(tb, version)
	sum := sha256.Sum256([]byte(bin))
	return start(tb, cluster.Options{
		Bin: bin, Settings: parse(tb, settings),
		Template: filepath.Join(testenv.SharedDir(tb), "postgres-"+hex.EncodeToString(sum[:6])),
	})
}

// Standby starts a hot standby of a server, and stops it when the test ends.
func Standby(tb testing.TB, primary *cluster.Cluster, settings ...string) *cluster.Cluster {
	tb.Helper()
	return start(tb, cluster.Options{Bin: primary.Bin(), Primary: primary, Settings: parse(tb, settings)})
}

// Database makes a fresh database, gone when the test ends, and gives its URL.
func Database(tb testing.TB, c *cluster.Cluster) string {
	tb.Helper()
	address, drop, err := c.Database(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := drop(); err != nil {
			tb.Error(err)
		}
	})
	return address
}

func start(tb testing.TB, options cluster.Options) *cluster.Cluster {
	tb.Helper()
	c, err := cluster.Start(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func parse(tb testing.TB, settings []string) map[string]string {
	tb.Helper()
	parsed := make(map[string]string, len(settings))
	for _, setting := range settings {
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			tb.Fatalf("setting %q is not name=value", setting)
		}
		parsed[name] = value
	}
	return parsed
}
