// Package journal is the contract of where entries are kept: append only, numbered without gaps, replayed after a crash, watched live.
//
// A driver is a folder below this one. Every driver passes the conformance suite in journaltest, which also has the fault injector.
package journal

import (
	"context"
	"iter"

	"github.com/segue-deploy/segue"
)

// Journal keeps entries. Methods may be called at the same time.
type Journal interface {
	// Append writes events, all or none, durably, and returns them as entries with their indices and times. An error means that nothing was
	// written, with one exception: KindUnavailable after which the journal refuses everything until it is opened again (a full or broken
	// disk: whether it was written is then found out by reading it).
	Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error)

	// Entries gives the entries from index `from` (1 is the first) on, in order, as of the call.
	Entries(ctx context.Context, from int64) iter.Seq2[segue.Entry, error]

	// Last is the index of the last entry, 0 when empty.
	Last(ctx context.Context) (int64, error)

	// Watch gives the entries from index `from` on and then every new one, until ctx is done or the caller stops. A slow watcher loses nothing: it reads
	// what it missed from the store.
	Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error]

	// Close ends it. Entries that were appended stay.
	Close() error
}
