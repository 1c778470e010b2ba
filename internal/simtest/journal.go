package simtest

import (
	"context"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// journalOf is the journal as one controller reaches it. It is where controllers are killed: right after an entry was written, before
// anything that follows from it was done.
type journalOf struct {
	*life
	journal.Journal
}

// Append implements journal.Journal.
func (j *journalOf) Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error) {
	if j.gone() {
		return nil, errKilled
	}
	if j.options.Doctor != nil {
		events = slices.Clone(events)
		for i := range events {
			j.options.Doctor(&events[i])
		}
	}
	entries, err := j.Journal.Append(ctx, events...)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		j.record.written(entry)
	}
	if len(entries) > 0 && j.due(entries[len(entries)-1].Index) {
		j.options.Log("killed after entry %d", entries[len(entries)-1].Index)
		j.kill()
		return nil, errKilled
	}
	return entries, nil
}

// due says whether a kill is due at an index, once each.
func (w *World) due(index int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.kills, func(at int64) bool { return at <= index })
	if i < 0 {
		return false
	}
	w.kills = slices.DeleteFunc(slices.Clone(w.kills), func(at int64) bool { return at <= index })
	return true
}
