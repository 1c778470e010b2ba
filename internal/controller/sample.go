package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// sample writes the counters as they are into the journal, for the receipt.
func (c *Controller) sample(ctx context.Context, m *monitor, label string) {
	since := m.mark()
	event, err := m.measure(ctx, label, since).Lean(since).Event(m.service.name, m.id)
	if err != nil {
		m.log.ErrorContext(ctx, "encode sample", "error", err)
		return
	}
	err = c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) { return []segue.Event{event}, nil })
	if err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "write sample", "error", err)
	}
}

// mark notes that a sample is taken now, and gives when the one before was.
func (m *monitor) mark() (before time.Time) {
	m.marks.Lock()
	defer m.marks.Unlock()
	before, m.sampled = m.sampled, time.Now()
	return before
}

// lastSample is when the last sample went to the journal.
func (m *monitor) lastSample() time.Time {
	m.marks.Lock()
	defer m.marks.Unlock()
	return m.sampled
}

// sampleAfter is how long ago the last sample must be for another one: seconds at first, minutes in a fleet that stays mixed for days, longer where a
// sample is large.
func (m *monitor) sampleAfter(atStep bool) time.Duration {
	age := time.Since(m.opened)
	pause := min(max(15*time.Second, age/100), 10*time.Minute)
	if atStep {
		pause = min(max(time.Second, age/1000), 15*time.Second)
	}
	return max(pause, time.Duration(len(m.settings.Servers))*100*time.Millisecond)
}

func (m *monitor) measure(ctx context.Context, label string, since time.Time) receipt.Sample {
	sample := receipt.Sample{Label: label}
	if m.service.balancer != nil {
		if snapshot, err := m.service.balancer.Snapshot(ctx); err == nil {
			sample.Balancer = withoutRoutes(snapshot)
		} else if ctx.Err() == nil {
			m.log.WarnContext(ctx, "look at balancer", "error", err)
		}
	}
	if m.witness != nil {
		sample.Witness = m.witness.Sample(since)
	}
	return sample
}

// withoutRoutes leaves out what receipts do not tell, and what would be most of a sample.
func withoutRoutes(snapshot telemetry.Snapshot) *telemetry.Snapshot {
	snapshot.Backends = slices.Clone(snapshot.Backends)
	for i := range snapshot.Backends {
		snapshot.Backends[i].Routes = nil
	}
	return &snapshot
}

// storeReceipt makes the receipt of a rollout that has ended and keeps it in the journal, once.
func (c *Controller) storeReceipt(ctx context.Context, m *monitor) {
	text, err := c.storedReceipt(ctx, m.id)
	if err != nil || text != nil {
		return
	}
	made, err := c.buildReceipt(ctx, m.id, nil)
	if err != nil {
		m.log.ErrorContext(ctx, "make receipt", "error", err)
		return
	}
	err = c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) {
		return []segue.Event{{Kind: segue.EventReceipt, Service: m.service.name, Rollout: m.id, Data: made}}, nil
	})
	if err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "store receipt", "error", err)
	}
}

// makeUp stores the receipts that a former controller did not come to: it was killed between the end of a rollout and its receipt.
func (c *Controller) makeUp(ctx context.Context, have map[segue.RolloutID]bool) {
	for name, known := range c.ledger.Services {
		for _, past := range known.History {
			if have[past.ID] {
				continue
			}
			m := &monitor{id: past.ID, service: &service{name: name}, log: c.log.With("rollout", past.ID)}
			c.running.Go(func() { c.storeReceipt(ctx, m) })
		}
	}
}

// Receipt gives a rollout's stored receipt, or a partial one while it is open.
func (c *Controller) Receipt(ctx context.Context, id segue.RolloutID) (json.RawMessage, error) {
	var m *monitor
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		if id == 0 {
			id = ledger.Next() - 1
		}
		m = c.monitors[id]
	})
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, segue.Errorf(segue.KindNotFound, "there was no rollout yet").WithHint("segue deploy RELEASE opens one")
	}
	text, err := c.storedReceipt(ctx, id)
	if err != nil || text != nil {
		return text, err
	}
	var latest *receipt.Sample
	if m != nil {
		sample := m.measure(ctx, "now", m.lastSample())
		latest = &sample
	}
	return c.buildReceipt(ctx, id, latest)
}

// storedReceipt finds a rollout's receipt in the journal; nil when there is none.
func (c *Controller) storedReceipt(ctx context.Context, id segue.RolloutID) (json.RawMessage, error) {
	entries, err := c.entriesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Event.Kind == segue.EventReceipt {
			return entry.Event.Data, nil
		}
	}
	return nil, nil
}

// buildReceipt makes a receipt from the journal, and from the latest sample where the rollout goes on.
func (c *Controller) buildReceipt(ctx context.Context, id segue.RolloutID, latest *receipt.Sample) (json.RawMessage, error) {
	entries, err := c.entriesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, segue.Errorf(segue.KindNotFound, "no rollout %s", id).WithHint("`segue history` lists them")
	}
	view, err := c.Rollout(ctx, id)
	if err != nil {
		return nil, err
	}
	input := receipt.Input{Entries: entries, Rollout: id, Phase: view.Phase, Sentence: view.Sentence, Ended: view.EndedAt, Now: time.Now()}
	if latest != nil {
		input.Live = []receipt.Sample{*latest}
	}
	text, err := json.Marshal(receipt.Build(input))
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return text, nil
}

// entriesOf reads a rollout's entries, straight where the journal can.
func (c *Controller) entriesOf(ctx context.Context, id segue.RolloutID) ([]segue.Entry, error) {
	entries := c.options.Journal.Entries(ctx, 1)
	if indexed, ok := c.options.Journal.(journal.ByRollout); ok {
		entries = indexed.EntriesOf(ctx, id)
	}
	var found []segue.Entry
	for entry, err := range entries {
		if err != nil {
			return nil, fmt.Errorf("read journal of rollout %s: %w", id, err)
		}
		if entry.Event.Rollout == id {
			found = append(found, entry)
		}
	}
	return found, nil
}
