package witness

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/segue-deploy/segue"
)

const (
	// reconnectFirst and reconnectMost bound the pause before a WebSocket is opened again; it doubles from one failure to the next, with jitter.
	reconnectFirst = 500 * time.Millisecond
	reconnectMost  = 30 * time.Second
	// pingEvery notices a peer that has vanished without a word; pingWithin is how long its answer may take.
	pingEvery  = 20 * time.Second
	pingWithin = 10 * time.Second
)

// holdSocket keeps one WebSocket open from the user's first session on, until ctx is done.
func (u *user) holdSocket(ctx, inner context.Context) {
	if !wait(ctx, u.entered) {
		return
	}
	transport := u.w.newTransport()
	// Upgrade is a thing of HTTP/1.1.
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = nil
	defer transport.CloseIdleConnections()
	pause := reconnectFirst
	for ctx.Err() == nil {
		began := time.Now()
		conn, a, err := u.openSocket(inner, transport)
		if err != nil {
			u.socketRefused(ctx, a, err)
		} else {
			u.w.tally.socket("")
			u.w.tally.count(func(r *Report) { r.Sockets.Opened++; r.Sockets.Open++ })
			err := u.readSocket(ctx, inner, conn)
			u.w.tally.count(func(r *Report) { r.Sockets.Open-- })
			u.socketClosed(ctx, a, err, began)
			if time.Since(began) > reconnectMost {
				pause = reconnectFirst
			}
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, reconnectMost)
	}
}

// openSocket connects with the user's present cookies and captures. The answer to the handshake names the server.
func (u *user) openSocket(ctx context.Context, transport *http.Transport) (*websocket.Conn, *answer, error) {
	ctx, cancel := context.WithTimeout(ctx, u.w.journey.Timeout)
	defer cancel()
	jar, v := u.shared()
	a := &answer{}
	target, err := u.w.target(u.w.journey.WebSocket.Path, v)
	if err != nil {
		return nil, a, err
	}
	headers, err := fillAll(u.w.journey.WebSocket.Headers, v)
	if err != nil {
		return nil, a, err
	}
	header := http.Header{"User-Agent": {userAgent}}
	for name, value := range headers {
		header.Set(name, value)
	}
	conn, response, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport, Jar: jar}, HTTPHeader: header,
	})
	if response != nil {
		a = &answer{
			status: response.StatusCode, header: response.Header,
			release: segue.ReleaseName(u.named(response.Header, u.w.journey.ReleaseHeader)),
			server:  segue.ServerName(u.named(response.Header, u.w.journey.ServerHeader)),
		}
	}
	return conn, a, err
}

// readSocket reads until the connection ends, and ends it properly when ctx is done. It returns what ended it.
func (u *user) readSocket(ctx, inner context.Context, conn *websocket.Conn) error {
	conn.SetReadLimit(-1)
	var reading sync.WaitGroup
	ended := make(chan error, 1)
	reading.Go(func() {
		for {
			_, reader, err := conn.Reader(inner)
			if err == nil {
				_, err = io.Copy(io.Discard, reader)
			}
			if err != nil {
				ended <- err
				return
			}
			u.w.tally.count(func(r *Report) { r.Sockets.Messages++ })
		}
	})
	defer reading.Wait()
	defer conn.CloseNow()
	for {
		pinging := time.NewTimer(pingEvery)
		select {
		case err := <-ended:
			pinging.Stop()
			return err
		case <-ctx.Done():
			pinging.Stop()
			return conn.Close(websocket.StatusNormalClosure, "")
		case <-pinging.C:
		}
		within, cancel := context.WithTimeout(inner, pingWithin)
		err := conn.Ping(within)
		cancel()
		if err != nil {
			return pingError(err, ended)
		}
	}
}

// pingError prefers what the reader saw: a ping that fails because a close frame came in between is a proper end.
func pingError(err error, ended <-chan error) error {
	select {
	case seen := <-ended:
		return seen
	default:
		return err
	}
}

// socketClosed counts how a WebSocket ended, and finds fault with one that broke.
func (u *user) socketClosed(ctx context.Context, a *answer, err error, began time.Time) {
	if ctx.Err() != nil {
		return
	}
	if code := websocket.CloseStatus(err); code >= 0 {
		u.w.tally.count(func(r *Report) { countName(r.Sockets.Closed, strconv.Itoa(int(code))) })
		return
	}
	u.w.tally.count(func(r *Report) { r.Sockets.Cut++ })
	now := time.Now()
	what := fmt.Sprintf("broke without a close frame after %s: %s", now.Sub(began).Round(time.Millisecond), clip(err.Error(), 120))
	u.w.tally.find(u.finding(now, a, fmt.Sprintf("WebSocket of user %d", u.index+1), what))
}

// socketRefused counts an attempt to connect that failed; before the first one that went well, by any user, it is the witness's problem and not the
// site's.
func (u *user) socketRefused(ctx context.Context, a *answer, err error) {
	if ctx.Err() != nil {
		return
	}
	what := "could not be opened: " + describe(err)
	if !u.w.tally.socket(what) {
		return
	}
	f := u.finding(time.Now(), a, fmt.Sprintf("WebSocket of user %d", u.index+1), what)
	if !u.w.tally.isProven(socketStep) {
		f.Ruling = segue.RulingInconclusive
	}
	u.w.tally.find(f)
}
