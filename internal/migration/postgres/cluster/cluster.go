// Package cluster starts a throw-away PostgreSQL server of its own from installed binaries: for `segue demo`, for tests, and as the place of a scratch
// copy when the real server gives none. It is fast and forgets everything: nothing is synced to disk, and Stop removes the folder.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
)

// superuser is the role that every cluster has.
const superuser = "postgres"

// portTries is how often another port is tried when somebody was faster to take the one that was free.
const portTries = 4

// Options say what to start. The zero value is the newest installed version in a folder of its own.
type Options struct {
	// Bin is the folder with initdb and postgres; "" to look for it, see Find.
	Bin string
	// Major asks for a version when Bin is "" ("15"); "" takes the newest.
	Major string
	// Dir is where everything is kept; it is made when it is not there, and removed by Stop. "" is a fresh one below the temporary folder.
	Dir string
	// Settings are those of postgresql.conf, and override the cluster's own.
	Settings map[string]string
	// Template is a folder that keeps a cluster as initdb leaves it: made when it is not there, copied when it is, which takes a third of the time.
	Template string
	// Primary makes the cluster a hot standby of another one that runs.
	Primary *Cluster
}

// Cluster is a server that runs.
type Cluster struct {
	bin, dir, sockets string
	settings          map[string]string
	primary           *Cluster
	account           *account
	port              int
	password          string
	process           *process
	lock              *os.File
	databases         atomic.Int64
}

// Start makes a cluster and starts it; it answers when Start returns. The server dies with this process (Linux).
// KindUnavailable when there are no binaries or they do not start, with the end of the server's log.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	c := &Cluster{bin: options.Bin, settings: options.Settings, primary: options.Primary, password: rand.Text()}
	if c.bin == "" {
		if c.bin, err = Find(options.Major); err != nil {
			return nil, err
		}
	}
	if c.account, err = unprivileged(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := c.makeFolders(options.Dir); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := c.makeData(ctx, options.Template); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := c.startOnFreePort(ctx); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if c.primary == nil {
		if err := c.exec(ctx, "ALTER ROLE "+superuser+" PASSWORD '"+c.password+"'"); err != nil {
			return nil, fmt.Errorf("start postgres: set password: %w", err)
		}
	}
	return c, nil
}

// URL gives the connection string of a database over the socket, which only this user can reach.
func (c *Cluster) URL(database string) string {
	query := url.Values{"host": {c.sockets}, "port": {strconv.Itoa(c.port)}}
	address := url.URL{Scheme: "postgres", User: url.User(superuser), Host: "", Path: "/" + database, RawQuery: query.Encode()}
	return address.String()
}

// LoopbackURL is the same over TCP on the loopback, with a password: for programs that cannot use a socket.
func (c *Cluster) LoopbackURL(database string) string {
	password := c.password
	if c.primary != nil {
		password = c.primary.password
	}
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return address.String()
}

// Sockets is the folder of the server's socket, and Port the port in its name and on the loopback.
func (c *Cluster) Sockets() string { return c.sockets }

// Port is the one that the server listens on.
func (c *Cluster) Port() int { return c.port }

// Bin is the folder of the programs.
func (c *Cluster) Bin() string { return c.bin }

// PID of the server's first process.
func (c *Cluster) PID() int { return c.process.command.Process.Pid }

// Database makes a fresh database. drop removes it, with whoever is connected.
func (c *Cluster) Database(ctx context.Context) (address string, drop func() error, err error) {
	name := fmt.Sprintf("db%d", c.databases.Add(1))
	if err := c.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, fmt.Errorf("create database: %w", err)
	}
	return c.URL(name), func() error {
		return c.exec(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}, nil
}

// Restart ends the server as a power failure would, and starts it again on the same data and port.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.process.stop(ctx); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	if err := c.launch(ctx); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	return nil
}

// Stop ends the server at once and removes its folders.
func (c *Cluster) Stop(ctx context.Context) error {
	var failed []error
	if c.process != nil {
		failed = append(failed, c.process.stop(ctx))
	}
	for _, dir := range []string{c.sockets, c.dir} {
		if dir != "" {
			failed = append(failed, os.RemoveAll(dir))
		}
	}
	if c.lock != nil {
		failed = append(failed, c.lock.Close())
		c.lock = nil
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return nil
}

// exec runs one statement in the database postgres.
func (c *Cluster) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// startOnFreePort starts the server, and again where the port was taken meanwhile.
func (c *Cluster) startOnFreePort(ctx context.Context) error {
	for try := 1; ; try++ {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		c.port = port
		if err := c.configure(); err != nil {
			return err
		}
		err = c.launch(ctx)
		if err == nil || try == portTries || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return strconv.Atoi(port)
}

// configure writes the settings. What belongs to a throw-away server comes first, the caller's own last: the last one counts.
func (c *Cluster) configure() error {
	lines := []string{
		"listen_addresses = '127.0.0.1'",
		"port = " + strconv.Itoa(c.port),
		"unix_socket_directories = " + quoteSetting(c.sockets),
		"unix_socket_permissions = 0700",
		// A commit is handed to the kernel, and survives a crash of the server, but not of the machine.
		"fsync = off", "full_page_writes = off",
		"shared_buffers = '32MB'", "max_wal_size = '256MB'", "wal_level = 'logical'",
		"password_encryption = 'scram-sha-256'", "timezone = 'UTC'", "log_timezone = 'UTC'",
		"logging_collector = off", "jit = off",
	}
	if hasLibrary(c.bin, "pg_stat_statements") {
		lines = append(lines, "shared_preload_libraries = 'pg_stat_statements'")
	}
	for name, value := range c.settings {
		lines = append(lines, name+" = "+quoteSetting(value))
	}
	path := filepath.Join(c.data(), "segue.conf")
	if err := c.writeFile(path, strings.Join(lines, "\n")+"\n"); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// quoteSetting quotes a value of postgresql.conf.
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer("'", "''", "\\", "\\\\").Replace(value) + "'"
}

// writeFile writes a file that the server's account can read.
func (c *Cluster) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return c.account.own(path)
}

// makeFolders makes the cluster's folder and, where its path is too long for a socket's, one for that.
func (c *Cluster) makeFolders(dir string) (err error) {
	if dir == "" {
		sweep()
		dir, err = os.MkdirTemp("", folderPrefix+"*")
	} else {
		if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
			return segue.Errorf(segue.KindConflict, "%s has a cluster already", dir).WithHint("Give another folder, or remove this one.")
		}
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if c.lock, err = hold(dir); err != nil {
		return err
	}
	c.dir = dir // from here on it is ours, for Stop to remove
	sockets := filepath.Join(c.dir, "s")
	if len(sockets) > longestSocketDir {
		if sockets, err = os.MkdirTemp("/tmp", folderPrefix+"s-*"); err != nil {
			return err
		}
	} else if err := os.Mkdir(sockets, 0o700); err != nil {
		return err
	}
	c.sockets = sockets
	return errors.Join(c.account.own(c.dir), c.account.own(sockets))
}
