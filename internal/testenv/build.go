package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// builds remembers what this process has built, so that a hundred tests which
// ask for the same program build it once.
//
//nolint:gochecknoglobals // a memo for the life of one test process
var builds sync.Map // of build key to func() (string, error)

// Build compiles a main package, such as "./cmd/segue" (relative to the root of
// the repository), and returns the program's path. ldflags are handed to the
// linker: "-X", "main.release=v2". It builds once per test process, without
// cgo and without the race detector: the program is the one that ships.
//
// The programs live in a folder of the user's below the temporary one, shared
// by test processes and runs, so that an unchanged one is not linked again. A
// build never writes into a program that runs: it is replaced as a whole.
func Build(tb testing.TB, pkg string, ldflags ...string) string {
	tb.Helper()
	root := Root(tb)
	key := strings.Join(append([]string{root, pkg}, ldflags...), "\x00")
	once, _ := builds.LoadOrStore(key, sync.OnceValues(func() (string, error) {
		// Not tb's context: the program outlives the test that asks first.
		return build(context.WithoutCancel(tb.Context()), root, pkg, ldflags)
	}))
	program, err := once.(func() (string, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

// build compiles pkg into the shared folder.
func build(ctx context.Context, root, pkg string, ldflags []string) (program string, err error) {
	dir, err := sharedDir(os.TempDir())
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{root, pkg}, ldflags...), "\x00")))
	name := path.Base(filepath.ToSlash(pkg))
	dir = filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	defer unlock()

	program = filepath.Join(dir, name)
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "-ldflags", strings.Join(ldflags, " "), pkg)
	compile.Dir = root
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}

// sharedDir makes the user's folder for programs below tmp. It refuses one
// that belongs to somebody else: what lies in it gets run.
func sharedDir(tmp string) (string, error) {
	dir := filepath.Join(tmp, fmt.Sprintf("segue-testenv-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder that only this user can write: remove it", dir)
	}
	return dir, nil
}

// lock takes the file's lock, waiting for other test processes to give it up.
// It dies with its holder.
func lock(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close() // the lock's error is the one to tell
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = file.Close() }, nil // closing gives the lock up
}
