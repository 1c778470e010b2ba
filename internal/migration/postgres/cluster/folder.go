package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// folderPrefix begins the name of every folder that is made below the temporary one.
	folderPrefix = "segue-postgres-"
	// longestSocketDir leaves room for "/.s.PGSQL.65535.lock" in the 104 bytes that macOS gives a socket's path (Linux: 108).
	longestSocketDir = 80
	// youngest is the age from which a folder without a lock is nobody's: its maker takes the lock right after making it.
	youngest = time.Hour
)

// hold takes a cluster's lock, which goes with the process: a folder whose lock is free is left over. The lock gets its name once it is held, so that no
// sweep finds it free in between.
func hold(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	file, err := os.CreateTemp(dir, "lock-*")
	if err != nil {
		return nil, err
	}
	defer func(made string) { _ = os.Remove(made) }(file.Name())
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = os.Link(file.Name(), name)
	}
	if err == nil {
		return file, nil
	}
	_ = file.Close() // nothing was written to it
	if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	// The folder was given, and had a cluster before.
	if file, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), file.Close())
	}
	return file, nil
}

// sweep removes the folders of clusters whose makers were killed. What cannot be removed is somebody else's, or the next sweep's.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range dirs {
		if leftOver(dir) {
			_ = os.RemoveAll(dir)
		}
	}
}

func leftOver(dir string) bool {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		info, statErr := os.Lstat(dir)
		return errors.Is(err, fs.ErrNotExist) && statErr == nil && info.IsDir() && time.Since(info.ModTime()) > youngest
	}
	defer func() { _ = file.Close() }() // gives the lock up, if it was had
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// makeData makes the data folder: by initdb, from a template of that, or as a copy of the primary's.
func (c *Cluster) makeData(ctx context.Context, template string) error {
	switch {
	case c.primary != nil:
		return c.run(ctx, "pg_basebackup", "-h", c.primary.sockets, "-p", strconv.Itoa(c.primary.port), "-U", superuser,
			"-D", c.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	case template == "":
		return c.initdb(ctx, c.data())
	}
	if _, err := os.Stat(template); errors.Is(err, fs.ErrNotExist) {
		if err := c.makeTemplate(ctx, template); err != nil {
			return fmt.Errorf("make template: %w", err)
		}
	}
	if err := os.CopyFS(c.data(), os.DirFS(template)); err != nil {
		return fmt.Errorf("copy template: %w", err)
	}
	// The server refuses a data folder that others can read.
	return errors.Join(os.Chmod(c.data(), 0o700), c.account.ownAll(c.data()))
}

// makeTemplate makes the template as a whole or not at all; who else made one meanwhile made the same.
func (c *Cluster) makeTemplate(ctx context.Context, template string) error {
	fresh := filepath.Join(c.dir, "template")
	if err := c.initdb(ctx, fresh); err != nil {
		return err
	}
	staged, err := os.MkdirTemp(filepath.Dir(template), filepath.Base(template)+".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staged) }() // gone already when it became the template
	if err := os.CopyFS(staged, os.DirFS(fresh)); err != nil {
		return err
	}
	if err := os.Rename(staged, template); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return os.RemoveAll(fresh)
}

// initdb makes an empty cluster. The segments of the write-ahead log are small, so that there is less to write and to copy.
func (c *Cluster) initdb(ctx context.Context, data string) error {
	err := c.run(ctx, "initdb", "-D", data, "-U", superuser, "-E", "UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--no-sync", "--no-instructions", "--wal-segsize=1")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("include 'segue.conf'\n")
	return errors.Join(err, file.Close())
}
