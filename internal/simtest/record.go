package simtest

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/journal/memory"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/rollout/laws"
)

// grace is how long a death may go unnoticed before a decision counts as made in its knowledge.
const grace = 30 * time.Second

// record keeps the facts. It reads the world itself, not what a controller believes of it; the ledger that it folds tells it what was
// decided and how rollouts ended.
type record struct {
	// ask lists what runs, and says of each whether it is ready.
	ask   func() map[segue.InstanceID]bool
	quiet func(segue.InstanceID) bool

	mu     sync.Mutex
	facts  []laws.Fact
	copies map[segue.InstanceID]*seen
	ledger rollout.Ledger
	plan   [2]int
	// previous is the release that one may go back to.
	previous segue.ReleaseName
	ends     []laws.End
	// gone are the changes of the database that took something away.
	gone   []migration.ChangeID
	beyond map[segue.ServerName]bool
}

// seen is an instance as the record knows it.
type seen struct {
	instance  segue.Instance
	stray     bool
	ready     bool
	died      time.Time
	drainedAt time.Time
	quiet     bool
	stopping  bool
	// asked is the plan that last came to take it out, down whether it was down by the journal then.
	asked [2]int
	down  bool
}

func newRecord(w *World) *record {
	return &record{
		ask: w.running, quiet: w.isQuiet, copies: map[segue.InstanceID]*seen{},
		beyond: map[segue.ServerName]bool{},
	}
}

func (r *record) add(kind laws.FactKind, s *seen) {
	r.facts = append(r.facts, laws.Fact{
		Kind: kind, Server: s.instance.Server, Partition: r.partition(s.instance.Server), Instance: s.instance.ID, Release: s.instance.Release, Stray: s.stray,
	})
}

func (r *record) partition(server segue.ServerName) segue.PartitionName {
	if service := r.ledger.Services["web"]; service != nil {
		if service.Open != nil {
			if slot, ok := service.Open.Slot(server); ok {
				return slot.Server.Partition
			}
		}
		if slot, ok := service.Fleet.Slot(server); ok {
			return slot.Server.Partition
		}
	}
	return ""
}

func (r *record) serverOf(id segue.InstanceID) segue.ServerName {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.copies[id]; s != nil {
		return s.instance.Server
	}
	return ""
}

func (r *record) started(instance segue.Instance, stray bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	if r.copies[instance.ID] != nil {
		return
	}
	s := &seen{instance: instance, stray: stray}
	r.copies[instance.ID] = s
	r.add(laws.Started, s)
}

// instance records that something happened to an instance.
func (r *record) instance(kind laws.FactKind, id segue.InstanceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.copies[id]
	if s == nil {
		return
	}
	switch kind {
	case laws.Drained:
		s.drainedAt = time.Now()
	case laws.Admitted:
		s.drainedAt, s.quiet = time.Time{}, false
	default:
	}
	r.refresh()
	r.add(kind, s)
}

// looked looks what is ready by now.
func (r *record) looked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
}

// leaving records that an instance is being taken out; down says whether it was known not to be ready when that was decided.
func (r *record) leaving(id segue.InstanceID, down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	if s := r.copies[id]; s != nil {
		r.buried(s, down)
		r.add(laws.Leaving, s)
	}
}

// stopping records that an instance was told to end, after what is true of its drain.
func (r *record) stopping(id segue.InstanceID, down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	s := r.copies[id]
	if s == nil || s.stopping {
		return
	}
	s.stopping = true
	r.buried(s, down)
	if !s.drainedAt.IsZero() && (r.quiet(id) || time.Since(s.drainedAt) >= r.drainWithin()) {
		r.add(laws.Quiet, s)
	}
	r.add(laws.Stopping, s)
}

func (r *record) drainWithin() time.Duration {
	if service := r.ledger.Services["web"]; service != nil {
		return service.Settings.Timing.Drain
	}
	return 0
}

// refresh looks what is ready and what is gone by now. A death counts once it could have been noticed.
func (r *record) refresh() {
	there := r.ask()
	for id, ready := range there {
		s := r.copies[id]
		switch {
		case s == nil:
		case !ready:
			r.dead(s)
		default:
			s.died = time.Time{}
			if !s.ready {
				s.ready = true
				r.add(laws.Ready, s)
			}
		}
	}
	for id, s := range r.copies {
		if _, is := there[id]; !is {
			if s.stopping {
				r.add(laws.Stopped, s)
				delete(r.copies, id)
				continue
			}
			r.dead(s)
		}
	}
}

// dead takes an instance that is not ready.
func (r *record) dead(s *seen) {
	switch {
	case !s.ready:
	case s.died.IsZero():
		s.died = time.Now()
	case time.Since(s.died) >= grace:
		s.ready = false
		r.add(laws.Unready, s)
	}
}

// buried says that the instance that is taken out is not ready, or was down by the journal when that was decided: it takes nothing away.
func (r *record) buried(s *seen, down bool) {
	if s.ready && (!s.died.IsZero() || down) {
		s.ready = false
		r.add(laws.Unready, s)
	}
}

