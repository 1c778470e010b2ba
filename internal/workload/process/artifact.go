package process

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// sink takes what an artifact consists of, in order. Paths are relative, with slashes; "." is the artifact itself.
type sink interface {
	folder(path string) error
	// file gets the content and must read it to its end.
	file(path string, executable bool, content io.Reader) error
	link(path, target string) error
}

// nowhere is the sink of a digest alone.
type nowhere struct{}

func (nowhere) folder(string) error { return nil }

func (nowhere) file(_ string, _ bool, content io.Reader) error {
	_, err := io.Copy(struct{ io.Writer }{io.Discard}, content)
	return err
}

func (nowhere) link(string, string) error { return nil }

// readArtifact gives the digest of a file or folder and passes its parts on to the sink in the same reading, so that what the sink got is
// what the digest is of. The digest covers paths below the artifact, contents, executable bits and the targets of symbolic links; not the artifact's
// own name, times, owners or other mode bits. Errors: KindNotFound; KindInvalid for what cannot be an artifact.
func readArtifact(ctx context.Context, path string, to sink) (segue.Digest, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return "", segue.Errorf(segue.KindNotFound, "artifact %s does not exist", path)
	}
	if err != nil {
		return "", fmt.Errorf("read artifact: %w", err)
	}
	r := &reading{ctx: ctx.Err, to: to, sum: sha256.New()}
	switch {
	case info.IsDir():
		err = r.tree(path)
	case info.Mode().IsRegular():
		var file *os.File
		if file, err = os.Open(path); err == nil {
			err = r.file(".", file)
		}
	default:
		err = segue.Errorf(segue.KindInvalid, "artifact %s is neither a file nor a folder", path)
	}
	if err != nil {
		return "", fmt.Errorf("read artifact: %w", err)
	}
	return segue.Digest("sha256:" + hex.EncodeToString(r.sum.Sum(nil))), nil
}

// reading is one reading of an artifact.
type reading struct {
	ctx func() error // the reading is given up when it gives an error
	to  sink
	sum hash.Hash
}

// record adds one part to the digest: its kind, and fields whose lengths are written before them, so that no two trees look alike.
func (r *reading) record(kind byte, fields ...[]byte) {
	_, _ = r.sum.Write([]byte{kind}) // a hash takes anything
	for _, field := range fields {
		_, _ = r.sum.Write(binary.AppendUvarint(nil, uint64(len(field))))
		_, _ = r.sum.Write(field)
	}
}

// tree reads a folder in the order of names. Everything is opened below the folder's descriptor: a link that leads out of it cannot
// be followed, even when it is put there meanwhile.
func (r *reading) tree(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only read
	return fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, r.ctx()); err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			r.record('d', []byte(path))
			return r.to.folder(path)
		case entry.Type() == fs.ModeSymlink:
			return r.link(root, path)
		case entry.Type().IsRegular():
			file, err := root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
			if err != nil {
				return err
			}
			return r.file(path, file)
		default:
			return segue.Errorf(segue.KindInvalid, "%s is a %s: a release consists of files, folders and links", path, typeName(entry.Type()))
		}
	})
}

// file reads and closes a file.
func (r *reading) file(path string, file *os.File) error {
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	content := sha256.New()
	executable := info.Mode()&0o111 != 0
	source := &chunked{reader: io.TeeReader(file, content), ctx: r.ctx}
	if err := r.to.file(path, executable, source); err != nil {
		return err
	}
	mode := byte('f')
	if executable {
		mode = 'x'
	}
	r.record(mode, []byte(path), content.Sum(nil))
	return nil
}

// link reads a symbolic link. It may lead nowhere, but not out of the folder: what is there is not part of the release.
func (r *reading) link(root *os.Root, path string) error {
	target, err := root.Readlink(path)
	if err != nil {
		return err
	}
	if _, err := root.Stat(path); err != nil && !errors.Is(err, fs.ErrNotExist) || filepath.IsAbs(target) {
		return segue.Errorf(segue.KindInvalid, "link %s points to %s, which is not below the release's folder", path, target).
			WithHint("copy what it points to into the folder, or make the link relative")
	}
	r.record('l', []byte(path), []byte(target))
	return r.to.link(path, target)
}

// chunked ends the reading of a large file when nobody wants it any more.
type chunked struct {
	reader io.Reader
	ctx    func() error
}

func (c *chunked) Read(into []byte) (int, error) {
	if err := c.ctx(); err != nil {
		return 0, err
	}
	return c.reader.Read(into)
}

func typeName(mode fs.FileMode) string {
	switch mode {
	case fs.ModeNamedPipe:
		return "named pipe"
	case fs.ModeSocket:
		return "socket"
	default:
		return "device"
	}
}
