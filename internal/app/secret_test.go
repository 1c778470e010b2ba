package app_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2ESecretsAreNowhereButInFilesOfThisUser looks for a secret in everything that Segue writes and in every process's arguments.
func TestE2ESecretsAreNowhereButInFilesOfThisUser(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	t.Setenv("SHOP_TOKEN", secret)
	r := newRig(t, 1, "v1", "v2")
	r.edit("STREAM_TIME: 5s", `TOKEN: "${SHOP_TOKEN}"`)
	r.edit("bake: 3s", "bake: 1s")
	r.must(0, "deploy", "v1", "--yes")
	out := r.must(0, "plan", "v2") + r.must(0, "deploy", "v2", "--yes") + r.must(0, "status", "--json") + r.must(0, "receipt", "--json")
	if strings.Contains(out, secret) {
		t.Error("a command printed the secret")
	}
	kept := 0
	err := filepath.WalkDir(string(r.state), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(secret)) {
			return err
		}
		kept++
		info, err := entry.Info()
		if err != nil {
			return err
		}
		folder, _, _ := strings.Cut(strings.TrimPrefix(path, string(r.state)+"/"), "/")
		if folder != "configs" && folder != "instances" || info.Mode().Perm() != 0o600 {
			t.Errorf("%s (mode %o) holds the secret", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil || kept == 0 {
		t.Errorf("%d files hold the secret, %v; the configuration must", kept, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s shows the secret: %q", path, text)
		}
	}
}
