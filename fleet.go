package segue

import (
	"cmp"
	"slices"
	"time"
)

// InstanceState is what an instance does, as its workload driver sees it.
type InstanceState string

const (
	// InstanceStarting runs and is not known to be ready.
	InstanceStarting InstanceState = "starting"
	// InstanceRunning runs.
	InstanceRunning InstanceState = "running"
	// InstanceBackOff has crashed and waits to be started again by its keeper.
	InstanceBackOff InstanceState = "back-off"
	// InstanceStopping has been told to end.
	InstanceStopping InstanceState = "stopping"
	// InstanceExited is over.
	InstanceExited InstanceState = "exited"
)

// Alive says whether the instance runs, or will again by itself.
func (s InstanceState) Alive() bool { return s != InstanceExited && s != "" }

// Instance is one running copy of a release on a server, as its workload driver reports it.
type Instance struct {
	ID      InstanceID  `json:"id"`
	Service ServiceName `json:"service"`
	Server  ServerName  `json:"server"`
	Release ReleaseName `json:"release"`
	// Address is host:port where it serves; "" for workers.
	Address string        `json:"address,omitempty"`
	State   InstanceState `json:"state"`
	PID     int           `json:"pid,omitempty"`
	// Restarts counts how often its keeper started it again after a crash.
	Restarts  int       `json:"restarts,omitempty"`
	StartedAt time.Time `json:"started_at"`
	// ExitCode and Error describe the last end; -1 means killed by a signal.
	ExitCode int    `json:"exit_code,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Rotation is a backend's place in its balancer.
type Rotation string

const (
	// RotationOut gets no traffic: not known to the balancer, or added and not admitted.
	RotationOut Rotation = "out"
	// RotationIn gets traffic.
	RotationIn Rotation = "in"
	// RotationDraining finishes what it has and gets nothing new.
	RotationDraining Rotation = "draining"
)

// Slot is a server and what is on it: what the journal says should be, matched with what drivers say is.
type Slot struct {
	Server Server `json:"server"`
	// Instance is the one in charge; its ID is "" when the server is empty.
	Instance Instance `json:"instance"`
	Rotation Rotation `json:"rotation"`
	Ready    bool     `json:"ready"`
	// Beside is the second instance while a surge is under way: the new one until it is admitted, then the old one until it is
	// stopped; nil otherwise.
	Beside *Occupant `json:"beside,omitempty"`
	// Strays run on this server and nobody's journal knows them, or they should have ended.
	Strays []Instance `json:"strays,omitempty"`
}

// Occupant is an instance on a server that is not the one in charge, with its place in the balancer.
type Occupant struct {
	Instance Instance `json:"instance"`
	Rotation Rotation `json:"rotation"`
	Ready    bool     `json:"ready"`
}

// Fleet is a service's servers as they are at one moment.
type Fleet struct {
	Service ServiceName `json:"service"`
	// Index is the journal index of the last entry that concerned this fleet: a plan made at another index is stale.
	Index int64  `json:"index"`
	Slots []Slot `json:"slots"`
	// Maintenance is true while the balancer answers with the maintenance page, Holding while it parks requests; either may be
	// true when that was asked for and not confirmed.
	Maintenance bool `json:"maintenance,omitempty"`
	Holding     bool `json:"holding,omitempty"`
}

// Releases lists the releases that run, each once, sorted.
func (f Fleet) Releases() []ReleaseName {
	var names []ReleaseName
	for _, slot := range f.Slots {
		if slot.Instance.ID != "" && !slices.Contains(names, slot.Instance.Release) {
			names = append(names, slot.Instance.Release)
		}
	}
	slices.Sort(names)
	return names
}

// On lists the servers that run a release, in the fleet's order.
func (f Fleet) On(release ReleaseName) []ServerName {
	var names []ServerName
	for _, slot := range f.Slots {
		if slot.Instance.ID != "" && slot.Instance.Release == release {
			names = append(names, slot.Server.Name)
		}
	}
	return names
}

// Partitions lists the partitions in the order in which they first occur: the order in which they are rolled.
func (f Fleet) Partitions() []PartitionName {
	var names []PartitionName
	for _, slot := range f.Slots {
		if !slices.Contains(names, slot.Server.Partition) {
			names = append(names, slot.Server.Partition)
		}
	}
	return names
}

// Slot finds a server's slot.
func (f Fleet) Slot(name ServerName) (Slot, bool) {
	i := slices.IndexFunc(f.Slots, func(s Slot) bool { return s.Server.Name == name })
	if i < 0 {
		return Slot{}, false
	}
	return f.Slots[i], true
}

// SortInstances orders instances by server, then identity, for output that does not jump about.
func SortInstances(instances []Instance) {
	slices.SortFunc(instances, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.ID, b.ID))
	})
}
