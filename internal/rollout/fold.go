package rollout

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// Apply folds the next entry and says what is to be done now. Entries that were folded already are left out. It uses up the ledger
// that it is given.
func (l Ledger) Apply(entry segue.Entry) (Ledger, []Command) {
	if entry.Index != 0 && entry.Index <= l.Last {
		return l, nil
	}
	l.Last = entry.Index
	if entry.Event.Kind == segue.EventDatabase {
		l.database(entry)
		return l, nil
	}
	service := l.of(entry.Event)
	if service == nil {
		return l, nil
	}
	commands := l.fold(service, entry)
	if concerns(entry.Event.Kind) {
		service.Index = entry.Index
	}
	service.Fleet.Index = service.Index
	if service.Open != nil {
		service.Open.Fleet.Index = service.Index
	}
	return l, commands
}

// of finds the service that an event is about, and makes a page for one that is new.
func (l *Ledger) of(event segue.Event) *ServiceLedger {
	name := event.Service
	if name == "" {
		name = l.rollouts[event.Rollout]
	}
	if name == "" && event.Opening != nil {
		name = event.Opening.Settings.Name
	}
	if name == "" {
		return nil
	}
	if service, ok := l.Services[name]; ok {
		return service
	}
	if l.Services == nil {
		l.Services, l.rollouts = map[segue.ServiceName]*ServiceLedger{}, map[segue.RolloutID]segue.ServiceName{}
	}
	service := &ServiceLedger{Releases: map[segue.ReleaseName]segue.Release{}, Fleet: segue.Fleet{Service: name}}
	l.Services[name] = service
	return service
}

// concerns says whether an event makes earlier plans for the service stale.
func concerns(kind segue.EventKind) bool {
	switch kind {
	case segue.EventVerdict, segue.EventSample, segue.EventReceipt, segue.EventReleaseRegistered:
		return false
	default:
		return true
	}
}

func (l *Ledger) fold(service *ServiceLedger, entry segue.Entry) []Command {
	event := entry.Event
	switch event.Kind {
	case segue.EventServiceConfigured:
		service.configure(event)
	case segue.EventReleaseRegistered:
		if event.Release != nil {
			service.Releases[event.Release.Name] = *event.Release
		}
	case segue.EventReleaseRetired:
		if event.Release != nil {
			service.retire(event.Release.Name)
		}
	case segue.EventOpened:
		return l.open(service, entry)
	case segue.EventSample, segue.EventReceipt:
	default:
		return l.pass(service, entry)
	}
	return nil
}

// pass hands an event to the rollouts that it concerns, and to the fleet where none is open.
func (l *Ledger) pass(service *ServiceLedger, entry segue.Entry) []Command {
	event := entry.Event
	if event.Kind == segue.EventServerJoined || event.Kind == segue.EventServerLeft {
		service.enrol(event)
		for i := range service.Queue {
			service.Queue[i].enrol(event)
		}
	}
	if state, ok := l.Rollout(event.Rollout); ok && service.Open != state && !outside(event.Kind) {
		*state, _ = Apply(*state, event, entry.At)
		l.dropEnded(service)
		return nil
	}
	if service.Open == nil {
		if event.Rollout == 0 || outside(event.Kind) {
			service.observe(event)
		}
		return nil
	}
	if outside(event.Kind) {
		// What happens to a server happens to the rollout that is open, whichever was named.
		event.Rollout = service.Open.ID
	}
	if event.Rollout != service.Open.ID {
		return nil
	}
	state, commands := Apply(*service.Open, event, entry.At)
	*service.Open = state
	service.Fleet = state.Fleet
	if state.Phase.Over() {
		commands = append(commands, l.close(service, entry.At)...)
	}
	return commands
}

// outside says whether an event is about a server and not about a step.
func outside(kind segue.EventKind) bool {
	switch kind {
	case segue.EventInstanceDown, segue.EventInstanceUp, segue.EventServerJoined, segue.EventServerLeft, segue.EventStray, segue.EventRotation:
		return true
	default:
		return false
	}
}

// open begins a rollout, or puts it in the queue behind the one that is open.
func (l *Ledger) open(service *ServiceLedger, entry segue.Entry) []Command {
	event := entry.Event
	if event.Opening == nil || event.Rollout < l.Next() {
		return nil
	}
	opening := *event.Opening
	l.NextRollout = event.Rollout + 1
	l.rollouts[event.Rollout] = opening.Settings.Name
	if _, known := service.Releases[opening.Candidate.Name]; !known {
		service.Releases[opening.Candidate.Name] = opening.Candidate
	}
	queued := opening.Queued
	opening.Queued = opening.Queued || service.Open != nil
	state, commands := Open(event.Rollout, opening, entry.At)
	switch {
	case service.Open != nil:
		service.Queue = append(service.Queue, state)
		return nil
	case queued:
		// What it waited for has ended meanwhile.
		service.Queue = append(service.Queue, state)
		return l.next(service, entry.At)
	}
	service.Open = &state
	service.Fleet, service.slots = state.Fleet, nil
	if state.Phase.Over() {
		commands = append(commands, l.close(service, entry.At)...)
	}
	return commands
}

