package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// bodyLimit bounds the JSON of one entry, in bytes: far above a plan for 10,000 servers.
const bodyLimit = 64 << 20

const insert = "INSERT INTO entries (idx, at, service, rollout, kind, body, sum) VALUES (?, ?, ?, ?, ?, ?, ?)"

// Append implements journal.Journal: one transaction for all events, synced before it returns. When ctx is done it ends early only before
// anything is committed.
func (j *Journal) Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error) {
	bodies, err := encode(events)
	if err != nil {
		return nil, err
	}
	j.appending.Lock()
	defer j.appending.Unlock()
	last, err := j.Last(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, segue.Errorf(segue.KindCanceled, "append to journal: %w", err)
	}
	if len(events) == 0 {
		return nil, nil
	}
	at := journal.Clamp(j.lastAt, j.now())
	entries := make([]segue.Entry, len(events))
	for i, body := range bodies {
		// Read back from what is stored, so that the caller sees what a replay will.
		entries[i] = segue.Entry{Index: last + int64(i) + 1, At: at}
		if err := json.Unmarshal(body, &entries[i].Event); err != nil {
			return nil, segue.Errorf(segue.KindInvalid, "append %s to journal: %w", events[i].Kind, err)
		}
	}
	if err := j.store(ctx, entries, bodies); err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.last, j.lastAt = entries[len(entries)-1].Index, at
	j.mu.Unlock()
	j.feed.Announce()
	return entries, nil
}

func encode(events []segue.Event) ([][]byte, error) {
	bodies := make([][]byte, len(events))
	for i, event := range events {
		body, err := json.Marshal(event)
		if err != nil {
			return nil, segue.Errorf(segue.KindInvalid, "append %s to journal: %w", event.Kind, err)
		}
		if len(body) > bodyLimit {
			return nil, segue.Errorf(segue.KindInvalid, "append %s to journal: %d bytes, of %d at most", event.Kind, len(body), bodyLimit)
		}
		bodies[i] = body
	}
	return bodies, nil
}

// store writes the entries in one transaction. After an error that leaves open what was written, the journal refuses everything.
func (j *Journal) store(ctx context.Context, entries []segue.Entry, bodies [][]byte) error {
	// From here on the caller's impatience must not leave open what was written.
	ctx = context.WithoutCancel(ctx)
	err := j.transaction(ctx, func(tx *sql.Tx) error {
		statement, err := tx.PrepareContext(ctx, insert)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			_, err := statement.ExecContext(ctx, entry.Index, entry.At.UnixNano(), string(entry.Event.Service), int64(entry.Event.Rollout),
				string(entry.Event.Kind), string(bodies[i]), checksum(bodies[i]))
			if err != nil {
				return errors.Join(err, statement.Close())
			}
		}
		return statement.Close()
	})
	if err == nil {
		return nil
	}
	err = j.explain("append to", err)
	if kind := segue.KindOf(err); kind == segue.KindUnavailable || kind == segue.KindCorrupt {
		j.refuse(fmt.Errorf("the journal takes nothing more until it is opened again: %w", err))
		// Watchers are not to wait for what cannot come.
		j.feed.Announce()
	}
	return err
}

// transaction carries out work in one transaction, all or nothing.
func (j *Journal) transaction(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := j.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// checksum is the CRC-32C of a body.
func checksum(body []byte) int64 {
	return int64(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}
