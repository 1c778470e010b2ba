// Package releases builds releases of the example shop with the go command. Everything but the last link is shared by the
// build cache, so that each further release takes about a second.
package releases

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// command is the program that is built.
const command = "github.com/segue-deploy/segue/examples/shop"

// All returns the names of the releases that the shop knows: two good ones, and the bad ones.
func All() []string {
	return []string{"v1", "v2", "bad-unready", "bad-crash", "bad-errors", "bad-slow"}
}

// Program returns the path of a release's program below a folder.
func Program(folder, release string) string { return filepath.Join(folder, release, "shop") }

// Build builds releases below a folder. It runs the go command in the current directory, which must be inside Segue's
// module. A release that is there already is replaced in one step.
func Build(ctx context.Context, folder string, names ...string) error {
	valid := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	for _, name := range names {
		if !valid.MatchString(name) {
			return fmt.Errorf("build release %q: a name has letters, digits, dots, dashes and underscores", name)
		}
		if err := buildOne(ctx, folder, name); err != nil {
			return err
		}
	}
	return nil
}

// buildOne builds one release beside its place and moves it there.
func buildOne(ctx context.Context, folder, name string) error {
	program := Program(folder, name)
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return fmt.Errorf("build release %s: %w", name, err)
	}
	fresh := program + ".new"
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.release="+name, "-o", fresh, command)
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build release %s: %w\n%s", name, err, output)
	}
	if err := os.Rename(fresh, program); err != nil {
		return fmt.Errorf("build release %s: %w", name, err)
	}
	return nil
}
