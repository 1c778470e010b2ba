// Package runner carries changes out on a PostgreSQL database that an old and a new release share, and keeps in that database, in a schema of its own, what
// was done: statement by statement, in the transaction that did it. Whatever is killed when, a statement in a transaction is done exactly once, and one
// that cannot be in a transaction is brought to its end by looking at what the catalogue says of it.
//
// Three things keep the applications from waiting. Before a strong lock is asked for, the runner looks who has the table, and waits beside the queue and not
// in it. When it asks, it asks for a fraction of a second: statements that queue behind it wait no longer than that. And a statement that was said to
// be brief is broken off when it is not.
//
// The right to write is a lease: an advisory lock that ends with its connection, and a number in a table that every transaction of the holder checks. Whoever
// lost the lock, without noticing it, cannot commit any more; and whoever has it next ends the connections that were left.
package runner

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// Config says what a runner works on and with.
type Config struct {
	// Connect opens a connection for one user, without a pooler between: leases hold advisory locks of their session.
	Connect func(ctx context.Context) (*pgx.Conn, error)
	// Backfiller does changes of PhaseBackfill.
	Backfiller Backfiller
	// History keeps the table of the team's own runner; nil where there is none.
	History History
	// Hider hides what a contract is about to remove; nil where the applications have no roles to hide it from.
	Hider Hider
}

// Backfiller brings the rows of a table to a new form.
type Backfiller interface {
	// Run works until no row is left, from wherever a run before it came to. Every write must be in a transaction of session.Update. save writes
	// progress down and shows it, and fails when that is not possible any more.
	Run(ctx context.Context, session *Session, change migration.Change, options migration.RunOptions, save func(migration.Progress) error) (migration.Report, error)
	// Cancel takes away what a backfill needed (triggers, its cursor), in the transaction in which the change is marked as canceled. Rows stay.
	Cancel(ctx context.Context, tx pgx.Tx, change migration.Change) error
}

// History writes into the table of the team's own runner, in the transaction that does the last of a file, or takes it back.
type History interface {
	Applied(ctx context.Context, tx pgx.Tx, file migration.File, history migration.History) error
	TakenBack(ctx context.Context, tx pgx.Tx, file migration.File, history migration.History) error
}

// Hider takes privileges from the applications' roles.
type Hider interface {
	// Hide hides what a change removes, and gives the statements that show it again.
	Hide(ctx context.Context, tx pgx.Tx, change migration.Change) (restore []string, err error)
}

// Runner works on one database.
type Runner struct {
	config Config

	// mu guards what was last read of the team's files: Record writes it down with the changes.
	mu      sync.Mutex
	files   map[string]migration.File
	folder  []string
	history migration.History
	leases  map[*Lease]struct{}
}

// New makes a runner; nothing is asked of the server yet.
func New(config Config) *Runner {
	return &Runner{config: config, files: map[string]migration.File{}, leases: map[*Lease]struct{}{}}
}

// Remember keeps the files that the next plan to be recorded comes from: without them an edit could not be told, and the team's history not be kept.
func (r *Runner) Remember(files []migration.File, history migration.History) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = history
	clear(r.files)
	r.folder = nil
	for _, file := range files {
		r.files[file.Version] = file
		r.folder = append(r.folder, file.Version)
	}
}

// Close ends the leases that are still held.
func (r *Runner) Close() error {
	r.mu.Lock()
	held := make([]*Lease, 0, len(r.leases))
	for l := range r.leases {
		held = append(held, l)
	}
	r.mu.Unlock()
	for _, l := range held {
		l.drop(context.Background())
	}
	return nil
}

// Journal is what the database has written down.
type Journal struct {
	Changes []migration.ChangeState
	// Files that changes were recorded of, by version, as they were then; Complete are those that were done whole.
	Files    map[string]migration.File
	Complete map[string]bool
	// Holder of the lease, "" for nobody.
	Holder string
	Since  time.Time
}

// Read reads all of it. A database that Segue never worked on has an empty one.
func (r *Runner) Read(ctx context.Context) (journal Journal, err error) {
	conn, err := r.config.Connect(ctx)
	if err != nil {
		return journal, explain("read journal", err)
	}
	defer func() { err = errors.Join(err, shut(ctx, conn)) }()
	there, err := checkSchema(ctx, conn)
	if err != nil || !there {
		return journal, explain("read journal", err)
	}
	if journal.Changes, err = readChanges(ctx, conn); err != nil {
		return journal, explain("read journal", err)
	}
	files, err := readFiles(ctx, conn)
	if err != nil {
		return journal, explain("read journal", err)
	}
	journal.Files, journal.Complete = make(map[string]migration.File, len(files)), map[string]bool{}
	for version, row := range files {
		journal.Files[version], journal.Complete[version] = row.file, row.complete
	}
	if journal.Holder, journal.Since, err = readHolder(ctx, conn); err != nil {
		return journal, explain("read journal", err)
	}
	return journal, nil
}

// closing bounds how long the end of a connection may take, and whatever else is done when the caller has given up already.
const closing = 5 * time.Second

// shut ends a connection. Its error says nothing that matters: whatever it was for is done or has failed.
func shut(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_ = conn.Close(ctx)
	return nil
}

// setUp prepares a connection for work: under a name by which others can find and end it, and so that the server notices when we are gone.
func setUp(ctx context.Context, conn *pgx.Conn, name string) error {
	const settings = `SELECT set_config('application_name', $1, false), set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
		set_config('idle_in_transaction_session_timeout', $2, false),
		set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false),
		(SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval' AND setting = '0')`
	if _, err := conn.Exec(ctx, settings, name, strconv.FormatInt(idleInTransaction.Milliseconds(), 10)); err != nil {
		return fmt.Errorf("set up connection: %w", err)
	}
	return nil
}

// idleInTransaction is how long a transaction of ours may do nothing before the server ends it: a process that was stopped must not keep its locks.
const idleInTransaction = 10 * time.Second
