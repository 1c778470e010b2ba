// Package tap stands between an application and its PostgreSQL server and notes the statements that go by: how `segue record` learns what a release
// sends, from a run of its tests. It changes nothing on the way, and keeps no parameters: only the texts that the application wrote.
package tap

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
)

// Bounds on what is taken from outside.
const (
	// startupLimit bounds the first message of a client, in bytes; PostgreSQL's own bound is 10,000.
	startupLimit = 10_000
	// textLimit bounds a statement that is noted; larger ones go by unnoted.
	textLimit = 1 << 20
	// countLimit bounds the different statements that are kept.
	countLimit = 100_000
)

// Codes that stand in place of a protocol version in a first message.
const (
	codeCancel = 80877102
	codeTLS    = 80877103
	codeGSS    = 80877104
)

// Tap is a server for an application, until it is closed.
type Tap struct {
	upstream *pgconn.Config
	address  string
	listener net.Listener
	open     sync.WaitGroup
	cancel   context.CancelFunc

	mu    sync.Mutex
	heard map[string]bool
	lost  int
}

// Listen opens a tap in front of the server of a connection string, on a loopback port.
func Listen(ctx context.Context, connection string) (*Tap, error) {
	upstream, err := pgconn.ParseConfig(connection)
	if err != nil {
		// The error may have the password in it.
		return nil, segue.Errorf(segue.KindInvalid, "open tap: the database's URL cannot be read").WithHint("write postgres://USER:PASSWORD@HOST/NAME")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open tap: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &Tap{upstream: upstream, listener: listener, cancel: cancel, heard: map[string]bool{}}
	t.address = address(connection, upstream, listener.Addr())
	t.open.Go(func() { t.accept(ctx) })
	return t, nil
}

// address is the connection string that leads through the tap: the same user, password and database, without TLS on the way to the loopback address.
func address(connection string, upstream *pgconn.Config, at net.Addr) string {
	options := url.Values{}
	if parsed, err := url.Parse(connection); err == nil && parsed.Scheme != "" {
		options = parsed.Query()
	}
	for _, name := range []string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding", "target_session_attrs"} {
		options.Del(name)
	}
	options.Set("sslmode", "disable")
	through := url.URL{Scheme: "postgres", Host: at.String(), Path: "/" + upstream.Database, RawQuery: options.Encode(), User: url.User(upstream.User)}
	if upstream.Password != "" {
		through.User = url.UserPassword(upstream.User, upstream.Password)
	}
	return through.String()
}

// URL is the connection string that leads through the tap. It holds the password.
func (t *Tap) URL() string { return t.address }

// Statements gives the texts that went by, sorted, and how many more there were than are kept.
func (t *Tap) Statements() (texts []string, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for text := range t.heard {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts, t.lost
}

// Close ends every connection.
func (t *Tap) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.open.Wait()
	return err
}

func (t *Tap) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case text == "" || t.heard[text]:
	case len(t.heard) >= countLimit:
		t.lost++
	default:
		t.heard[text] = true
	}
}

func (t *Tap) accept(ctx context.Context) {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.open.Go(func() {
			done := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer done()
			defer conn.Close()
			t.serve(ctx, conn)
		})
	}
}

// serve carries one connection. What goes wrong ends it: both sides see that as they would without the tap.
func (t *Tap) serve(ctx context.Context, client net.Conn) {
	reader := bufio.NewReader(client)
	first, err := startup(reader, client)
	if err != nil {
		return
	}
	server, err := t.dial(ctx)
	if err != nil {
		return
	}
	done := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer done()
	defer server.Close()
	if _, err := server.Write(first); err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_ = t.relay(server, reader)
	_ = server.Close()
	<-back
}

// startup reads a client's first message, declining encryption: the way is a loopback address.
func startup(reader *bufio.Reader, client io.Writer) ([]byte, error) {
	for {
		head, err := reader.Peek(8)
		if err != nil {
			return nil, err
		}
		size := binary.BigEndian.Uint32(head)
		if size < 8 || size > startupLimit {
			return nil, errors.New("no first message of the protocol")
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(reader, message); err != nil {
			return nil, err
		}
		switch binary.BigEndian.Uint32(message[4:]) {
		case codeTLS, codeGSS:
			if _, err := client.Write([]byte("N")); err != nil {
				return nil, err
			}
		default:
			return message, nil
		}
	}
}

// dial reaches the server, with TLS where the connection string wants it.
func (t *Tap) dial(ctx context.Context) (net.Conn, error) {
	network, address := pgconn.NetworkAddress(t.upstream.Host, t.upstream.Port)
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("reach server at %s: %w", net.JoinHostPort(t.upstream.Host, strconv.Itoa(int(t.upstream.Port))), err)
	}
	if t.upstream.TLSConfig == nil {
		return conn, nil
	}
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), codeTLS)
	answer := make([]byte, 1)
	if _, err = conn.Write(request); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil || answer[0] != 'S' {
		return nil, errors.Join(errors.New("the server offers no TLS"), err, conn.Close())
	}
	return tls.Client(conn, t.upstream.TLSConfig), nil
}

// relay carries a client's messages to the server and notes what the statements say.
func (t *Tap) relay(server io.Writer, client *bufio.Reader) error {
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(client, head); err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if size < 0 {
			return errors.New("no message of the protocol")
		}
		if _, err := server.Write(head); err != nil {
			return err
		}
		if (head[0] != 'P' && head[0] != 'Q') || size > textLimit {
			if _, err := io.CopyN(server, client, size); err != nil {
				return err
			}
			continue
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(client, body); err != nil {
			return err
		}
		t.note(statement(head[0], body))
		if _, err := server.Write(body); err != nil {
			return err
		}
	}
}

// statement is the text in a Query message, or in a Parse message behind the statement's name.
func statement(kind byte, body []byte) string {
	if kind == 'P' {
		end := slices.Index(body, 0)
		if end < 0 {
			return ""
		}
		body = body[end+1:]
	}
	end := slices.Index(body, 0)
	if end < 0 {
		return ""
	}
	return string(body[:end])
}
