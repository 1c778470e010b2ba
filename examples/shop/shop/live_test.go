package shop

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// dialStock opens the WebSocket and reads the first message.
func dialStock(t *testing.T, r *running) (*websocket.Conn, stockMessage) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	conn, response, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.target, "http")+"/stock",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("X-Shop-Release"); got != r.shop.config.Release {
		t.Errorf("release %q in the handshake", got)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, readStock(t, conn)
}

// readStock reads one message.
func readStock(t *testing.T, conn *websocket.Conn) stockMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var message stockMessage
	if err := json.Unmarshal(text, &message); err != nil {
		t.Fatalf("message %s: %v", text, err)
	}
	return message
}

// buy registers somebody on a server and buys one record there.
func buy(t *testing.T, r *running, name, slug string) {
	t.Helper()
	b := newBrowser(t)
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", credentials(name))
	b.want(http.StatusOK, http.MethodPost, r.target+"/api/cart", map[string]any{"product": slug})
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/orders", nil, "Idempotency-Key", "k")
}

func TestStockIsPushedFromServerToServer(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "shop.db")
	one, two := start(t, testConfig("v1", database)), start(t, testConfig("v2", database))
	conn, first := dialStock(t, one)
	if len(first.Items) != len(assortment()) || first.Release != "v1" {
		t.Errorf("first message %+v", first)
	}
	buy(t, two, "anna", "blue-tram")
	if got := readStock(t, conn); len(got.Items) != 1 || got.Items[0] != (Change{Slug: "blue-tram", Stock: 94}) {
		t.Errorf("change %+v", got)
	}
}

func TestTheWebSocketAnswersPingsAndCloses(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	conn, _ := dialStock(t, r)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("are you there")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.Read(t.Context()); err != nil || string(text) != "are you there" {
		t.Errorf("answer %q, error %v", text, err)
	}
	start := time.Now()
	if err := conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close is not answered: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("close took %v", took)
	}
}

func TestAStopClosesLongConnectionsProperly(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	conn, _ := dialStock(t, r)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.target+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	events, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	if !lines.Scan() || lines.Text() != "event: stock" {
		t.Errorf("first line %q", lines.Text())
	}
	r.cancel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ends with %v", err)
	}
	for lines.Scan() { // to the end of the stream
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}
