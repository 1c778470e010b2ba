package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// pooler stands between clients and a server, as PgBouncer does: in transaction mode (share) a session is only lent for a transaction, the one that was
// used last first.
type pooler struct {
	t       *testing.T
	address string
	share   atomic.Bool

	mu   sync.Mutex
	idle []*session
	all  []net.Conn
	work sync.WaitGroup
}

type session struct {
	net.Conn
	front *pgproto3.Frontend
}

func newPooler(t *testing.T, sockets string, port int) *pooler {
	t.Helper()
	p := &pooler{t: t, address: fmt.Sprintf("%s/.s.PGSQL.%d", sockets, port)}
	t.Cleanup(func() {
		p.mu.Lock()
		for _, conn := range p.all {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *pooler) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, conn)
}

// dial gives a client its end.
func (p *pooler) dial(ctx context.Context) (net.Conn, error) {
	client, ours := net.Pipe()
	p.keep(ours)
	p.work.Go(func() {
		defer ours.Close()
		if err := p.serve(context.WithoutCancel(ctx), ours); err != nil && !slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe}, func(end error) bool { return errors.Is(err, end) }) {
			p.t.Logf("pooler: %v", err)
		}
	})
	return client, nil
}

func (p *pooler) serve(ctx context.Context, client net.Conn) error {
	back := pgproto3.NewBackend(client, client)
	first, err := back.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	if _, ok := first.(*pgproto3.SSLRequest); ok {
		return fmt.Errorf("TLS is asked for")
	}
	startup, ok := first.(*pgproto3.StartupMessage)
	if !ok {
		return nil // a cancel request
	}
	back.Send(&pgproto3.AuthenticationOk{})
	back.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	back.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	back.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 2}})
	back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := back.Flush(); err != nil {
		return err
	}
	var lent *session
	for {
		message, err := back.Receive()
		if err != nil {
			return err
		}
		if _, ends := message.(*pgproto3.Terminate); ends {
			return nil
		}
		if lent == nil {
			if lent, err = p.lend(ctx, startup); err != nil {
				return err
			}
		}
		status, err := lent.ask(back, message)
		if err != nil {
			return err
		}
		if p.share.Load() && status == 'I' {
			p.mu.Lock()
			p.idle = append(p.idle, lent)
			p.mu.Unlock()
			lent = nil
		}
		// Not before the session is free again, as with a pooler that does one thing after the other.
		if err := back.Flush(); err != nil {
			return err
		}
	}
}

// lend gives a session that is free, or a new one.
func (p *pooler) lend(ctx context.Context, startup *pgproto3.StartupMessage) (*session, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 && p.share.Load() {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return s, nil
	}
	p.mu.Unlock()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", p.address)
	if err != nil {
		return nil, err
	}
	p.keep(conn)
	s := &session{Conn: conn, front: pgproto3.NewFrontend(conn, conn)}
	s.front.Send(startup)
	_, err = s.pass(nil)
	return s, err
}

func (s *session) ask(back *pgproto3.Backend, message pgproto3.FrontendMessage) (status byte, err error) {
	s.front.Send(message)
	return s.pass(back)
}

// pass gives answers on until the server is ready for more.
func (s *session) pass(back *pgproto3.Backend) (status byte, err error) {
	if err := s.front.Flush(); err != nil {
		return 0, err
	}
	for {
		answer, err := s.front.Receive()
		if err != nil {
			return 0, err
		}
		if back != nil {
			back.Send(answer)
		}
		if ready, ok := answer.(*pgproto3.ReadyForQuery); ok {
			return ready.TxStatus, nil
		}
	}
}
