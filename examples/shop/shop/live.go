package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxPing bounds a message from a client.
	maxPing = 4 << 10
	// sendTimeout is how long a client may take to accept a message.
	sendTimeout = 10 * time.Second
	// heartbeat keeps an event stream from looking idle.
	heartbeat = 15 * time.Second
)

// stockMessage is what the WebSocket and the event stream send.
type stockMessage struct {
	Release string   `json:"release"`
	Items   []Change `json:"items"`
}

// stockSocket answers GET /stock: all stocks at first, then what changes. A message from the client comes back as it is,
// so that the client can tell a living connection. A shop that stops closes with 1001, going away.
func (s *Shop) stockSocket(w http.ResponseWriter, r *http.Request) {
	open := s.open.Load()
	if open == nil {
		writeText(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	s.long.Add(1) // before the connection leaves the server's care
	defer s.long.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.log.DebugContext(r.Context(), "websocket refused", slog.Any("error", err))
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxPing)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	left := make(chan struct{})
	go func() {
		defer close(left)
		answerPings(ctx, conn)
	}()
	all, changes, leave := open.watcher.listen()
	defer leave()
	for items := all; s.sendStock(ctx, conn, items) == nil; {
		select {
		case items = <-changes:
			continue
		case <-left:
		case <-s.leave:
			_ = conn.Close(websocket.StatusGoingAway, "server stops")
		}
		break
	}
	_ = conn.CloseNow()
	<-left
}

// answerPings sends every message back until the connection ends; reading also answers the client's close frame.
func answerPings(ctx context.Context, conn *websocket.Conn) {
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		sending, cancel := context.WithTimeout(ctx, sendTimeout)
		err = conn.Write(sending, kind, message)
		cancel()
		if err != nil {
			return
		}
	}
}

// sendStock sends one message.
func (s *Shop) sendStock(ctx context.Context, conn *websocket.Conn, items []Change) error {
	message, err := json.Marshal(stockMessage{Release: s.config.Release, Items: items})
	if err != nil {
		return fmt.Errorf("write stock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, message)
}

// events answers GET /events: server-sent events named "stock", the same as on the WebSocket. The stream ends when the
// shop stops, and a browser comes back by itself.
func (s *Shop) events(w http.ResponseWriter, r *http.Request) {
	open := s.open.Load()
	if open == nil {
		writeText(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	all, changes, leave := open.watcher.listen()
	defer leave()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	event := s.stockEvent(all)
	for {
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case items := <-changes:
			event = s.stockEvent(items)
		case <-beat.C:
			event = []byte(": still here\n\n")
		case <-r.Context().Done():
			return
		case <-s.leave:
			return
		}
	}
}

// stockEvent renders one event.
func (s *Shop) stockEvent(items []Change) []byte {
	message, err := json.Marshal(stockMessage{Release: s.config.Release, Items: items})
	if err != nil {
		return []byte(": nothing\n\n")
	}
	return fmt.Appendf(nil, "event: stock\nretry: 1000\ndata: %s\n\n", message)
}
