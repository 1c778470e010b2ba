package journal

import (
	"context"
	"iter"

	"github.com/segue-deploy/segue"
)

// ByRollout is an optional ability: finding one rollout's entries without reading all others.
type ByRollout interface {
	// EntriesOf gives the entries of one rollout in order, as of the call.
	EntriesOf(ctx context.Context, rollout segue.RolloutID) iter.Seq2[segue.Entry, error]
}

// EntriesOf gives the entries of one rollout in order, as of the call: by the journal's own ability, or by reading everything.
func EntriesOf(ctx context.Context, j Journal, rollout segue.RolloutID) iter.Seq2[segue.Entry, error] {
	if by, ok := j.(ByRollout); ok {
		return by.EntriesOf(ctx, rollout)
	}
	return func(yield func(segue.Entry, error) bool) {
		for entry, err := range j.Entries(ctx, 1) {
			if err == nil && entry.Event.Rollout != rollout {
				continue
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}
