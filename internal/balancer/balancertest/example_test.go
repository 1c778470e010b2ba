package balancertest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
)

// A server is taken out of rotation, finishes what it has, and is removed: the way of every rolling upgrade.
func Example() {
	ctx := context.Background()
	fake := balancertest.NewFake(func() time.Time { return time.Unix(0, 0) })
	_ = fake.Configure(ctx)
	for _, b := range []balancer.Backend{
		{ID: "web-1.v1.1", Server: "web-1", Release: "v1", Address: "10.0.0.1:80"},
		{ID: "web-2.v1.1", Server: "web-2", Release: "v1", Address: "10.0.0.2:80"},
	} {
		_ = fake.Add(ctx, b)
		_ = fake.Admit(ctx, b.ID, 0)
	}
	request := fake.Begin()
	fmt.Println("request is on", <-request.At())

	_ = fake.Drain(ctx, "web-1.v1.1")
	fmt.Println("shares:", fake.Shares())
	n, _ := fake.InFlight(ctx, "web-1.v1.1")
	fmt.Println("still in flight:", n.Requests)

	request.Finish(20 * time.Millisecond)
	n, _ = fake.InFlight(ctx, "web-1.v1.1")
	fmt.Println("still in flight:", n.Requests)
	fmt.Println("removed:", fake.Remove(ctx, "web-1.v1.1"))
	// Output:
	// request is on web-1.v1.1
	// shares: map[web-2.v1.1:1]
	// still in flight: 1
	// still in flight: 0
	// removed: <nil>
}
