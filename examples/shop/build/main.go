// Command build builds releases of the example shop into a folder, one folder each: OUT/v1/shop, OUT/v2/shop and so on.
//
//	go run ./examples/shop/build --out ./examples/shop/releases            all of them
//	go run ./examples/shop/build --out /tmp/releases v1 v2                 these two
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/segue-deploy/segue/examples/shop/build/releases"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	out := flag.String("out", "examples/shop/releases", "`folder` for the releases")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = releases.All()
	}
	if err := releases.Build(ctx, *out, names...); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	for _, name := range names {
		_, _ = fmt.Println(releases.Program(*out, name))
	}
}
