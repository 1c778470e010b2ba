package witness

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	// writeLimit bounds the writes that are remembered, over all users; writeLimitPerUser those of one.
	writeLimit        = 4096
	writeLimitPerUser = 64
	// firstLook is how long after a write it is read back first; a copy of the database may lag so far.
	firstLook = 300 * time.Millisecond
	// looks is how often a write must be missing in a row before it counts as lost.
	looks = 3
	// recheckEvery is the number of turns between two read-backs of writes that were found before.
	recheckEvery = 8
)

// write is one write that can be read back.
type write struct {
	id   string
	step string
	path string
	rule Verify
	vars values
	at   time.Time
	// acked is true when the site said that it is done. Then it must be there once; else at most once.
	acked  bool
	next   time.Time
	misses int
	// verified is true once it was read back and as it should be; told once there is nothing more to say of it.
	verified, told bool
	server         string
}

// writeBook remembers one user's latest writes.
type writeBook struct {
	limit int
	// all is ordered by age.
	all []*write
	// turn is the place of the next recheck.
	turn int
}

// add remembers a write and returns the one that had to be forgotten for it, or nil. Those that were read back go first.
func (b *writeBook) add(w *write) (forgotten *write) {
	if len(b.all) >= b.limit {
		i := max(0, slices.IndexFunc(b.all, func(w *write) bool { return w.verified || w.told }))
		forgotten = b.all[i]
		b.all = slices.Delete(b.all, i, i+1)
	}
	b.all = append(b.all, w)
	return forgotten
}

// clear forgets everything and says how many writes were never read back.
func (b *writeBook) clear() (open int) {
	for _, w := range b.all {
		if !w.verified && !w.told {
			open++
		}
		w.told = true
	}
	b.all = nil
	return open
}

// due gives the write that should be read back now, or nil: first those that never were, then now and then an older one.
func (b *writeBook) due(now time.Time, turn int) *write {
	for _, w := range b.all {
		if !w.verified && !w.told && !now.Before(w.next) {
			return w
		}
	}
	if turn%recheckEvery != 0 || len(b.all) == 0 {
		return nil
	}
	b.turn = (b.turn + 1) % len(b.all)
	if w := b.all[b.turn]; w.verified && !w.told {
		return w
	}
	return nil
}

// wrote remembers what a step with Write has done, or may have done.
func (u *user) wrote(step Step, a *answer, m *mishap, v values) {
	// An ID out of an answer is this answer's or nobody's.
	for name := range step.Capture {
		delete(v, name)
		if m == nil {
			v[name] = u.captured[name]
		}
	}
	id, err := parseTemplate(step.Write.ID).fill(v, nil)
	if err != nil || id == "" {
		u.w.tally.count(func(r *Report) {
			r.Writes.Unsure++
			r.Writes.Unverified++
		})
		return
	}
	if m != nil && m.cause == CauseDial {
		return
	}
	v["id"] = id
	now := time.Now()
	entry := &write{
		id: id, step: step.Name, path: step.Write.Verify.Path, rule: step.Write.Verify, vars: v,
		at: now, acked: m == nil, next: now.Add(firstLook),
	}
	if a != nil {
		entry.server = string(a.server)
	}
	forgotten := u.writes.add(entry)
	u.w.tally.count(func(r *Report) {
		if entry.acked {
			r.Writes.Made++
		} else {
			r.Writes.Unsure++
		}
		if forgotten != nil && !forgotten.verified && !forgotten.told {
			r.Writes.Unverified++
		}
	})
}

// verify reads a write back once and draws the conclusion. It returns false when that could not be done, or is to be done again.
func (u *user) verify(ctx context.Context, w *write) bool {
	name := w.step + " (read back)"
	began := time.Now()
	w.next = began.Add(firstLook << min(w.misses, 4))
	n, a, m := u.readBack(ctx, w)
	if m != nil {
		if ctx.Err() == nil {
			u.fail(name, a, m)
		}
		return false
	}
	if n == 0 && w.acked && w.misses+1 < looks {
		w.misses++
		return false
	}
	if n > 0 {
		u.w.tally.worked(name, time.Since(began))
	}
	switch {
	case n > 1:
		u.tellWrite(w, a, fmt.Sprintf("write %s was applied %d times", clip(w.id, 64), n), func(r *Report) { r.Writes.Doubled++ })
	case n == 0 && w.acked:
		u.missing(w, a, name)
	default:
		w.misses = 0
		if !w.verified {
			u.w.tally.count(func(r *Report) { r.Writes.Verified++ })
		}
		w.verified = true
	}
	return true
}

// missing concludes that a write is lost; if reading back has never found anything, that is the journey's fault and not the site's.
func (u *user) missing(w *write, a *answer, name string) {
	what := fmt.Sprintf("write %s was acknowledged and is not there", clip(w.id, 64))
	if u.w.tally.isProven(name) {
		u.tellWrite(w, a, what, func(r *Report) { r.Writes.Lost++ })
		return
	}
	w.told = true
	u.w.tally.count(func(r *Report) { r.Writes.Unverified++ })
	u.fail(name, a, &mishap{cause: CauseText, what: what})
}

// tellWrite counts a broken write and keeps a finding: once for each.
func (u *user) tellWrite(w *write, a *answer, what string, change func(r *Report)) {
	if w.told {
		return
	}
	w.told = true
	u.w.tally.count(change)
	by := ""
	if w.server != "" {
		by = ", acknowledged by " + w.server
	}
	who := fmt.Sprintf("step %q of user %d, made at %s%s, read back", w.step, u.index+1, w.at.Format("15:04:05.000"), by)
	u.w.tally.find(u.finding(time.Now(), a, who, what))
	u.w.log.Warn("witness write broken", "step", w.step, "user", u.index+1, "id", clip(w.id, 64))
}

// readBack asks the site how often a write is there.
func (u *user) readBack(ctx context.Context, w *write) (int, *answer, *mishap) {
	step := Step{Name: w.step, Path: w.path, Headers: w.rule.Headers, Expect: Expect{Status: Statuses{http.StatusOK, http.StatusNotFound}}}
	request, err := u.request(ctx, step, w.vars)
	if err != nil {
		return 0, nil, &mishap{cause: CauseCapture, what: err.Error()}
	}
	a, m := u.follow(ctx, step, request)
	if m != nil {
		return 0, a, m
	}
	switch {
	case a.status == http.StatusNotFound:
		return 0, a, u.checkRelease(a)
	case a.status != http.StatusOK:
		return 0, a, &mishap{cause: CauseStatus, what: fmt.Sprintf("status %d, want 200, or 404 for what is not there", a.status)}
	}
	if m := u.checkRelease(a); m != nil {
		return 0, a, m
	}
	if w.rule.Count == nil {
		if bytes.Contains(a.body, []byte(w.id)) {
			return 1, a, nil
		}
		return 0, a, nil
	}
	n, err := w.rule.Count.count(a, w.id)
	if err != nil {
		return 0, a, &mishap{cause: CauseJSON, what: err.Error()}
	}
	return n, a, nil
}

// settle reads every remembered write back a last time.
func (u *user) settle(ctx context.Context) {
	// A read-back that finds the user logged out empties the book.
	for _, w := range slices.Clone(u.writes.all) {
		for range looks {
			if w.told || u.verify(ctx, w) {
				break
			}
			if !sleep(ctx, firstLook) {
				break
			}
		}
		if !w.verified && !w.told {
			u.w.tally.count(func(r *Report) { r.Writes.Unverified++ })
		}
	}
}
