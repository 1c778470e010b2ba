package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/workload"
)

// staged says what is in the folder of a staged release. It is written last.
type staged struct {
	Release segue.Release `json:"release"`
	// Base is the name of the artifact within the folder.
	Base string `json:"base"`
}

// stagedFile lies beside the artifact.
const stagedFile = ".segue.json"

// Digest implements workload.Driver.
func (d *Driver) Digest(ctx context.Context, config workload.Config, release segue.ReleaseName) (segue.Digest, string, error) {
	c, err := configOf(config)
	if err != nil {
		return "", "", err
	}
	path, err := c.artifactOf("", release)
	if err != nil {
		return "", "", err
	}
	digest, err := readArtifact(ctx, path, nowhere{})
	if err != nil {
		return "", "", fmt.Errorf("digest release %s: %w", release, err)
	}
	return digest, path, nil
}

// Stage implements workload.Driver: it copies the artifact into the state folder, so that nothing that happens to the original
// later can keep the release from being started again. It is a copy and no link: the original is writable.
func (d *Driver) Stage(ctx context.Context, config workload.Config, release segue.Release) error {
	c, err := configOf(config)
	if err != nil {
		return err
	}
	unlock := d.locks.lock(string(release.Service) + "/" + string(release.Name))
	defer unlock()
	switch _, err := d.staged(release); {
	case err == nil:
		return nil
	case segue.KindOf(err) != segue.KindNotFound:
		return err
	}
	source, err := c.artifactOf(release.Service, release.Name)
	if err != nil {
		return err
	}
	if err := d.stage(ctx, source, release); err != nil {
		return fmt.Errorf("stage release %s of %s: %w", release.Name, release.Service, err)
	}
	d.log.InfoContext(ctx, "release staged", "service", release.Service, "release", release.Name, "digest", release.Digest.Short())
	return nil
}

// Check implements workload.Checker: the programs which the command and the readiness check name are there.
func (d *Driver) Check(_ context.Context, config workload.Config, release segue.Release) error {
	c, err := configOf(config)
	if err != nil {
		return err
	}
	staged, err := d.staged(release)
	if err != nil {
		return err
	}
	address := "127.0.0.1:1"
	if c.Worker {
		address = ""
	}
	a := assembly{config: c, launch: workload.Launch{Service: release.Service, Release: release}, staged: staged}
	_, err = a.spec(address)
	return err
}

// stage fills a temp folder and puts it into its place as a whole.
func (d *Driver) stage(ctx context.Context, source string, release segue.Release) (err error) {
	folder := d.releaseDir(release)
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(folder), tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temp)
		}
	}()
	base := filepath.Base(source)
	to := &copying{top: filepath.Join(temp, base), buffer: make([]byte, 256<<10)}
	digest, err := readArtifact(ctx, source, to)
	if err != nil {
		return err
	}
	if digest != release.Digest {
		return segue.Errorf(segue.KindConflict, "%s has changed since the release was registered: its digest is %s, not %s",
			source, digest.Short(), release.Digest.Short()).WithHint("give what is there now a release name of its own")
	}
	if err := statefile.Write(filepath.Join(temp, stagedFile), staged{Release: release, Base: base}); err != nil {
		return err
	}
	if err := to.sync(temp); err != nil {
		return err
	}
	// What lies there without its note is the rest of a removal that was cut short.
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.Rename(temp, folder); err != nil {
		return err
	}
	return syncPath(filepath.Dir(folder))
}

// tempPrefix begins the names of folders that are being filled or emptied.
const tempPrefix = ".temp-"

// staged reads what is staged of a release. KindNotFound when nothing is.
func (d *Driver) staged(release segue.Release) (string, error) {
	folder := d.releaseDir(release)
	var s staged
	if err := statefile.Read(filepath.Join(folder, stagedFile), &s); err != nil {
		if segue.KindOf(err) == segue.KindNotFound {
			return "", segue.Errorf(segue.KindNotFound, "release %s of %s is not staged", release.Name, release.Service)
		}
		return "", err
	}
	if s.Release.Digest != release.Digest {
		return "", segue.Errorf(segue.KindConflict, "release %s of %s is staged with another content", release.Name, release.Service)
	}
	return filepath.Join(folder, s.Base), nil
}

// Retire implements workload.Driver. The logs of the release's stopped instances and the memory of their ends go, too.
func (d *Driver) Retire(ctx context.Context, release segue.Release) error {
	unlock := d.locks.lock(string(release.Service) + "/" + string(release.Name))
	defer unlock()
	ids, err := d.folders()
	if err != nil {
		return err
	}
	for _, id := range ids {
		spec, err := d.spec(id)
		if err == nil && spec.Service == release.Service && spec.Release == release.Name && spec.Digest == release.Digest {
			return segue.Errorf(segue.KindConflict, "retire release %s of %s: instance %s runs it on server %s", release.Name, release.Service, id, spec.Server)
		}
	}
	folder := d.releaseDir(release)
	// Renamed first, so that a removal that is cut short leaves no half release.
	temp := filepath.Join(filepath.Dir(folder), tempPrefix+filepath.Base(folder))
	err = os.Rename(folder, temp)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("retire release: %w", err)
	}
	if err := os.RemoveAll(temp); err != nil {
		return fmt.Errorf("retire release: %w", err)
	}
	return d.forget(ctx, release)
}

// releaseDir is the folder of a staged release.
func (d *Driver) releaseDir(release segue.Release) string {
	return filepath.Join(d.state, "releases", string(release.Service), string(release.Name)+"-"+release.Digest.Short())
}

// copying is the sink that copies an artifact.
type copying struct {
	top    string
	buffer []byte
	parts  []string
}

// syncOneByOne is the number of files and folders from which on the whole file system is synced instead: thousands of fsyncs take minutes.
const syncOneByOne = 100

func (c *copying) path(relative string) string {
	return filepath.Join(c.top, filepath.FromSlash(relative))
}

func (c *copying) folder(path string) error {
	c.note(path)
	return os.Mkdir(c.path(path), 0o755)
}

// note remembers what to sync, as long as that is little.
func (c *copying) note(path string) {
	if len(c.parts) <= syncOneByOne {
		c.parts = append(c.parts, path)
	}
}

func (c *copying) link(path, target string) error { return os.Symlink(target, c.path(path)) }

func (c *copying) file(path string, executable bool, content io.Reader) error {
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	file, err := os.OpenFile(c.path(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	// The plain writer, so that the content passes through the buffer and with it through the digest.
	if _, err := io.CopyBuffer(struct{ io.Writer }{file}, content, c.buffer); err != nil {
		return errors.Join(err, file.Close())
	}
	c.note(path)
	// Whatever the umask is.
	return errors.Join(file.Chmod(mode), file.Close())
}

// sync makes the copy outlast a power cut.
func (c *copying) sync(folder string) error {
	if len(c.parts) <= syncOneByOne {
		for _, path := range c.parts {
			if err := syncPath(c.path(path)); err != nil {
				return err
			}
		}
		return syncPath(folder)
	}
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	return unix.Syncfs(int(file.Fd()))
}

// syncPath syncs a folder or file by its path.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	return file.Sync()
}
