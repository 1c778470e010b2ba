package process_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// tree fills the folder of a release: a name that ends in a slash is a folder, "->" in the content a link, "#!" makes it executable.
func (r *rig) tree(release string, parts map[string]string) {
	r.t.Helper()
	top := filepath.Join(r.project, "releases", release)
	for name, content := range parts {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		target, link := strings.CutPrefix(content, "->")
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		case strings.HasPrefix(content, "#!"):
			err = os.WriteFile(path, []byte(content), 0o755)
		default:
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) digest(release string) (segue.Digest, error) {
	digest, _, err := r.driver.Digest(r.ctx, r.web(""), segue.ReleaseName(release))
	return digest, err
}

func shop() map[string]string {
	return map[string]string{
		"bin/shop": "#! the program", "static/a.css": "a {}", "static/b.css": "b {}", "empty/": "", "current": "->static/a.css", "loose": "->not/there",
	}
}

// TestDigestIsStable holds the digest's form: releases that are on record must be known again by later versions of Segue.
func TestDigestIsStable(t *testing.T) {
	r := newRig(t)
	r.tree("v1", shop())
	got, err := r.digest("v1")
	const want = "sha256:c28c0099113d3a011d40643a4fb1e010a9a8989479c36f05ee5cacc41f22a9e5"
	if err != nil || got != want {
		t.Errorf("digest %s, %v; want %s", got, err, want)
	}
	// Neither the name nor times, owners and the bits of others belong to it.
	r.tree("v2", shop())
	if err := os.Chmod(filepath.Join(r.project, "releases/v2/static/a.css"), 0o444); err != nil {
		t.Fatal(err)
	}
	if same, err := r.digest("v2"); err != nil || same != got {
		t.Errorf("the same under another name: %s, %v", same, err)
	}
}

func TestDigestTellsEveryDifference(t *testing.T) {
	r := newRig(t)
	seen := map[segue.Digest]string{}
	for name, change := range map[string]func(parts map[string]string){
		"as it is":         func(map[string]string) {},
		"content":          func(p map[string]string) { p["static/a.css"] = "a { }" },
		"executable":       func(p map[string]string) { p["static/a.css"] = "#!"; p["bin/shop"] = "#! the program" },
		"not executable":   func(p map[string]string) { p["bin/shop"] = "the program" },
		"another file":     func(p map[string]string) { p["static/c.css"] = "" },
		"renamed file":     func(p map[string]string) { p["static/aa.css"] = p["static/a.css"]; delete(p, "static/a.css") },
		"empty folder":     func(p map[string]string) { p["empty2/"] = "" },
		"link's target":    func(p map[string]string) { p["current"] = "->static/b.css" },
		"file for a link":  func(p map[string]string) { p["current"] = "static/a.css" },
		"moved content":    func(p map[string]string) { p["static/a.css"], p["static/b.css"] = p["static/b.css"], p["static/a.css"] },
		"content and name": func(p map[string]string) { delete(p, "static/a.css"); p["static/a.cs"] = "sa {}" },
	} {
		parts := shop()
		change(parts)
		release := strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", "")
		r.tree(release, parts)
		digest, err := r.digest(release)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[digest]; ok {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[digest] = name
	}
}

func TestArtifactsThatAreRefused(t *testing.T) {
	r := newRig(t)
	outside := filepath.Join(r.project, "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]string{
		"up": "->../../secret", "absolute": "->" + outside, "inside-but-absolute": "->" + filepath.Join(r.project, "releases"), "up-and-nowhere": "->../../nothing",
		"by-another-link": "->sub/../../../secret",
	} {
		r.tree(name, map[string]string{"deep/sub/file": "x", "sub": "->deep/sub", "link": part})
		_, err := r.digest(name)
		wantKind(t, err, segue.KindInvalid)
		if !strings.Contains(err.Error(), "link") {
			t.Errorf("%s: error %q does not name the link", name, err)
		}
	}
	r.tree("pipe", map[string]string{"file": "x"})
	if err := unix.Mkfifo(filepath.Join(r.project, "releases/pipe/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.digest("pipe")
	wantKind(t, err, segue.KindInvalid)
	if !strings.Contains(err.Error(), "fifo is a named pipe") {
		t.Errorf("error %q does not name the pipe", err)
	}
	_, err = r.digest("missing")
	wantKind(t, err, segue.KindNotFound)
}

func TestStageCopiesExactly(t *testing.T) {
	r := newRig(t)
	r.tree("v1", shop())
	release := r.stage("v1", r.web(""))
	folder := filepath.Join(r.state, "releases/web/v1-"+release.Digest.Short(), "v1")
	for path, want := range map[string]os.FileMode{"bin/shop": 0o755, "static/a.css": 0o644} {
		info, err := os.Stat(filepath.Join(folder, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info, err, want)
		}
	}
	if target, err := os.Readlink(filepath.Join(folder, "loose")); err != nil || target != "not/there" {
		t.Errorf("the loose link points to %q, %v", target, err)
	}
	// The copy has the digest of the original, and is no second name of it.
	config := r.web("")
	config.Artifact = filepath.Join(filepath.Dir(folder), "{release}")
	if digest, _, err := r.driver.Digest(r.ctx, config, "v1"); err != nil || digest != release.Digest {
		t.Errorf("the copy's digest is %s, %v; want %s", digest, err, release.Digest)
	}
	if err := os.WriteFile(filepath.Join(r.project, "releases/v1/bin/shop"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "bin/shop")); err != nil || string(text) != "#! the program" {
		t.Errorf("the copy has %q, %v", text, err)
	}
}

func TestStageGivenUpLeavesNothing(t *testing.T) {
	r := newRig(t)
	config := r.web("")
	r.tree("v1", shop())
	digest, err := r.digest("v1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if err := r.driver.Stage(ctx, config, segue.Release{Service: "web", Name: "v1", Digest: digest}); err == nil {
		t.Error("it was staged without anybody wanting it")
	}
	left, err := filepath.Glob(filepath.Join(r.state, "releases/web/*"))
	hidden, err2 := filepath.Glob(filepath.Join(r.state, "releases/web/.*"))
	if err != nil || err2 != nil || len(left)+len(hidden) > 0 {
		t.Errorf("it left %v %v", left, hidden)
	}
}

func TestFileAsArtifact(t *testing.T) {
	r := newRig(t)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.project, "bin", "shop-v1")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	config := r.worker("")
	config.Command = []string{"./bin/shop-{release}", "worker", "--config=bin/shop-{release}", "{artifact}"}
	digest, artifact, err := r.driver.Digest(r.ctx, config, "v1")
	if err != nil || artifact != path {
		t.Fatalf("artifact %q, %v; want %q", artifact, err, path)
	}
	release := segue.Release{Service: "web", Name: "v1", Digest: digest}
	if err := r.driver.Stage(r.ctx, config, release); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	instance, err := r.driver.Start(r.ctx, launchOf(release, config, 1))
	if err != nil {
		t.Fatal(err)
	}
	r.line(r.lines(instance.ID, true), "worker: works")
	staged := filepath.Join(r.state, "releases/web/v1-"+digest.Short(), "shop-v1")
	line, err := os.ReadFile(filepath.Join("/proc", itoa(instance.PID), "cmdline"))
	if want := strings.Join([]string{staged, "worker", "--config=" + staged, staged, ""}, "\x00"); err != nil || string(line) != want {
		t.Errorf("it runs %q, %v; want %q", line, err, want)
	}
}
