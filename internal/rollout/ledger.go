package rollout

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// Ledger is what the whole journal amounts to: the fold of all its entries. The zero value is the ledger of an empty journal.
//
// Like a State it is used up by Apply: readers on other goroutines take a Clone, or a Clone of the service that they want.
type Ledger struct {
	// Last is the index of the last entry that was folded.
	Last int64 `json:"last"`
	// NextRollout is the number that the next rollout gets; see Next for a ledger that may be empty.
	NextRollout segue.RolloutID `json:"next_rollout"`
	// Services by name.
	Services map[segue.ServiceName]*ServiceLedger `json:"services"`
	// Databases by name, those that something was ordered of.
	Databases map[segue.DatabaseName]DatabaseLedger `json:"databases,omitempty"`

	// rollouts finds the service of an open or queued rollout.
	rollouts map[segue.RolloutID]segue.ServiceName
}

// ServiceLedger is the part of a ledger that is about one service.
type ServiceLedger struct {
	// Settings and Config are as configured last.
	Settings segue.Service `json:"settings"`
	Config   segue.Digest  `json:"config"`
	// Stable has no Name until a first rollout has succeeded.
	Stable segue.Release `json:"stable"`
	// Previous is the release that one may go back to until PreviousUntil; it has no Name when there is none.
	Previous      segue.Release `json:"previous"`
	PreviousUntil time.Time     `json:"previous_until,omitzero"`
	// Releases are those that were registered and not retired.
	Releases map[segue.ReleaseName]segue.Release `json:"releases"`
	// Retired keeps the digests of those that were: their names stand for that content for ever.
	Retired map[segue.ReleaseName]segue.Digest `json:"retired,omitempty"`
	// Barred are releases that cannot work with a database any more, and why.
	Barred map[segue.ReleaseName]string `json:"barred,omitempty"`
	// Fleet is the fleet as the journal tells it, in the order of the configured servers. Its Index equals Index. While a rollout is open
	// it is that rollout's.
	Fleet segue.Fleet `json:"fleet"`
	// Index is that of the last entry that concerned the fleet or what is planned for it.
	Index int64 `json:"index"`
	// Open is the rollout under way, nil when there is none.
	Open *State `json:"open,omitempty"`
	// Queue holds the rollouts that wait for it, in order.
	Queue []State `json:"queue,omitempty"`
	// History holds the rollouts that ended, oldest first.
	History []Past `json:"history,omitempty"`

	// slots finds a server's place in the fleet while no rollout is open; nil until it is needed.
	slots map[segue.ServerName]int
}

// Past is what is remembered of a rollout that ended.
type Past struct {
	ID        segue.RolloutID   `json:"id"`
	Service   segue.ServiceName `json:"service"`
	Stable    segue.ReleaseName `json:"stable,omitempty"`
	Candidate segue.ReleaseName `json:"candidate"`
	Phase     segue.Phase       `json:"phase"`
	By        string            `json:"by,omitempty"`
	OpenedAt  time.Time         `json:"opened_at"`
	EndedAt   time.Time         `json:"ended_at"`
	MixedFor  time.Duration     `json:"mixed_for"`
	// Sentence is the end sentence.
	Sentence string `json:"sentence"`
}

// Next is the number that the next rollout gets.
func (l *Ledger) Next() segue.RolloutID { return max(1, l.NextRollout) }

// Rollout finds an open or queued rollout. What it points to is the ledger's own: valid until the next Apply.
func (l *Ledger) Rollout(id segue.RolloutID) (*State, bool) {
	service, ok := l.Services[l.rollouts[id]]
	if !ok {
		return nil, false
	}
	if service.Open != nil && service.Open.ID == id {
		return service.Open, true
	}
	for i := range service.Queue {
		if service.Queue[i].ID == id {
			return &service.Queue[i], true
		}
	}
	return nil, false
}

// Outstanding lists what every open rollout has handed out and not been answered, by rollout.
func (l *Ledger) Outstanding() []Command {
	var open []*State
	for _, service := range l.Services {
		if service.Open != nil {
			open = append(open, service.Open)
		}
	}
	slices.SortFunc(open, func(a, b *State) int { return cmp.Compare(a.ID, b.ID) })
	lists := make([][]Command, len(open))
	for i, state := range open {
		lists[i] = Outstanding(*state)
	}
	return slices.Concat(lists...)
}

// Clone gives a copy that shares nothing that changes.
func (l *Ledger) Clone() Ledger {
	c := *l
	c.Services = make(map[segue.ServiceName]*ServiceLedger, len(l.Services))
	for name, service := range l.Services {
		copied := service.Clone()
		c.Services[name] = &copied
	}
	c.rollouts = maps.Clone(l.rollouts)
	c.Databases = maps.Clone(l.Databases)
	return c
}

// Clone gives a copy that shares nothing that changes.
func (s *ServiceLedger) Clone() ServiceLedger {
	c := *s
	c.slots = nil
	c.Settings.Servers = slices.Clone(s.Settings.Servers)
	c.Releases = maps.Clone(s.Releases)
	c.Retired = maps.Clone(s.Retired)
	c.Barred = maps.Clone(s.Barred)
	c.Queue = make([]State, 0, len(s.Queue))
	for i := range s.Queue {
		c.Queue = append(c.Queue, s.Queue[i].Clone())
	}
	c.History = slices.Clone(s.History)
	if s.Open == nil {
		c.Fleet = cloneFleet(s.Fleet)
		return c
	}
	open := s.Open.Clone()
	c.Open, c.Fleet = &open, open.Fleet
	c.Fleet.Index = s.Index
	return c
}

// Busy lists the servers that a step is working on now.
func (s *ServiceLedger) Busy() map[segue.ServerName]bool {
	busy := map[segue.ServerName]bool{}
	if s.Open == nil {
		return busy
	}
	for i := range s.Open.ensure().running {
		if server := s.Open.Plan.Steps[i].Server; server != "" {
			busy[server] = true
		}
	}
	return busy
}

// Slot finds a server's slot, at the same cost in a fleet of any size.
func (s *ServiceLedger) Slot(name segue.ServerName) (segue.Slot, bool) {
	if s.Open != nil {
		return s.Open.Slot(name)
	}
	if i, ok := s.place(name); ok {
		return s.Fleet.Slots[i], true
	}
	return segue.Slot{}, false
}

// place finds a server's place in the fleet while no rollout is open.
func (s *ServiceLedger) place(name segue.ServerName) (int, bool) {
	if s.slots == nil {
		s.slots = make(map[segue.ServerName]int, len(s.Fleet.Slots))
		for i, slot := range s.Fleet.Slots {
			s.slots[slot.Server.Name] = i
		}
	}
	i, ok := s.slots[name]
	return i, ok
}

// Working says whether a step that starts, awaits or stops an instance is under way: its ups and downs are that step's matter.
func (s *ServiceLedger) Working(id segue.InstanceID) bool {
	return s.Open != nil && s.Open.ensure().working[id] > 0
}

// Instances gives those that the journal tells of: in charge, beside, or reported as strays already.
func (s *ServiceLedger) Instances() map[segue.InstanceID]bool {
	instances := make(map[segue.InstanceID]bool, len(s.Fleet.Slots))
	for i := range s.Fleet.Slots {
		slot := &s.Fleet.Slots[i]
		instances[slot.Instance.ID] = true
		if slot.Beside != nil {
			instances[slot.Beside.Instance.ID] = true
		}
		for _, stray := range slot.Strays {
			instances[stray.ID] = true
		}
	}
	delete(instances, "")
	return instances
}
