// Command bench measures Segue beside what a user would pick instead and beside the physical limit: it prints a table and writes bench.json.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/segue-deploy/segue/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part is one of the things that are measured.
type part struct {
	name    string
	measure func() error
}

func run(ctx context.Context) error {
	out := flag.String("out", "bench.json", "`file` for the rows")
	only := flag.String("only", "", "measure only this `part`: proxy, failures, rollout, fleet, databases or judges (or a part of that: judges/rates)")
	quick := flag.Bool("quick", false, "shorter rounds")
	flag.Parse()
	table := &bench.Table{Log: os.Stderr}
	sayMachine(table)
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	programs, err := build(ctx, dir)
	if err != nil {
		return err
	}
	full := os.Getenv("BENCH_FULL") == "1"
	rounds, duration, restarts := 5, 6*time.Second, 10
	if *quick {
		rounds, duration, restarts = 3, 2*time.Second, 3
	}
	for _, p := range []part{
		{"proxy", func() error { return bench.Proxy(ctx, table, programs, rounds, duration) }},
		{"failures", func() error { return bench.Failures(ctx, table, programs, restarts) }},
		{"rollout", func() error { return bench.Rollout(ctx, table, programs, min(rounds, 3)) }},
		{"fleet", func() error { return bench.Fleets(ctx, table, bench.FleetSizes(*quick)) }},
		{"databases", func() error { return bench.Databases(ctx, table, full) }},
		{"judges/costs", func() error { return bench.JudgeCosts(ctx, table) }},
		{"judges/rates", func() error { return bench.JudgeRates(ctx, table, full) }},
		{"judges/mirror", func() error { return bench.Mirror(ctx, table, programs, full) }},
	} {
		if *only != "" && *only != p.name && !strings.HasPrefix(p.name, *only+"/") {
			continue
		}
		if err := p.measure(); err != nil {
			return fmt.Errorf("measure %s: %w", p.name, err)
		}
	}
	if len(table.Rows) == 0 {
		return fmt.Errorf("nothing was measured: is there a part named %q?", *only)
	}
	table.Print(os.Stdout)
	return table.Write(*out)
}

// build makes the programs that are measured.
func build(ctx context.Context, dir string) (bench.Programs, error) {
	programs := bench.Programs{
		Segue: filepath.Join(dir, "segue"), Peer: filepath.Join(dir, "peer"), Backend: filepath.Join(dir, "backend"),
	}
	for path, source := range map[string]string{
		programs.Segue: "./cmd/segue", programs.Peer: "./internal/bench/peer", programs.Backend: "./internal/load/backend/cmd",
	} {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, source)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := command.CombinedOutput(); err != nil {
			return programs, fmt.Errorf("build %s: %w\n%s", source, err, text)
		}
	}
	return programs, nil
}

// sayMachine tells what the figures were taken on.
func sayMachine(table *bench.Table) {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	table.Say("%s, %d CPUs, %s, load average %s", model, runtime.NumCPU(), runtime.Version(), load)
	table.Say("Other work on the machine makes figures noisy: CPU time per request, and ratios within this run, are what to trust.")
}
