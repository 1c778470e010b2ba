package drivers

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/sqlite"
	"github.com/segue-deploy/segue/internal/spec"
)

// Names of the database drivers, as in segue.yaml.
const (
	Postgres = "postgres"
	SQLite   = "sqlite"
)

// databaseBlock is a database's block as it is stored. It holds secrets.
type databaseBlock struct {
	URL      string   `json:"url"`
	Scratch  string   `json:"scratch,omitempty"`
	Replicas []string `json:"replicas,omitempty"`
	// Group is the role that a login per release is made a member of; Prefix begins its name.
	Group  string `json:"group,omitempty"`
	Prefix string `json:"prefix,omitempty"`
}

// DatabaseBlock turns a database of segue.yaml into its driver's block.
func DatabaseBlock(project *spec.Project, database spec.Database) (json.RawMessage, error) {
	block, err := json.Marshal(databaseBlock{
		URL: database.URL, Scratch: database.Scratch, Replicas: database.Replicas, Group: database.Group, Prefix: string(project.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("encode database %s: %w", database.Name, err)
	}
	return block, nil
}

// Database opens a database once per block.
func (s *Set) Database(ctx context.Context, name string, block json.RawMessage) (migration.Driver, error) {
	var config databaseBlock
	if err := json.Unmarshal(block, &config); err != nil {
		return nil, segue.Errorf(segue.KindCorrupt, "read configuration of database: %w", err)
	}
	key := name + "\x00" + string(block)
	if driver, ok := s.database(key); ok {
		return driver, nil
	}
	// Without the lock: a server that does not answer must not keep others waiting.
	driver, err := openDatabase(ctx, name, config)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	other, late := s.databases[key]
	if !late {
		s.databases[key] = driver
	}
	s.mu.Unlock()
	if late {
		return other, driver.Close()
	}
	return driver, nil
}

func (s *Set) database(key string) (driver migration.Driver, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	driver, ok = s.databases[key]
	return driver, ok
}

func openDatabase(ctx context.Context, name string, config databaseBlock) (driver migration.Driver, err error) {
	switch name {
	case SQLite:
		driver, err = sqlite.Open(ctx, sqlite.Config{Path: config.URL, Create: true})
	case Postgres:
		driver, err = postgres.Open(ctx, postgres.Config{
			URL: config.URL, Scratch: config.Scratch, Replicas: config.Replicas, Group: config.Group, Prefix: config.Prefix,
		})
	default:
		err = unknown("database", name, Postgres, SQLite)
	}
	if err != nil {
		return nil, err // not a nil of some type
	}
	return driver, nil
}
