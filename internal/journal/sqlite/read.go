package sqlite

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/segue-deploy/segue"
)

// page is how many entries are read at a time. Between pages no lock and no connection is held, so that a slow reader stops nobody, and may
// append while it reads.
const page = 256

const (
	selectPage   = "SELECT idx, at, body, sum FROM entries WHERE idx BETWEEN ? AND ?"
	onlyRollout  = " AND rollout <> 0 AND rollout = ?"
	inOrderBound = " ORDER BY idx LIMIT ?"
)

// Entries implements journal.Journal.
func (j *Journal) Entries(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return j.pages(ctx, from, 0)
}

// EntriesOf implements journal.ByRollout.
func (j *Journal) EntriesOf(ctx context.Context, rollout segue.RolloutID) iter.Seq2[segue.Entry, error] {
	if rollout == 0 {
		return func(func(segue.Entry, error) bool) {}
	}
	return j.pages(ctx, 1, rollout)
}

// Watch implements journal.Journal.
func (j *Journal) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return j.feed.Watch(ctx, from, j.Entries)
}

// pages gives the entries from index `from` to the end as of the call; only those of one rollout unless that is 0.
func (j *Journal) pages(ctx context.Context, from int64, rollout segue.RolloutID) iter.Seq2[segue.Entry, error] {
	last, refusal := j.Last(ctx)
	return func(yield func(segue.Entry, error) bool) {
		if refusal != nil {
			yield(segue.Entry{}, refusal)
			return
		}
		for next := max(from, 1); next <= last; {
			entries, err := j.page(ctx, next, last, rollout)
			if err != nil {
				yield(segue.Entry{}, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
				next = entry.Index + 1
			}
			if len(entries) < page {
				return
			}
		}
	}
}

// page reads at most so many entries from next to last. Of all rollouts' entries none may be missing.
func (j *Journal) page(ctx context.Context, next, last int64, rollout segue.RolloutID) (entries []segue.Entry, err error) {
	query, args := selectPage, []any{next, last}
	if rollout != 0 {
		query, args = query+onlyRollout, append(args, int64(rollout))
	}
	rows, err := j.read.QueryContext(ctx, query+inOrderBound, append(args, page)...)
	if err != nil {
		return nil, j.explain("read", err)
	}
	defer func() {
		if closing := rows.Close(); closing != nil && err == nil {
			err = j.explain("read", closing)
		}
	}()
	for rows.Next() {
		var index, at, sum int64
		var body []byte
		if err := rows.Scan(&index, &at, &body, &sum); err != nil {
			return nil, j.explain("read", err)
		}
		if want := next + int64(len(entries)); rollout == 0 && index != want {
			return nil, j.corrupt("entry %d is missing", want)
		}
		entry := segue.Entry{Index: index, At: time.Unix(0, at).UTC()}
		if checksum(body) != sum {
			return nil, j.corrupt("the checksum of entry %d does not match", index)
		}
		if err := json.Unmarshal(body, &entry.Event); err != nil {
			return nil, j.corrupt("entry %d is not readable: %v", index, err)
		}
		entries = append(entries, entry)
	}
	if err := rows.Err(); err != nil {
		return nil, j.explain("read", err)
	}
	if want := min(page, last-next+1); rollout == 0 && int64(len(entries)) < want {
		return nil, j.corrupt("entry %d is missing", next+int64(len(entries)))
	}
	return entries, nil
}
