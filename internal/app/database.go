package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/source"
	"github.com/segue-deploy/segue/internal/spec"
)

// databasesOf reads what a service's databases are for one release: the migrations as they are now, the statements that it sends. What is wrong with
// them is kept with them: it is only a fault once the release is deployed.
func databasesOf(project *spec.Project, service spec.Service, release segue.ReleaseName) ([]controller.Database, error) {
	var all []controller.Database
	for _, database := range project.Databases {
		if !database.Uses(service.Name) {
			continue
		}
		one, err := databaseOf(project, database, release)
		if err != nil {
			return nil, fmt.Errorf("read database %s: %w", database.Name, err)
		}
		artifact := service.Artifact(release)
		if artifact != "" && !filepath.IsAbs(artifact) {
			artifact = filepath.Join(project.Dir, artifact)
		}
		one.Command = drivers.Fill(one.Command, release, artifact)
		all = append(all, one)
	}
	return all, nil
}

func databaseOf(project *spec.Project, database spec.Database, release segue.ReleaseName) (controller.Database, error) {
	one := controller.Database{
		Name: database.Name, Driver: database.Driver, Budget: database.Budget, Pause: database.Pause, After: database.After,
		Watch: database.Watch, BrownOut: database.BrownOut, Command: database.Command, Dir: project.Dir,
	}
	if database.Group != "" {
		one.Variable = database.Variable
	}
	var err error
	if one.Block, err = drivers.DatabaseBlock(project, database); err != nil {
		return one, err
	}
	if err := readMigrations(project, database, release, &one); err != nil {
		return one, err
	}
	if one.Queries, err = readStatements(database, release); err != nil {
		return one, err
	}
	for _, column := range database.Schemas {
		text, err := os.ReadFile(database.Of(column.File, release))
		if err != nil {
			one.Faults = append(one.Faults, migration.Fault{Message: fmt.Sprintf("read schema of %s.%s: %v", column.Table, column.Column, err)})
			continue
		}
		if !json.Valid(text) {
			one.Faults = append(one.Faults, migration.Fault{
				At: migration.Position{Path: database.Of(column.File, release)}, Message: "is no JSON",
			})
			continue
		}
		one.Schemas = append(one.Schemas, controller.ColumnSchema{Table: column.Table, Column: column.Column, Mode: column.Mode, Schema: text})
	}
	return one, nil
}

// readMigrations reads the folder of a release. That it is not there is kept.
func readMigrations(project *spec.Project, database spec.Database, release segue.ReleaseName, one *controller.Database) error {
	if database.Migrations == "" {
		return nil
	}
	folder := database.Of(database.Migrations, release)
	if info, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		one.Missing = folder
		return nil
	}
	shown := folder
	if relative, err := filepath.Rel(project.Dir, folder); err == nil && filepath.IsLocal(relative) {
		shown = relative
	}
	set, err := source.Read(os.DirFS(folder), ".", source.Options{Format: database.Format, Dialect: database.Driver, Table: database.History, Shown: shown})
	if err != nil {
		return fmt.Errorf("read migrations in %s: %w", shown, err)
	}
	one.Files, one.History, one.Faults = set.Files, set.History, append(one.Faults, set.Faults...)
	return nil
}

// statementsLimit bounds a list of statements.
const statementsLimit = 16 << 20

// readStatements reads the list of what a release sends; without one there is none.
func readStatements(database spec.Database, release segue.ReleaseName) ([]migration.Query, error) {
	if database.StatementsFile == "" {
		return nil, nil
	}
	path := database.Of(database.StatementsFile, release)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read statements: %w", err)
	case info.Size() > statementsLimit:
		return nil, segue.Errorf(segue.KindInvalid, "statements in %s have %d bytes, of %d at most", path, info.Size(), statementsLimit)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	return source.Statements(text, database.Driver)
}
