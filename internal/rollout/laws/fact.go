// Package laws checks the laws of the house over what really happened in a world, simulated or real: a trace of facts, not what was asked
// for or believed. Each law is a function of its name; Check runs them all. Property tests of the machine and the simulation of the whole
// use the same laws, and both keep tests which break each law on purpose.
package laws

import (
	"fmt"

	"github.com/segue-deploy/segue"
)

// FactKind says what happened.
type FactKind string

const (
	// Started means that an instance came into being; carries Server, Partition, Instance, Release. Stray when nobody's plan did it.
	Started FactKind = "started"
	// Ready means that an instance became able to serve.
	Ready FactKind = "ready"
	// Unready means that it became unable to, by itself.
	Unready FactKind = "unready"
	// Admitted means that from here on the balancer may send an instance new requests.
	Admitted FactKind = "admitted"
	// Leaving means that it was decided to take an instance out of rotation, or to end it where there is no rotation.
	Leaving FactKind = "leaving"
	// Staying means that it was decided that an instance in rotation stays there after all.
	Staying FactKind = "staying"
	// Drained means that the balancer has confirmed that it sends an instance nothing new.
	Drained FactKind = "drained"
	// Quiet means that a drained instance has nothing in flight any more, or that its drain deadline has passed.
	Quiet FactKind = "quiet"
	// Stopping means that somebody told an instance to end.
	Stopping FactKind = "stopping"
	// Stopped means that it is gone.
	Stopped FactKind = "stopped"
	// MirrorOn means that from here on the balancer copies requests to an instance.
	MirrorOn FactKind = "mirror on"
	// MirrorOff means that it copies none.
	MirrorOff FactKind = "mirror off"
	// Bound means that from here on this many ready backends in rotation are the minimum (Count).
	Bound FactKind = "bound"
	// Open means that one may go back to a release.
	Open FactKind = "open"
	// Closed means that one may no more.
	Closed FactKind = "closed"
	// Removed means that something that a release needs (its files, its tables) is gone.
	Removed FactKind = "removed"
	// Beyond names a server whose faults are not Segue's to mend: no way back is owed there.
	Beyond FactKind = "beyond"
	// Ended means that a rollout ended; carries End.
	Ended FactKind = "ended"
	// Written means that a journal entry was acknowledged (Index).
	Written FactKind = "written"
	// Found means that it was there when the journal was read at the end.
	Found FactKind = "found"
)

// Fact is one thing that happened.
type Fact struct {
	Kind      FactKind
	Server    segue.ServerName
	Partition segue.PartitionName
	Instance  segue.InstanceID
	Release   segue.ReleaseName
	Stray     bool
	Count     int
	Index     int64
	// Sum identifies the content of a journal entry.
	Sum string
	End *End
}

// End is how a rollout ended, by its own word.
type End struct {
	Phase    segue.Phase
	Sentence string
	ExitCode int
	// Goal is what was wanted last; Stable and Candidate as of the opening.
	Goal      segue.Goal
	Stable    segue.ReleaseName
	Candidate segue.ReleaseName
	// Servers are those in service.
	Servers []segue.ServerName
	// Balanced is false where rotation means nothing.
	Balanced bool
}

// Violation is a broken law, with the place in the trace.
type Violation struct {
	Law  string
	At   int
	Text string
}

// String gives a violation for people.
func (v Violation) String() string {
	return fmt.Sprintf("law %s broken at fact %d: %s", v.Law, v.At, v.Text)
}

// copyOf is an instance in the world.
type copyOf struct {
	Fact
	ready, admitted, quiet, drained, leaving bool
}

// serves says whether the instance is a ready backend in rotation; without a balancer being ready is all. A stray is nobody's backend.
func (c *copyOf) serves(balanced bool) bool { return c.ready && !c.Stray && (c.admitted || !balanced) }

// world is what a trace amounts to so far.
type world struct {
	balanced bool
	running  map[segue.InstanceID]*copyOf
	bound    int
	open     map[segue.ReleaseName]bool
	beyond   map[segue.ServerName]bool
	// mirror is the instance that requests are copied to; "" for none.
	mirror segue.InstanceID
}

// walk replays a trace and shows each fact to a law before it takes effect. The law answers with what is wrong, "" when nothing is.
func walk(law string, balanced bool, trace []Fact, look func(*world, Fact) string) []Violation {
	w := &world{
		balanced: balanced, running: map[segue.InstanceID]*copyOf{},
		open: map[segue.ReleaseName]bool{}, beyond: map[segue.ServerName]bool{},
	}
	var violations []Violation
	for i, fact := range trace {
		if text := look(w, fact); text != "" {
			violations = append(violations, Violation{Law: law, At: i, Text: text})
		}
		w.take(fact)
	}
	return violations
}

func (w *world) take(fact Fact) {
	switch fact.Kind {
	case Started:
		w.running[fact.Instance] = &copyOf{Fact: fact}
	case Stopped:
		delete(w.running, fact.Instance)
	case Bound:
		w.bound = fact.Count
	case Open, Closed:
		w.open[fact.Release] = fact.Kind == Open
	case Beyond:
		w.beyond[fact.Server] = true
	case MirrorOn:
		w.mirror = fact.Instance
	case MirrorOff:
		w.mirror = ""
	case Ended, Removed, Written, Found, Stopping:
	default:
		if instance := w.running[fact.Instance]; instance != nil {
			instance.take(fact.Kind)
		}
	}
}

func (c *copyOf) take(kind FactKind) {
	switch kind {
	case Ready, Unready:
		c.ready = kind == Ready
	case Admitted:
		c.admitted, c.drained, c.quiet, c.leaving = true, false, false, false
	case Leaving, Staying:
		c.leaving = kind == Leaving
	case Drained:
		c.admitted, c.drained = false, true
	case Quiet:
		c.quiet = true
	default:
	}
}

// carrying counts the ready backends in rotation that are to stay there.
func (w *world) carrying() int {
	n := 0
	for _, instance := range w.running {
		if instance.serves(w.balanced) && !instance.leaving {
			n++
		}
	}
	return n
}

// carryingWithin counts the same without the servers whose faults are beyond mending: what runs there may be known to nobody.
func (w *world) carryingWithin() int {
	n := 0
	for _, instance := range w.running {
		if instance.serves(w.balanced) && !instance.leaving && !w.beyond[instance.Server] {
			n++
		}
	}
	return n
}
