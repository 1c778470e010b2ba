package drivers

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
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
	s.mu.Lock()
	defer s.mu.Unlock()
	key := name + "\x00" + string(block)
	if driver, ok := s.databases[key]; ok {
		return driver, nil
	}
	driver, err := openDatabase(ctx, name, config)
	if err != nil {
		return nil, err
	}
	s.databases[key] = driver
	return driver, nil
}

func openDatabase(ctx context.Context, name string, config databaseBlock) (migration.Driver, error) {
	switch name {
	case SQLite:
		driver, err := sqlite.Open(ctx, sqlite.Config{Path: config.URL, Create: true})
		if err != nil {
			return nil, err
		}
		return driver, nil
	default:
		return nil, unknown("database", name, Postgres, SQLite)
	}
}
