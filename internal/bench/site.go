package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/segue-deploy/segue/internal/app"
	"github.com/segue-deploy/segue/internal/load/backend"
	"github.com/segue-deploy/segue/internal/receipt"
)

// site is a project in a folder of its own with the real program to work on it.
type site struct {
	dir, address string
	programs     Programs
	state        app.State
}

// newSite writes a project of so many servers, with releases that differ by name alone and behave as told. close ends all that runs of it.
func newSite(ctx context.Context, programs Programs, servers int, settings map[string]string, releases ...string) (s *site, err error) {
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s = &site{dir: dir, programs: programs}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write project: %w", err)
			_ = os.RemoveAll(dir)
		}
	}()
	if s.address, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	for _, release := range releases {
		if err := s.release(release, settings); err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf(`project: bench
services:
  web:
    workload:
      driver: process
      servers: %d
      artifact: ./releases/{release}
      command: ["{artifact}/backend"]
      ready: {http: /readyz, within: 20s}
      stop: {grace: 10s}
    balancer: {driver: embedded, listen: %q, drain: {within: 5s, spread: 1s}}
    strategy: {kind: rolling, batches: [1, 100%%], bake: 0s}
`, servers, s.address)
	if err := os.WriteFile(filepath.Join(dir, "segue.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.state, err = app.OpenState(filepath.Join(dir, ".segue"))
	return s, err
}

// release writes a folder that `segue deploy` can be told the name of.
func (s *site) release(name string, settings map[string]string) error {
	folder := filepath.Join(s.dir, "releases", name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := copyProgram(s.programs.Backend, filepath.Join(folder, "backend")); err != nil {
		return err
	}
	settings = maps.Clone(settings)
	settings["RELEASE"] = name // two releases with the same content would be one
	return backend.WriteSettings(folder, settings)
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // only read
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return err
	}
	return target.Close()
}

// close ends all that runs, also when ctx is done.
func (s *site) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := app.Teardown(ctx, s.state, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("end everything in %s: %w", s.dir, err)
	}
	return os.RemoveAll(s.dir)
}

// segue runs a command line and gives what it wrote to its standard output.
func (s *site) segue(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, s.programs.Segue, args...)
	command.Dir = s.dir
	out, err := command.Output()
	if err != nil {
		detail := ""
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
			detail = string(exit.Stderr)
		}
		return out, fmt.Errorf("run segue %v: %w\n%s%s", args, err, out, detail)
	}
	return out, nil
}

// deploy rolls to a release, follows it to its end and gives how long that took, from the start of the program to its exit, and the receipt.
func (s *site) deploy(ctx context.Context, release string) (wall time.Duration, made receipt.Receipt, err error) {
	began := time.Now()
	if _, err := s.segue(ctx, "deploy", release, "--yes"); err != nil {
		return 0, made, err
	}
	wall = time.Since(began)
	text, err := s.segue(ctx, "receipt", "--json")
	if err != nil {
		return 0, made, err
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return 0, made, fmt.Errorf("read receipt: %w", err)
	}
	return wall, made, nil
}
