package journal_test

import (
	"context"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
	"github.com/segue-deploy/segue/internal/journal/memory"
)

// What was appended is numbered, and can be read again: all of it, or one rollout's.
func Example() {
	ctx := context.Background()
	var j journal.Journal = memory.New(nil)
	defer j.Close()
	if _, err := j.Append(ctx,
		segue.Event{Kind: segue.EventReleaseRegistered, Service: "web"},
		segue.Event{Kind: segue.EventStepDone, Service: "web", Rollout: 7, Step: 1},
	); err != nil {
		fmt.Println(err)
	}
	for entry, err := range j.Entries(ctx, 1) {
		fmt.Println(entry.Index, entry.Event.Kind, err)
	}
	for entry, err := range journal.EntriesOf(ctx, j, 7) {
		fmt.Println("of rollout 7:", entry.Index, err)
	}
	// Output:
	// 1 release-registered <nil>
	// 2 step-done <nil>
	// of rollout 7: 2 <nil>
}
