// Package releases builds releases of the example shop with the go command. Everything but the last link is shared by the
// build cache, so that each further release takes about a second.
package releases

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/segue-deploy/segue/examples/shop/shop"
)

// command is the program that is built.
const command = "github.com/segue-deploy/segue/examples/shop"

// All returns the names of the releases that the shop knows: good ones, one whose migration breaks all others and one whose takes long, and bad
// ones.
func All() []string {
	return []string{"v1", "v2", "v3", "v3-breaking", "v3-long", "bad-unready", "bad-crash", "bad-errors", "bad-slow"}
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
	for _, dialect := range []string{"sqlite", "postgres"} {
		if err := copyMigrations(folder, name, dialect); err != nil {
			return err
		}
	}
	return nil
}

// copyMigrations puts the migrations that come with a release beside its program, and the list of the statements that it sends.
func copyMigrations(folder, name, dialect string) error {
	source, files, err := shop.Migrations(name, dialect)
	if err != nil {
		return fmt.Errorf("find migrations of release %s: %w", name, err)
	}
	target := filepath.Join(folder, name, "migrations", dialect)
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove old migrations: %w", err)
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("make folder of migrations: %w", err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(source, file)
		if err != nil {
			return fmt.Errorf("read migration %s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(target, file), text, 0o644); err != nil {
			return fmt.Errorf("write migration: %w", err)
		}
	}
	statements, err := shop.Statements(name, dialect)
	if err != nil {
		return fmt.Errorf("find statements of release %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(folder, name, "statements."+dialect+".sql"), statements, 0o644); err != nil {
		return fmt.Errorf("write statements: %w", err)
	}
	return nil
}
