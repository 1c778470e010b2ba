package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// message is what the loop is asked. Exactly one of events, decide and look is set.
type message struct {
	// events are written and folded as they are.
	events []segue.Event
	// decide turns the ledger as it is into events, or refuses.
	decide func(ledger *rollout.Ledger) ([]segue.Event, error)
	// look reads the ledger; it must copy what it keeps.
	look func(ledger *rollout.Ledger, last int64)
	// answer gets the outcome; nil when nobody waits.
	answer chan error
}

// batchLimit bounds how many waiting messages are written in one go.
const batchLimit = 128

// errStopped answers calls that come after the end.
var errStopped = segue.Errorf(segue.KindUnavailable, "the controller is ending")

// replay folds the journal. It gives the commands that were handed out and never answered, and the rollouts that have their receipt.
func (c *Controller) replay(ctx context.Context) ([]rollout.Command, map[segue.RolloutID]bool, error) {
	receipts := map[segue.RolloutID]bool{}
	for entry, err := range c.options.Journal.Entries(ctx, 1) {
		if err != nil {
			return nil, nil, fmt.Errorf("replay journal: %w", err)
		}
		if entry.Event.Kind == segue.EventReceipt {
			receipts[entry.Event.Rollout] = true
		}
		c.ledger, _ = c.ledger.Apply(entry)
		c.last = entry.Index
	}
	return c.ledger.Outstanding(), receipts, nil
}

// loop is the one goroutine that decides.
func (c *Controller) loop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-c.mail:
			if err := c.handle(ctx, c.batch(m)); err != nil {
				if ctx.Err() != nil && errors.Is(err, context.Canceled) {
					return nil
				}
				return err
			}
		}
	}
}

// batch gathers what waits already: one write to the journal serves many outcomes.
func (c *Controller) batch(first message) []message {
	batch := []message{first}
	for len(batch) < batchLimit {
		select {
		case m := <-c.mail:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// handle writes and folds a batch; runs of plain events share one write.
func (c *Controller) handle(ctx context.Context, batch []message) error {
	for len(batch) > 0 {
		var events []segue.Event
		plain := 0
		for plain < len(batch) && batch[plain].events != nil {
			events = append(events, batch[plain].events...)
			plain++
		}
		if plain > 0 {
			err := c.write(ctx, events)
			for _, m := range batch[:plain] {
				m.reply(err)
			}
			if err != nil {
				return err
			}
			batch = batch[plain:]
			continue
		}
		if err := c.handleOne(ctx, batch[0]); err != nil {
			return err
		}
		batch = batch[1:]
	}
	return nil
}

func (c *Controller) handleOne(ctx context.Context, m message) error {
	if m.look != nil {
		m.look(&c.ledger, c.last)
		m.reply(nil)
		return nil
	}
	events, err := m.decide(&c.ledger)
	if err != nil || len(events) == 0 {
		m.reply(err)
		return nil
	}
	err = c.write(ctx, events)
	m.reply(err)
	return err
}

func (m message) reply(err error) {
	if m.answer != nil {
		m.answer <- err
	}
}

// write is journal first, then fold, then act.
func (c *Controller) write(ctx context.Context, events []segue.Event) error {
	entries, err := c.options.Journal.Append(ctx, events...)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	for _, entry := range entries {
		var commands []rollout.Command
		c.ledger, commands = c.ledger.Apply(entry)
		c.last = entry.Index
		c.log.DebugContext(ctx, "event", "index", entry.Index, "kind", entry.Event.Kind, "rollout", entry.Event.Rollout, "step", entry.Event.Step, "server", entry.Event.Server)
		c.afterEvent(ctx, entry)
		for _, command := range commands {
			c.dispatch(ctx, command)
		}
	}
	return nil
}

// post hands events to the loop and does not wait for them to be written. It gives up when ctx is done.
func (c *Controller) post(ctx context.Context, events ...segue.Event) {
	select {
	case c.mail <- message{events: events}:
	case <-ctx.Done():
	case <-c.stopped:
	}
}

// ask hands a message to the loop and waits for its answer.
func (c *Controller) ask(ctx context.Context, m message) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return segue.Errorf(segue.KindCanceled, "wait for controller: %w", context.Cause(ctx))
	case <-c.stopped:
		return errStopped
	}
	m.answer = make(chan error, 1)
	select {
	case c.mail <- m:
	case <-ctx.Done():
		return segue.Errorf(segue.KindCanceled, "ask controller: %w", context.Cause(ctx))
	case <-c.stopped:
		return errStopped
	}
	select {
	case err := <-m.answer:
		return err
	case <-c.stopped:
	}
	select {
	case err := <-m.answer:
		return err
	default:
		return errStopped
	}
}

// look reads the ledger in the loop.
func (c *Controller) look(ctx context.Context, read func(ledger *rollout.Ledger, last int64)) error {
	return c.ask(ctx, message{look: read})
}

// decide turns the ledger as it is into events that are written before it returns.
func (c *Controller) decide(ctx context.Context, decide func(ledger *rollout.Ledger) ([]segue.Event, error)) error {
	return c.ask(ctx, message{decide: decide})
}

// drainMail answers who still waits when the loop has ended.
func (c *Controller) drainMail() {
	for {
		select {
		case m := <-c.mail:
			m.reply(errStopped)
		default:
			return
		}
	}
}