// close takes over what a rollout that ended leaves, and begins the next one.
func (l *Ledger) close(service *ServiceLedger, at time.Time) []Command {
	state := service.Open
	service.Open, service.slots = nil, nil
	service.Fleet = state.Fleet
	service.remember(*state)
	delete(l.rollouts, state.ID)
	if state.Stable.Name != state.Candidate.Name && (took(state) || state.Closed != "") {
		service.Previous, service.PreviousUntil = state.Stable, time.Time{}
		if state.Closed != "" {
			service.Previous = segue.Release{}
		}
		if service.Previous.Name != "" {
			service.PreviousUntil = state.EndedAt.Add(state.Settings.RollbackWindow)
		}
		service.Stable = state.Candidate
	}
	service.align()
	return l.next(service, at)
}

// took says whether a rollout has put the candidate on every server: then it is stable, even where one of them is not ready.
func took(state *State) bool {
	if state.Goal != segue.GoalForward || state.Planning {
		return false
	}
	return !slices.ContainsFunc(state.Fleet.Slots, func(slot segue.Slot) bool {
		return slot.Instance.Release != state.Candidate.Name || slot.Beside != nil
	})
}

// next begins the first rollout in the queue.
func (l *Ledger) next(service *ServiceLedger, at time.Time) []Command {
	if service.Open != nil || len(service.Queue) == 0 {
		return nil
	}
	queued := service.Queue[0]
	service.Queue = slices.Delete(service.Queue, 0, 1)
	state, commands := Begin(queued, service.Stable, service.Fleet, at)
	service.Open = &state
	service.Fleet = state.Fleet
	return commands
}

// dropEnded takes rollouts out of the queue that were aborted there.
func (l *Ledger) dropEnded(service *ServiceLedger) {
	service.Queue = slices.DeleteFunc(service.Queue, func(state State) bool {
		if state.Phase.Over() {
			service.remember(state)
			delete(l.rollouts, state.ID)
		}
		return state.Phase.Over()
	})
}

func (s *ServiceLedger) remember(state State) {
	s.History = append(s.History, Past{
		ID: state.ID, Service: state.Service, Stable: state.Stable.Name, Candidate: state.Candidate.Name, Phase: state.Phase, By: state.By,
		OpenedAt: state.OpenedAt, EndedAt: state.EndedAt, MixedFor: state.MixedFor, Sentence: EndSentence(state),
	})
}

// configure takes new settings. A rollout that is open keeps its own; its servers join and leave by events.
func (s *ServiceLedger) configure(event segue.Event) {
	if event.Settings != nil {
		s.Settings = *event.Settings
		s.Settings.Servers = cloneServers(event.Settings.Servers)
	}
	if event.Config != "" {
		s.Config = event.Config
	}
	if s.Open == nil {
		s.align()
	}
}

// align brings the fleet's slots into the order of the configured servers: new ones are empty, those that left stay at the end while
// something runs on them.
func (s *ServiceLedger) align() {
	before := make(map[segue.ServerName]segue.Slot, len(s.Fleet.Slots))
	for _, slot := range s.Fleet.Slots {
		before[slot.Server.Name] = slot
	}
	slots := make([]segue.Slot, 0, len(s.Settings.Servers))
	for _, server := range s.Settings.Servers {
		slot, known := before[server.Name]
		if !known {
			slot.Rotation = segue.RotationOut
		}
		slot.Server = server
		delete(before, server.Name)
		slots = append(slots, slot)
	}
	for _, slot := range s.Fleet.Slots {
		if _, left := before[slot.Server.Name]; left && !vacant(slot) {
			slots = append(slots, slot)
		}
	}
	s.Fleet.Slots, s.slots = slots, nil
}

// enrol takes a server into the settings, or out of them.
func (s *ServiceLedger) enrol(event segue.Event) {
	s.Settings.Servers = enrolled(s.Settings.Servers, event)
	if s.Open == nil {
		s.align()
	}
}

// enrol does the same for a rollout that waits.
func (s *State) enrol(event segue.Event) { s.Settings.Servers = enrolled(s.Settings.Servers, event) }

func enrolled(servers []segue.Server, event segue.Event) []segue.Server {
	is := func(server segue.Server) bool { return server.Name == event.Server }
	switch {
	case event.Kind == segue.EventServerLeft:
		return slices.DeleteFunc(cloneServers(servers), is)
	case event.Server == "" || slices.ContainsFunc(servers, is):
		return servers
	default:
		return append(cloneServers(servers), segue.Server{Name: event.Server, Partition: event.Partition})
	}
}

// observe takes what happens to an instance while no rollout is open.
func (s *ServiceLedger) observe(event segue.Event) {
	i, ok := s.place(event.Server)
	if !ok && event.Kind == segue.EventStray && event.Server != "" {
		i, ok = len(s.Fleet.Slots), true
		s.slots[event.Server] = i
		s.Fleet.Slots = append(s.Fleet.Slots, emptySlot(event))
	}
	if ok {
		report(&s.Fleet.Slots[i], event)
	}
}

func (s *ServiceLedger) retire(name segue.ReleaseName) {
	if release, ok := s.Releases[name]; ok {
		if s.Retired == nil {
			s.Retired = map[segue.ReleaseName]segue.Digest{}
		}
		s.Retired[name] = release.Digest
	}
	delete(s.Releases, name)
	if s.Previous.Name == name {
		s.Previous, s.PreviousUntil = segue.Release{}, time.Time{}
	}
}