// knownDown says whether an instance was not ready by the journal when a plan first came to take it out.
func (r *record) knownDown(id segue.InstanceID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, service := r.copies[id], r.ledger.Services["web"]
	if s == nil || service == nil || service.Open == nil {
		return false
	}
	if s.asked != r.plan {
		slot, _ := service.Open.Slot(s.instance.Server)
		s.asked = r.plan
		s.down = slot.Instance.ID == id && !slot.Ready || slot.Beside != nil && slot.Beside.Instance.ID == id && !slot.Beside.Ready
	}
	return s.down
}

// removed records that a release's files are gone.
func (r *record) removed(release segue.ReleaseName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	r.facts = append(r.facts, laws.Fact{Kind: laws.Removed, Release: release})
}

// written folds an entry: what was decided, and how it ended.
func (r *record) written(entry segue.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = append(r.facts, laws.Fact{Kind: laws.Written, Index: entry.Index, Sum: sum(entry)})
	var before *rollout.State
	if service := r.ledger.Services["web"]; service != nil {
		before = service.Open
		if retired := entry.Event.Release; entry.Event.Kind == segue.EventReleaseRetired && !entry.At.Before(service.PreviousUntil) {
			r.facts = append(r.facts, laws.Fact{Kind: laws.Closed, Release: retired.Name})
		}
	}
	r.ledger, _ = r.ledger.Apply(entry)
	service := r.ledger.Services["web"]
	if service == nil {
		return
	}
	if open := service.Open; open != nil && !open.Planning && len(open.Plan.Steps) > 0 {
		if plan := [2]int{int(open.ID), open.Plans}; plan != r.plan {
			r.plan = plan
			r.refresh()
			r.facts = append(r.facts, laws.Fact{Kind: laws.Bound, Count: laws.BoundOf(open.Settings, open.Stable, open.Plan)})
			for _, s := range r.copies {
				r.add(laws.Staying, s)
			}
		}
	}
	if before != nil && before != service.Open {
		r.end(service, before)
	}
}

// end records how a rollout ended.
func (r *record) end(service *rollout.ServiceLedger, state *rollout.State) {
	r.refresh()
	end := laws.End{
		Phase: state.Phase, Sentence: rollout.EndSentence(*state), ExitCode: state.Phase.ExitCode(), Goal: state.Goal,
		Stable: state.Stable.Name, Candidate: state.Candidate.Name, Balanced: state.Settings.Balanced,
	}
	for _, server := range state.Settings.Servers {
		end.Servers = append(end.Servers, server.Name)
	}
	for server := range r.beyond {
		r.facts = append(r.facts, laws.Fact{Kind: laws.Beyond, Server: server})
	}
	r.ends = append(r.ends, end)
	r.facts = append(r.facts, laws.Fact{Kind: laws.Ended, End: &end})
	if previous := service.Previous.Name; previous != r.previous {
		r.facts = append(r.facts, laws.Fact{Kind: laws.Closed, Release: r.previous}, laws.Fact{Kind: laws.Open, Release: previous})
		r.previous = previous
	}
}

// reread folds a journal that lost entries.
func (r *record) reread(ctx context.Context, journal *memory.Journal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger = rollout.Ledger{}
	for entry, err := range journal.Entries(ctx, 1) {
		if err != nil {
			return
		}
		r.ledger, _ = r.ledger.Apply(entry)
	}
}

// drift compares what the journal tells with what is: the same instances, in the same place.
func (r *record) drift(ctx context.Context, balancer balancer.Driver) []laws.Violation {
	r.mu.Lock()
	defer r.mu.Unlock()
	service := r.ledger.Services["web"]
	if service == nil {
		return nil
	}
	snapshot, err := balancer.Snapshot(ctx)
	there, in := r.ask(), map[segue.InstanceID]bool{}
	for _, backend := range snapshot.Backends {
		in[backend.ID] = err == nil && backend.Rotation == segue.RotationIn
	}
	var drifts []laws.Violation
	for _, slot := range service.Fleet.Slots {
		id := slot.Instance.ID
		if id == "" || r.beyond[slot.Server.Name] || slot.Instance.State == segue.InstanceExited {
			continue
		}
		ready, runs := there[id]
		rotates := !service.Settings.Balanced || in[id] == (slot.Rotation == segue.RotationIn)
		if !runs || slot.Ready != ready || slot.Ready && !rotates {
			drifts = append(drifts, laws.Violation{Law: "nothing hidden", At: len(r.facts), Text: fmt.Sprintf(
				"at rest, the journal has %s %s ready=%v; really it runs=%v ready=%v in=%v", id, slot.Rotation, slot.Ready, runs, ready, in[id])})
		}
	}
	return drifts
}

// sum identifies an entry's content.
func sum(entry segue.Entry) string {
	text, err := json.Marshal(entry.Event)
	if err != nil {
		return err.Error()
	}
	hash := fnv.New64a()
	_, _ = hash.Write(text)
	return strconv.FormatUint(hash.Sum64(), 16)
}
