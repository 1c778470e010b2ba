package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/segue-deploy/segue"
)

// Socket is one listening TCP socket, whoever accepts from it.
type Socket struct {
	listener *net.TCPListener
	// Inherited is true when the socket was passed in by a supervisor: it stays open there when this process closes it.
	Inherited bool

	mu   sync.Mutex
	turn *Turn
}

// Bind listens on address ("host:port"; port 0 takes a free one) with SO_REUSEADDR, never SO_REUSEPORT. The error names the
// address and what to do.
func Bind(ctx context.Context, address string) (*Socket, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, explain(address, err)
	}
	return &Socket{listener: listener.(*net.TCPListener)}, nil
}

func explain(address string, err error) error {
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return segue.Errorf(segue.KindConflict, "listen on %s: the port is in use by another process", address).
			WithHint("see who holds it with `ss -ltnp 'sport = :%s'`; stop that, or choose another `listen` address", port)
	case errors.Is(err, syscall.EACCES):
		return segue.Errorf(segue.KindInvalid, "listen on %s: not permitted", address).
			WithHint("ports below 1024 need CAP_NET_BIND_SERVICE, or a socket passed in by systemd")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return segue.Errorf(segue.KindInvalid, "listen on %s: this machine does not have that address", address).
			WithHint("use an address that `ip address` shows, or \":%s\" for all of them", port)
	default:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
}

// Addr is the address that is listened on, with its real port.
func (s *Socket) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Close closes the socket. Connections that were accepted stay.
func (s *Socket) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close socket %s: %w", s.Addr(), err)
	}
	return nil
}

// Turn begins to accept from the socket. The turn before, if any, must have been closed.
func (s *Socket) Turn() *Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.SetDeadline(time.Time{})
	s.turn = &Turn{socket: s}
	return s.turn
}

// Turn is one acceptor's time on a Socket: a net.Listener whose Close leaves the socket open.
type Turn struct {
	socket *Socket
	mu     sync.Mutex
	over   bool
}

// Accept waits for a connection; net.ErrClosed once the turn or the socket is closed.
func (t *Turn) Accept() (net.Conn, error) {
	for {
		conn, err := t.socket.listener.AcceptTCP()
		if err == nil {
			return conn, nil
		}
		if t.closed() {
			return nil, net.ErrClosed
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			continue // the deadline that ended an earlier turn
		}
		if !passing(err) {
			return nil, err
		}
		time.Sleep(exhausted)
	}
}

// exhausted is the pause after an Accept that found no descriptor or memory left: connections that end meanwhile give some back.
const exhausted = 20 * time.Millisecond

// passing says whether Accept may succeed a moment later.
func passing(err error) bool {
	for _, e := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Close ends the turn: a waiting Accept returns, the socket and its queue stay.
func (t *Turn) Close() error {
	t.mu.Lock()
	over := t.over
	t.over = true
	t.mu.Unlock()
	if over {
		return nil
	}
	t.socket.mu.Lock()
	defer t.socket.mu.Unlock()
	if t.socket.turn == t {
		_ = t.socket.listener.SetDeadline(time.Unix(1, 0))
	}
	return nil
}

// Addr is the socket's address.
func (t *Turn) Addr() net.Addr { return t.socket.Addr() }

func (t *Turn) closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}
