package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/statefile"
)

// Config is all that is needed to run one service, as it was when a release was registered. It holds secrets: it is kept in a ConfigStore, and the
// journal only has its digest.
type Config struct {
	Workload      string          `json:"workload"`
	WorkloadBlock json.RawMessage `json:"workload_block"`
	// Balancer is "" for workers.
	Balancer      string          `json:"balancer,omitempty"`
	BalancerBlock json.RawMessage `json:"balancer_block,omitempty"`
	SlowStart     time.Duration   `json:"slow_start,omitempty"`
	// Listen is where the service takes requests, for people.
	Listen  string          `json:"listen,omitempty"`
	Witness json.RawMessage `json:"witness,omitempty"`
	// Databases are those that the service uses, with the migrations as they came with the release.
	Databases []Database `json:"databases,omitempty"`
}

// Database is a database of a service, as a release sees it.
type Database struct {
	Name   segue.DatabaseName `json:"name"`
	Driver string             `json:"driver"`
	// Block is the driver's own, with the URL: a secret.
	Block json.RawMessage `json:"block"`
	// Files are the release's migrations, in order; History where the team's own runner keeps what it ran.
	Files   []migration.File  `json:"files,omitempty"`
	History migration.History `json:"history,omitzero"`
	// Faults of the files; Missing is the folder that is not there, "" when it is.
	Faults  []migration.Fault `json:"faults,omitempty"`
	Missing string            `json:"missing,omitempty"`
	// Queries are the statements that the release sends, as they were recorded.
	Queries []migration.Query `json:"queries,omitempty"`
	// Budget is a share of the time for backfills; Pause lets them rest while a rollout is under way.
	Budget float64 `json:"budget,omitempty"`
	Pause  bool    `json:"pause,omitempty"`
	// After, Watch and BrownOut are of contract steps.
	After    time.Duration `json:"after,omitempty"`
	Watch    time.Duration `json:"watch,omitempty"`
	BrownOut time.Duration `json:"brown_out,omitempty"`
	// Variable is where instances get their own login in, "" where releases share one.
	Variable string `json:"variable,omitempty"`
	// Command runs the migrations in place of Segue, "" words for none.
	Command []string `json:"command,omitempty"`
	Dir     string   `json:"dir,omitempty"`
	// Schemas are the declared ones of semi-structured columns.
	Schemas []ColumnSchema `json:"schemas,omitempty"`
}

// ColumnSchema is the JSON Schema that a release declares for a column.
type ColumnSchema struct {
	Table  string          `json:"table"`
	Column string          `json:"column"`
	Mode   string          `json:"mode"`
	Schema json.RawMessage `json:"schema"`
}

// ConfigStore keeps configurations under their digests, for this user alone, for ever.
type ConfigStore interface {
	Put(config Config) (segue.Digest, error)
	// Get errors: KindNotFound, KindCorrupt.
	Get(digest segue.Digest) (Config, error)
}

// FileConfigs keeps configurations in 0600 files of a folder.
type FileConfigs struct{ Folder string }

// Put writes a configuration unless it is there.
func (f FileConfigs) Put(config Config) (segue.Digest, error) {
	digest, err := digestOf(config)
	if err != nil {
		return "", err
	}
	path := f.path(digest)
	if _, err := os.Stat(path); err == nil {
		return digest, nil
	}
	if err := os.MkdirAll(f.Folder, 0o700); err != nil {
		return "", fmt.Errorf("make folder of configurations: %w", err)
	}
	if err := statefile.Write(path, config); err != nil {
		return "", fmt.Errorf("store configuration: %w", err)
	}
	return digest, nil
}

// Get reads a configuration and checks that it is the one that was meant.
func (f FileConfigs) Get(digest segue.Digest) (Config, error) {
	var config Config
	if err := statefile.Read(f.path(digest), &config); err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return config, nil
}

func (f FileConfigs) path(digest segue.Digest) string {
	return filepath.Join(f.Folder, strings.TrimPrefix(string(digest), "sha256:")+".json")
}

// MemoryConfigs keeps configurations in memory, for tests and the simulation.
type MemoryConfigs struct {
	mu   sync.Mutex
	kept map[segue.Digest]Config
}

// Put keeps a configuration.
func (m *MemoryConfigs) Put(config Config) (segue.Digest, error) {
	digest, err := digestOf(config)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[segue.Digest]Config{}
	}
	m.kept[digest] = config
	return digest, nil
}

// Get finds a configuration.
func (m *MemoryConfigs) Get(digest segue.Digest) (Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	config, ok := m.kept[digest]
	if !ok {
		return Config{}, segue.Errorf(segue.KindNotFound, "no configuration %s", digest.Short())
	}
	return config, nil
}

func digestOf(config Config) (segue.Digest, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("encode configuration: %w", err)
	}
	sum := sha256.Sum256(text)
	return segue.Digest("sha256:" + hex.EncodeToString(sum[:])), nil
}
