package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// link is one connection to the target. One request at a time uses it.
type link struct {
	conn   net.Conn
	raw    syscall.RawConn
	reader *bufio.Reader
	head   []byte // scratch for the request's header
	uses   int    // requests written so far
}

// dial opens a link.
func dial(ctx context.Context, address string, timeout time.Duration) (*link, error) {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("dial %s: not a TCP connection", address), conn.Close())
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dial %s: %w", address, err), conn.Close())
	}
	return &link{conn: conn, raw: raw, reader: bufio.NewReaderSize(conn, 8<<10)}, nil
}

// gone reports whether the peer has closed an idle link, or has sent something that nobody asked for. It looks without
// taking: an ordinary client's read loop would have seen the same at this moment.
func (l *link) gone() bool {
	if l.reader.Buffered() > 0 {
		return true
	}
	idle := false
	var one [1]byte
	err := l.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		idle = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err != nil || !idle
}

// close ends the link. Its error says nothing about any request.
func (l *link) close() { _ = l.conn.Close() }
