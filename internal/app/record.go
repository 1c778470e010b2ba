package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/cli"
	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/migration/postgres/tap"
	"github.com/segue-deploy/segue/internal/migration/source"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Record runs a command against a database and adds the statements that it sends to a release's list.
func Record(ctx context.Context, options cli.RecordOptions) (cli.Recorded, error) {
	var recorded cli.Recorded
	database, err := recordable(options)
	if err != nil {
		return recorded, err
	}
	recorded.File = database.Of(database.StatementsFile, options.Release)
	opened, err := tap.Listen(ctx, database.URL)
	if err != nil {
		return recorded, err
	}
	command := exec.CommandContext(ctx, options.Command[0], options.Command[1:]...)
	command.Stdin, command.Stdout, command.Stderr = options.In, options.Out, options.Err
	command.Env = append(os.Environ(), options.Variable+"="+opened.URL())
	err = command.Run()
	heard, lost := opened.Statements()
	if closeErr := opened.Close(); closeErr != nil && err == nil {
		return recorded, fmt.Errorf("close tap: %w", closeErr)
	}
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		recorded.Exit, err = exit.ExitCode(), nil
	}
	if err != nil {
		return recorded, fmt.Errorf("run %s: %w", options.Command[0], err)
	}
	if lost > 0 {
		_, _ = fmt.Fprintf(options.Err, "%d more statements were not kept: there are too many different ones\n", lost)
	}
	return recorded, addStatements(&recorded, heard)
}

// recordable finds the database whose statements can be heard.
func recordable(options cli.RecordOptions) (spec.Database, error) {
	for _, database := range options.Project.Databases {
		if options.Database != "" && options.Database != database.Name {
			continue
		}
		switch {
		case options.Database == "" && len(options.Project.Databases) > 1:
			return database, segue.Errorf(segue.KindInvalid, "there are %d databases", len(options.Project.Databases)).WithHint("name one with --database")
		case database.Driver != drivers.Postgres:
			return database, segue.Errorf(segue.KindUnsupported, "database %s is a file: nobody can listen to what is sent to it", database.Name).
				WithHint("write the release's statements into databases.%s.statements, each ended by a semicolon", database.Name)
		case database.StatementsFile == "":
			return database, segue.Errorf(segue.KindInvalid, "databases.%s has no statements", database.Name).
				WithHint("say where the list of each release is kept: statements: ./releases/{release}/statements.sql")
		}
		return database, nil
	}
	return spec.Database{}, segue.Errorf(segue.KindNotFound, "the project has no database %s", options.Database)
}

// addStatements adds what was heard to the list, each statement once, constants apart.
func addStatements(recorded *cli.Recorded, heard []string) error {
	before, err := os.ReadFile(recorded.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read statements: %w", err)
	}
	known := map[string]bool{}
	kept, err := source.Statements(before, drivers.Postgres)
	if err != nil {
		return fmt.Errorf("%s: %w", recorded.File, err)
	}
	for _, query := range kept {
		known[sqltext.Normalize(sqltext.Postgres, query.SQL)] = true
	}
	var text strings.Builder
	text.WriteString(strings.TrimRight(string(before), "\n"))
	for _, statement := range heard {
		shape := sqltext.Normalize(sqltext.Postgres, statement)
		if known[shape] || utility(statement) {
			continue
		}
		known[shape] = true
		recorded.Fresh++
		text.WriteString("\n" + strings.TrimRight(strings.TrimSpace(statement), ";") + ";")
	}
	recorded.Statements = len(known)
	if err := os.MkdirAll(filepath.Dir(recorded.File), 0o755); err != nil { //nolint:gosec // it belongs to the project, and holds no secret
		return fmt.Errorf("make folder of statements: %w", err)
	}
	if err := os.WriteFile(recorded.File, []byte(strings.TrimLeft(text.String(), "\n")+"\n"), 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("write statements: %w", err)
	}
	return nil
}

// utility says whether a statement tells nothing of tables: begin, set, and the like.
func utility(statement string) bool {
	switch sqltext.Parse(sqltext.Postgres, statement).Kind {
	case sqltext.KindSelect, sqltext.KindInsert, sqltext.KindUpdate, sqltext.KindDelete:
		return false
	default:
		return true
	}
}
