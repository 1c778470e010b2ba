package shim

import (
	"fmt"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// State is what a shim says of its instance.
type State struct {
	// Cursor names this state, for whoever waits for the next one.
	Cursor Cursor `json:"cursor"`
	// Keeper is the shim's own process, KeeperStart its start in ticks since boot.
	Keeper      int    `json:"keeper"`
	KeeperStart uint64 `json:"keeper_start"`
	// Phase is starting before the first start, then running, back-off, stopping, exited.
	Phase segue.InstanceState `json:"phase"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
	// PID is the command's process, 0 when there is none, and StartedAt when it was started.
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"started_at"`
	// Restarts counts starts after the first one; Crashes the ends in a row since it last ran well.
	Restarts int `json:"restarts"`
	Crashes  int `json:"crashes"`
	// LastExit is nil as long as the command never ended.
	LastExit *Exit `json:"last_exit,omitempty"`
	// Refusal says why the command could not be started for the first time; the phase is exited then.
	Refusal *Refusal `json:"refusal,omitempty"`
	// DroppedBytes counts output that found no room on the disk.
	DroppedBytes int64 `json:"dropped_bytes,omitempty"`
}

// Cursor is a place in the row of a shim's states. The zero value is before all of them.
type Cursor struct {
	// Epoch is the shim's; another shim on the same instance has another.
	Epoch string `json:"epoch"`
	// Version counts the states of that shim, from 1.
	Version uint64 `json:"version"`
}

// Exit is how the command ended.
type Exit struct {
	At time.Time `json:"at"`
	// Code is the exit code, -1 when a signal ended it or nobody saw how it ended.
	Code int `json:"code"`
	// Signal is the signal's name, "" without one.
	Signal string `json:"signal,omitempty"`
	// Problem says why it did not come to run, or why its end is unknown.
	Problem string `json:"problem,omitempty"`
}

// String says it in words for people: "exit code 3", "killed by KILL".
func (e Exit) String() string {
	switch {
	case e.Problem != "":
		return e.Problem
	case e.Signal != "":
		return "ended by signal " + e.Signal
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}

// Refusal is the reason why a command was not started at all.
type Refusal struct {
	Kind    segue.Kind `json:"kind"`
	Message string     `json:"message"`
	// PortTaken is true when another process listens on the address.
	PortTaken bool `json:"port_taken,omitempty"`
}

// board is where the keeper posts its state and others wait for the next one.
type board struct {
	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and replaced by every post
	told    chan struct{} // closed once somebody was told of the last phase
	once    sync.Once
}

func newBoard(first State) *board {
	first.Cursor.Version = 1
	return &board{state: first, changed: make(chan struct{}), told: make(chan struct{})}
}

// read gives the present state and a channel that is closed by the next post.
func (b *board) read() (State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.changed
}

// post changes the state. A change of phase sets Since.
func (b *board) post(change func(*State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state.Phase
	change(&b.state)
	if b.state.Phase != before {
		b.state.Since = time.Now()
	}
	b.state.Cursor.Version++
	close(b.changed)
	b.changed = make(chan struct{})
}

// tell notes that a state was passed on.
func (b *board) tell(state State) {
	if state.Phase == segue.InstanceExited {
		b.once.Do(func() { close(b.told) })
	}
}
