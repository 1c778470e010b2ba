// Command load sends mixed traffic to a target for a time and prints the account: a table, or JSON with --json. It exits
// with 1 if anything failed, was lost or was applied twice.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/load/backend"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	good, err := run(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "load:", err)
	}
	if !good {
		os.Exit(1)
	}
}

// run sends traffic until ctx or the time ends and reports whether all went well.
func run(ctx context.Context) (good bool, err error) {
	var config load.Config
	flag.StringVar(&config.Target, "target", "http://127.0.0.1:8080", "base URL")
	flag.Float64Var(&config.Gets, "gets", 0, "GETs per second")
	flag.Float64Var(&config.Posts, "posts", 0, "POSTs per second")
	flag.IntVar(&config.PostBytes, "post-bytes", 0, "size of a POST (default 64 KiB)")
	flag.IntVar(&config.Uploads, "uploads", 0, "slow uploads kept going")
	flag.IntVar(&config.Streams, "streams", 0, "streams kept going")
	flag.IntVar(&config.WebSockets, "websockets", 0, "WebSockets kept open")
	flag.StringVar(&config.WebSocketPath, "websocket-path", "", "where WebSockets are (default /ws)")
	flag.StringVar(&config.ServerHeader, "server-header", "", "answer header that names the server (default X-Server)")
	flag.StringVar(&config.ReleaseHeader, "release-header", "", "answer header that names the release (default X-Release)")
	flag.IntVar(&config.Connections, "connections", 0, "keep-alive connections (default 64)")
	paths := flag.String("paths", "/", "paths to GET, with commas between")
	ledger := flag.String("ledger", "", "ledger file of the test backends to compare the POSTs with")
	duration := flag.Duration("for", 10*time.Second, "how long to send")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	config.GetPaths = strings.Split(*paths, ",")
	generator, err := load.New(config)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	report := generator.Run(ctx)
	good = report.Failed == 0
	if *ledger != "" {
		kept, err := backend.ReadLedger(*ledger)
		if err != nil {
			return false, err
		}
		orders := report.Reconcile(kept.Applied)
		good = good && len(orders.Lost) == 0 && len(orders.Twice) == 0
	}
	if *asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return good, out.Encode(report)
	}
	_, err = fmt.Print(report)
	return good, err
}
