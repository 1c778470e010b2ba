package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/segue-deploy/segue"
)

// Socket is one listening TCP socket, whoever accepts from it.
type Socket struct {
	listener *net.TCPListener
	// Inherited is true when the socket was passed in by a supervisor: it stays open there when this process closes it.
	Inherited bool
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
	_ = s.listener.SetDeadline(time.Time{})
	return &Turn{socket: s, done: make(chan struct{})}
}

// Turn is one acceptor's time on a Socket: a net.Listener whose Close leaves the socket open.
type Turn struct {
	socket *Socket
	over   atomic.Bool
	once   sync.Once
	done   chan struct{} // closed when Accept has said that the turn is over
}

// lastCall is how long a turn that was closed goes on accepting what stands in the queue, so that nobody in it is turned away.
const lastCall = 2 * time.Millisecond

// Accept waits for a connection; net.ErrClosed once the turn or the socket is closed. Running out of descriptors is waited out.
func (t *Turn) Accept() (net.Conn, error) {
	for {
		conn, err := t.socket.listener.AcceptTCP()
		switch {
		case err == nil:
			return conn, nil
		case t.over.Load():
			t.once.Do(func() { close(t.done) })
			return nil, net.ErrClosed
		case !passing(err):
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

// Close ends the turn: Accept gives what is in the queue and then returns; the socket stays. Close waits for that, for a short time, so
// that the next turn shares the socket with nobody.
func (t *Turn) Close() error {
	if t.over.Swap(true) {
		return nil
	}
	_ = t.socket.listener.SetDeadline(time.Now().Add(lastCall))
	timer := time.NewTimer(50 * lastCall)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C: // nobody accepts
	}
	return nil
}

// Addr is the socket's address.
func (t *Turn) Addr() net.Addr { return t.socket.Addr() }
