package logs

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/template"
)

// Stored is what a Gatherer knows, for another process to go on with. Sources are by server.
type Stored struct {
	Mined   template.Stored                   `json:"mined"`
	Sources map[segue.ServerName]StoredSource `json:"sources"`
	Newest  time.Time                         `json:"newest"`
	Closed  int64                             `json:"closed"`
}

// StoredSource is what is known of one server's outputs.
type StoredSource struct {
	Instance string                `json:"instance"`
	Read     []StoredSpan          `json:"read"`
	Lost     []template.Count      `json:"lost,omitempty"`
	Since    int64                 `json:"since"`
	Before   map[template.ID]int64 `json:"before,omitempty"`
}

// StoredSpan is a time in which all outputs of a server were read.
type StoredSpan struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// Stored gives what was gathered until now. What is being read counts as read until now and not after.
func (g *Gatherer) Stored(now time.Time) Stored {
	g.mu.Lock()
	defer g.mu.Unlock()
	now = g.advance(now)
	stored := Stored{Mined: g.miner.Stored(), Sources: map[segue.ServerName]StoredSource{}, Newest: now.Round(0), Closed: g.closed}
	for name, s := range g.servers {
		one := StoredSource{Instance: s.instance, Lost: slices.Clone(s.lost), Since: s.since, Before: maps.Clone(s.before)}
		for _, r := range s.read {
			if r.until.IsZero() {
				r.until = now
			}
			one.Read = append(one.Read, StoredSpan{r.from.Round(0), r.until.Round(0)})
		}
		stored.Sources[name] = one
	}
	return stored
}

// Restore goes on with what another one gathered. The gatherer must be new; after an error it is of no use. From Newest on nobody read until outputs
// are opened here, so that time counts as not read.
func (g *Gatherer) Restore(stored Stored) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.miner.Restore(stored.Mined); err != nil {
		return fmt.Errorf("restore what servers wrote: %w", err)
	}
	for name, one := range stored.Sources {
		s := &source{instance: one.Instance, outputs: map[string]int{}, lost: one.Lost, since: one.Since, before: one.Before, failed: true}
		for _, r := range one.Read {
			s.read = append(s.read, span{r.From, r.Until})
		}
		g.servers[name] = s
	}
	g.advance(stored.Newest)
	g.closed = stored.Closed
	return nil
}
