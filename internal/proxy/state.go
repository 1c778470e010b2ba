package proxy

import (
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
)

// stateVersion is the form of the state file.
const stateVersion = 1

// stored is everything that outlives the process: what it serves, not what it counted.
type stored struct {
	Version  int                      `json:"version"`
	Services map[string]storedService `json:"services"`
}

type storedService struct {
	Config Config `json:"config"`
	// Bound is the address that Config.Listen was bound as: another process, started on the same state, takes the same port.
	Bound string `json:"bound,omitempty"`
	// Key signs the sticky cookies.
	Key         []byte                        `json:"key"`
	Backends    []storedBackend               `json:"backends,omitempty"`
	Shares      map[segue.ReleaseName]float64 `json:"shares,omitempty"`
	Hold        *storedHold                   `json:"hold,omitempty"`
	Maintenance *storedMaintenance            `json:"maintenance,omitempty"`
}

type storedBackend struct {
	Backend
	Rotation   segue.Rotation `json:"rotation"`
	AdmittedAt time.Time      `json:"admitted_at,omitzero"`
	SlowStart  time.Duration  `json:"slow_start,omitempty"`
}

type storedHold struct {
	Most time.Duration `json:"most"`
}

type storedMaintenance struct {
	RetryAfter time.Duration `json:"retry_after"`
}

// clone copies what a change may change.
func (s storedService) clone() storedService {
	s.Backends = slices.Clone(s.Backends)
	s.Shares = maps.Clone(s.Shares)
	return s
}

// backend finds a registered backend, to be changed in place; nil when there is none.
func (s *storedService) backend(id segue.InstanceID) *storedBackend {
	i := slices.IndexFunc(s.Backends, func(b storedBackend) bool { return b.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Backends[i]
}

// readState reads the state file; no file is an empty state. KindCorrupt names the file and what to do.
func readState(path string) (stored, error) {
	state := stored{Version: stateVersion, Services: map[string]storedService{}}
	err := statefile.Read(path, &state)
	switch {
	case segue.KindOf(err) == segue.KindNotFound:
		return stored{Version: stateVersion, Services: map[string]storedService{}}, nil
	case err != nil:
		return stored{}, err
	case state.Version > stateVersion:
		return stored{}, segue.Errorf(segue.KindCorrupt, "state file %s has version %d, and this program knows %d", path, state.Version, stateVersion).
			WithHint("it was written by a newer segue: start that one, or move the file away to begin anew")
	}
	if state.Services == nil {
		state.Services = map[string]storedService{}
	}
	return state, nil
}
