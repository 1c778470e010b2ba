package workloadtest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// A release goes through a driver: its artifact is staged, an instance is started and gets ready, and is stopped for good.
func Example() {
	ctx := context.Background()
	fake := workloadtest.NewFake()
	fake.Behave("web", "v2", workloadtest.Behaviour{Boot: time.Millisecond})
	var driver workload.Driver = fake
	defer driver.Close()

	config := workloadtest.Config("command: ./shop")
	digest, artifact, err := driver.Digest(ctx, config, "v2")
	if err != nil {
		fmt.Println(err)
		return
	}
	release := segue.Release{Service: "web", Name: "v2", Digest: digest, Artifact: artifact, Config: config.Digest()}
	if err := driver.Stage(ctx, config, release); err != nil {
		fmt.Println(err)
		return
	}
	launch := workload.Launch{
		ID: segue.NewInstanceID("web-1", "v2", 7, 1), Service: "web", Server: "web-1", Release: release, Config: config, Grace: time.Second,
	}
	instance, err := driver.Start(ctx, launch)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(instance.ID, instance.State, instance.Address)
	fmt.Println("ready:", driver.AwaitReady(ctx, instance.ID))
	fmt.Println("stopped:", driver.Stop(ctx, instance.ID))
	_, err = driver.Start(ctx, launch)
	fmt.Println(segue.KindOf(err), "when started again")
	// Output:
	// web-1.v2.7 running 127.0.0.1:10001
	// ready: <nil>
	// stopped: <nil>
	// conflict when started again
}
