// Package postgres changes a PostgreSQL database that an old and a new release share.
//
// It is put together of rooms that each do one thing: `server` looks (catalogue, scratch copies, what stands in the way), `oracle` lets the server say what
// a statement does, `recipe` makes changes of statements, `runner` carries them out with a journal in the database, `backfill` brings rows to a new form,
// `gate` finds out what still needs what. `cluster` starts servers of our own, and `tap` hears what an application sends.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/backfill"
	"github.com/segue-deploy/segue/internal/migration/postgres/gate"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// Config says which database. URLs are secrets.
type Config struct {
	// URL of the database, with a role that owns the tables.
	URL string
	// Scratch is the URL of a server for schema-only copies, "" for the database's own server.
	Scratch string
	// Replicas are URLs of standbys that applications read from.
	Replicas []string
	// Group is the role whose members the logins of releases are made; "" for no such logins. Prefix begins their names.
	Group  string
	Prefix string
}

// Driver is a migration.Driver for one database.
type Driver struct {
	config   Config
	server   *server.Server
	runner   *runner.Runner
	gate     *gate.Gatekeeper
	backfill *backfill.Backfiller
}

var _ migration.Driver = (*Driver)(nil)

// Open connects. KindUnavailable when the server does not answer, KindInvalid when the URL is none or the login is refused.
func Open(ctx context.Context, config Config) (*Driver, error) {
	s, err := server.Open(ctx, server.Config{URL: config.URL, ScratchURL: config.Scratch})
	if err != nil {
		return nil, err
	}
	d := &Driver{config: config, server: s}
	d.gate = gate.New(gate.Config{Server: s, Memory: gate.TableMemory{Server: s}, Replicas: config.Replicas})
	d.backfill = backfill.New(s.Conn)
	d.runner = runner.New(runner.Config{Connect: s.Conn, Backfiller: d.backfill, History: history{}, Hider: hider{}})
	return d, nil
}

// Inspect implements migration.Driver.
func (d *Driver) Inspect(ctx context.Context) (migration.Server, error) {
	found, err := d.server.Inspect(ctx)
	if err != nil || d.config.Group == "" {
		return found, err
	}
	faults, err := d.roleFaults(ctx)
	found.Faults = append(found.Faults, faults...)
	return found, err
}

// Lease implements migration.Driver.
func (d *Driver) Lease(ctx context.Context, holder string) (migration.Lease, error) {
	l, err := d.runner.Lease(ctx, holder)
	if err != nil {
		return nil, err
	}
	return &lease{Lease: l, driver: d}, nil
}

// State implements migration.Driver.
func (d *Driver) State(ctx context.Context) (migration.State, error) {
	found, err := d.Inspect(ctx)
	if err != nil {
		return migration.State{}, err
	}
	journal, err := d.runner.Read(ctx)
	if err != nil {
		return migration.State{}, err
	}
	positions, err := backfill.Positions(ctx, d.server.Pool())
	if err != nil {
		return migration.State{}, server.Explain("read state", err)
	}
	for i := range journal.Changes {
		change := &journal.Changes[i]
		if at, going := positions[change.Change.ID]; going && change.Status == migration.StatusRunning {
			at.Rate, at.Left, at.Batch, at.Waiting = change.Progress.Rate, change.Progress.Left, change.Progress.Batch, change.Progress.Waiting
			at.Utilization = change.Progress.Utilization
			change.Progress = at
		}
	}
	return migration.State{Server: found, Changes: journal.Changes, Holder: journal.Holder, Since: journal.Since}, nil
}

// Check implements migration.Driver.
func (d *Driver) Check(ctx context.Context, request migration.CheckRequest) (migration.Matrix, error) {
	return d.gate.Check(ctx, request)
}

// Gate implements migration.Driver.
func (d *Driver) Gate(ctx context.Context, request migration.GateRequest) (migration.Gate, error) {
	request.Now = cmp.Or(request.Now, time.Now())
	logins, err := d.logins(ctx)
	if err != nil {
		return migration.Gate{}, err
	}
	request.Releases = slices.Clone(request.Releases)
	for i := range request.Releases {
		p := &request.Releases[i]
		if at := slices.IndexFunc(logins, func(l migration.Presence) bool { return l.Release == p.Release }); at >= 0 && p.Role == "" {
			p.Role = logins[at].Role
		}
	}
	return d.gate.Ask(ctx, request)
}

// Statements implements migration.Driver.
func (d *Driver) Statements(ctx context.Context, since time.Time) (migration.Statements, error) {
	logins, err := d.logins(ctx)
	if err != nil {
		return migration.Statements{}, err
	}
	return d.gate.Listen(ctx, logins, since)
}

// Close implements migration.Driver. Leases that are still held are given up.
func (d *Driver) Close() error {
	err := d.runner.Close()
	d.server.Close()
	return err
}

// lease adds what only the whole driver knows to the runner's.
type lease struct {
	*runner.Lease
	driver *Driver
}

// rollback ends a transaction that was only read in.
func rollback(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(context.WithoutCancel(ctx)); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

func unsupported(format string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindUnsupported, format, args...)
}
