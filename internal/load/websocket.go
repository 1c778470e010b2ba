package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// errEchoLate says that an echo did not come within the timeout.
var errEchoLate = errors.New("no echo in time")

// socket is one WebSocket of a run.
type socket struct {
	conn            *websocket.Conn
	opened          time.Time
	server, release string
	replies         chan string
	ended           chan error // what ended the reading
}

// holdWebSocket opens a WebSocket and exchanges messages until it ends or the run does. It reports false where opening it
// failed.
func (g *Generator) holdWebSocket(ctx context.Context) bool {
	inner, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	s, err := g.openWebSocket(inner)
	if err != nil {
		return false
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(inner, g.run+"-")
	}()
	g.exchangeMessages(ctx, inner, s)
	release()
	<-read
	return true
}

// openWebSocket dials; a failure is in the tally when it returns.
func (g *Generator) openWebSocket(ctx context.Context) (*socket, error) {
	id := g.nextID()
	x := &exchange{kind: KindWebSocket, id: id, due: time.Now(), stage: StageDial}
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	header := g.config.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set(IDHeader, id)
	address := "ws" + strings.TrimPrefix(g.config.Target, "http") + g.config.WebSocketPath
	conn, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: g.client, HTTPHeader: header})
	if response != nil {
		x.server, x.release = response.Header.Get(g.names.server), response.Header.Get(g.names.release)
	}
	if err != nil {
		x.fail(causeOf(err, StageDial), err)
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			x.stage, x.cause = StageDone, causeOfStatus(response.StatusCode)
		}
		g.tally.add(x)
		return nil, err
	}
	g.tally.opened(x)
	return &socket{
		conn: conn, opened: time.Now(), server: x.server, release: x.release,
		replies: make(chan string, 1), ended: make(chan error, 1),
	}, nil
}

// read passes on every message that begins as this run's ids do, until the connection ends; what a server sends of its own
// accord is passed over.
func (s *socket) read(ctx context.Context, prefix string) {
	for {
		_, message, err := s.conn.Read(ctx)
		if err != nil {
			s.ended <- err
			return
		}
		if !strings.HasPrefix(string(message), prefix) {
			continue
		}
		select {
		case s.replies <- string(message):
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return
		}
	}
}

// exchangeMessages sends a message every EchoEvery until the socket ends, an echo fails or ctx, the run, does.
func (g *Generator) exchangeMessages(ctx, inner context.Context, s *socket) {
	ticker := time.NewTicker(g.config.EchoEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = s.conn.Close(websocket.StatusNormalClosure, "done")
			g.tally.closed(g.closeOf(s, nil), false)
			return
		case err := <-s.ended:
			g.tally.closed(g.closeOf(s, err), false)
			return
		case <-ticker.C:
		}
		if closed, err := g.echo(inner, s); err != nil {
			_ = s.conn.CloseNow()
			return
		} else if closed != nil {
			g.tally.closed(g.closeOf(s, closed), true)
			return
		}
	}
}

// echo sends one message and waits for it to come back. It returns what closed the socket meanwhile, or the error of an
// echo that failed on an open one, which is in the tally then.
func (g *Generator) echo(ctx context.Context, s *socket) (closed, failed error) {
	x := &exchange{
		kind: KindWebSocket, id: g.nextID(), due: time.Now(), stage: StageAwait, reused: true,
		server: s.server, release: s.release,
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	writeErr := s.conn.Write(ctx, websocket.MessageText, []byte(x.id))
	select {
	case reply := <-s.replies:
		if reply != x.id {
			x.fail(CauseWrong, fmt.Errorf("echo is %q", reply))
		}
	case closed := <-s.ended:
		return closed, nil
	case <-ctx.Done():
		x.fail(CauseTimeout, errors.Join(errEchoLate, writeErr))
	}
	g.tally.add(x)
	return nil, x.err
}

// closeOf describes the end of a socket; without an error this client ended it.
func (g *Generator) closeOf(s *socket, err error) Close {
	now := time.Now()
	c := Close{
		At: now, AgeSeconds: now.Sub(s.opened).Seconds(), Server: s.server, Release: s.release,
		Code: int(websocket.StatusNormalClosure), ByClient: err == nil,
	}
	if err != nil {
		c.Code = int(websocket.CloseStatus(err))
		if frame, ok := errors.AsType[websocket.CloseError](err); ok {
			c.Reason = frame.Reason
		} else {
			c.Reason = err.Error()
		}
	}
	return c
}
