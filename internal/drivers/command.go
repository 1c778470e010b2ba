package drivers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/command"
)

const (
	// commandApplication is the name under which a command's sessions are known.
	commandApplication = "segue-command"
	// commandLock is how long its statements may ask for a lock, and commandPatience how long others may be kept waiting.
	commandLock, commandPatience = 2 * time.Second, time.Second
)

// Command is a team's own migration runner and where it runs.
type Command struct {
	// Driver and Block are of the database.
	Driver string
	Block  json.RawMessage
	Argv   []string
	Dir    string
	// Line, if set, gets what it writes, line by line, without secrets.
	Line func(string)
}

// RunCommand runs a team's own migration runner. On PostgreSQL its sessions are watched: what would keep applications waiting is broken off.
func (s *Set) RunCommand(ctx context.Context, c Command) (migration.Report, error) {
	var config databaseBlock
	if err := json.Unmarshal(c.Block, &config); err != nil {
		return migration.Report{}, segue.Errorf(segue.KindCorrupt, "read configuration of database: %w", err)
	}
	login := command.Login{URL: config.URL}
	stop := func() command.Observed { return command.Observed{} }
	if c.Driver == Postgres {
		login.Application, login.Lock = commandApplication, commandLock
		var err error
		if stop, err = watchCommand(ctx, config.URL); err != nil {
			return migration.Report{}, err
		}
	}
	var runner command.Runner
	result, err := runner.Run(ctx, command.Request{
		Argv: c.Argv, Dir: c.Dir, Env: login.Environ(os.Environ()), Hide: []string{config.URL}, Output: c.Line,
	})
	seen := stop()
	report := migration.Report{Took: result.Took, Held: seen.Held.Lasted, Caused: seen.Blocked, Waiters: seen.Waiters, LockWait: seen.Waited.Lasted}
	notes := make([]string, 0, 1+len(seen.Stops))
	if c.Driver == Postgres && seen.Sessions == 0 && err == nil {
		notes = append(notes, "no session of the name that it was given was seen: they were over at once, or had another name and were not watched")
	}
	for _, one := range seen.Stops {
		notes = append(notes, "broken off because it "+one.Why)
	}
	report.Note = strings.Join(notes, "; ")
	if err != nil && len(seen.Stops) > 0 {
		return report, segue.Errorf(segue.KindTimeout, "%w (%s)", err, report.Note).WithHint("run it when less goes on, or let Segue run the statements: it waits beside the queue")
	}
	return report, err
}

// watchCommand looks after a command's sessions until the function that it gives is called.
func watchCommand(ctx context.Context, url string) (stop func() command.Observed, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, segue.Errorf(segue.KindUnavailable, "watch the command's sessions: the database does not answer").WithHint("is the server up, and can this machine reach it?")
	}
	watching, end := context.WithCancel(ctx)
	var wait sync.WaitGroup
	var seen command.Observed
	wait.Go(func() {
		// What was seen until the server went away counts.
		seen, _ = command.Watch(watching, conn, commandApplication, commandPatience)
	})
	return func() command.Observed {
		end()
		wait.Wait()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
		return seen
	}, nil
}

// Fill replaces the placeholders of a command's words.
func Fill(words []string, release segue.ReleaseName, artifact string) []string {
	filled := make([]string, len(words))
	for i, word := range words {
		filled[i] = strings.NewReplacer("{release}", string(release), "{artifact}", artifact).Replace(word)
	}
	return filled
}

// String says what it is, without the secrets of the block.
func (c Command) String() string { return fmt.Sprintf("command %q", c.Argv) }
