// Package unixsock listens on and dials unix sockets for this user alone: mode 0600 from the first moment, any path length, stale
// sockets of dead holders replaced, live ones never.
package unixsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// pathLimit is what sun_path holds, without its final zero.
const pathLimit = 107

// Listen binds path with mode 0600. KindConflict when somebody answers there already. The socket file is removed when the listener is
// closed. The caller must hold a lock that keeps a second process from listening on the same path at the same moment.
func Listen(path string) (net.Listener, error) {
	if conn, err := Dial(context.Background(), path); err == nil {
		_ = conn.Close()
		return nil, segue.Errorf(segue.KindConflict, "listen on %s: another process answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := bind(short)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &removing{Listener: listener, path: path}, nil
}

// bind makes the socket under a umask that lets nobody else in, even for a moment.
func bind(path string) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	return listener, nil
}

// umask is the process's; two sockets made at once must not take each other's for the old one.
//
//nolint:gochecknoglobals // the umask is the process's, and so is its lock
var umask sync.Mutex

// Dial connects to path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", path, err)
	}
	return conn, nil
}

// shorten gives a name for path that fits into a socket address: through the open folder's descriptor when it is too long.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= pathLimit {
		return path, func() {}, nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("open folder of socket: %w", err)
	}
	short = "/proc/self/fd/" + strconv.Itoa(int(folder.Fd())) + "/" + filepath.Base(path)
	return short, func() { _ = folder.Close() }, nil
}

// removing takes the socket file away when it closes.
type removing struct {
	net.Listener
	path string
	once sync.Once
}

// Close closes the listener and removes its file, once.
func (l *removing) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = l.Listener.Close()
		_ = os.Remove(l.path)
	})
	return err
}
