package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
)

// childMark makes this test program print what it has inherited.
const childMark = "SEGUE_TEST_INHERIT"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		os.Exit(child()) //nolint:forbidigo // a process of its own
	}
	goleak.VerifyTestMain(m)
}

// child claims the sockets that it was started with, and answers one connection on each.
func child() int {
	inherited, err := Inherit(os.Getenv)
	if err != nil {
		return 2
	}
	defer inherited.Close()
	byName := inherited.Claim("web", "127.0.0.1:1")
	byAddress := inherited.Claim("other", os.Getenv(childMark))
	if byName == nil || byAddress == nil || inherited.Claim("web", os.Getenv(childMark)) != nil || !byName.Inherited {
		return 3
	}
	var work sync.WaitGroup
	for name, socket := range map[string]*Socket{"name": byName, "address": byAddress} {
		work.Go(func() {
			if conn, err := socket.Turn().Accept(); err == nil {
				_, _ = io.WriteString(conn, "claimed by "+name)
				_ = conn.Close()
			}
		})
	}
	work.Wait()
	return 0
}

func bind(t *testing.T) *Socket {
	t.Helper()
	s, err := Bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func dial(t *testing.T, s *Socket) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestSocketsAreInheritedByNameAndAddress(t *testing.T) {
	one, two := bind(t), bind(t)
	var files []*os.File
	for _, s := range []*Socket{one, two} {
		file, err := s.listener.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=web:unnamed", childMark+"="+two.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*Socket]string{one: "claimed by name", two: "claimed by address"} {
		text, err := io.ReadAll(dial(t, s))
		if err != nil || string(text) != want {
			t.Errorf("%q, %v, want %q", text, err, want)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestSocketsForAnotherProcessAreLeftAlone(t *testing.T) {
	env := map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "1"}
	inherited, err := Inherit(func(key string) string { return env[key] })
	if err != nil || inherited.Claim("web", ":80") != nil {
		t.Errorf("%v, %v", inherited, err)
	}
}

func TestSameAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0:80": true, ":80": true, "[::]:80": true, "127.0.0.1:80": false, ":81": false, "nonsense": false,
	} {
		if got := sameAddress(&net.TCPAddr{IP: net.IPv6unspecified, Port: 80}, text); got != want {
			t.Errorf("sameAddress([::]:80, %q) = %v, want %v", text, got, want)
		}
	}
	if !sameAddress(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, "127.0.0.1:80") {
		t.Error("an address is not its own")
	}
}

func TestBindErrorsSayWhatToDo(t *testing.T) {
	taken := bind(t)
	for address, kind := range map[string]segue.Kind{
		taken.Addr().String(): segue.KindConflict, "192.0.2.1:80": segue.KindInvalid,
	} {
		_, err := Bind(t.Context(), address)
		if segue.KindOf(err) != kind || segue.HintOf(err) == "" || !strings.Contains(err.Error(), address) {
			t.Errorf("Bind(%s): %v (%v), hint %q", address, err, segue.KindOf(err), segue.HintOf(err))
		}
	}
}

// TestTurnsLoseNobody hands a socket from turn to turn while clients connect: each is accepted by exactly one.
func TestTurnsLoseNobody(t *testing.T) {
	s := bind(t)
	var clients sync.WaitGroup
	const n = 200
	for range 4 {
		clients.Go(func() {
			for range n / 4 {
				conn := dial(t, s)
				if text, err := io.ReadAll(conn); err != nil || string(text) != "ok" {
					t.Errorf("%q, %v", text, err)
				}
				_ = conn.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	for served := false; !served; {
		turn := s.Turn()
		var work sync.WaitGroup
		work.Go(func() {
			for {
				conn, err := turn.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				_, _ = io.WriteString(conn, "ok")
				_ = conn.Close()
			}
		})
		select {
		case <-done:
			served = true
		case <-time.After(5 * time.Millisecond):
		}
		_ = turn.Close()
		work.Wait()
	}
}

func TestCaps(t *testing.T) {
	var c Caps
	c.Limit(3, 2, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	enter := func(ip string) (func(), bool) { return c.enter(&net.TCPAddr{IP: net.ParseIP(ip)}) }
	leave, ok := enter("192.0.2.1")
	_, second := enter("192.0.2.1")
	_, third := enter("192.0.2.1")
	if !ok || !second || third {
		t.Errorf("a client with 2 places got %v, %v, %v", ok, second, third)
	}
	leave()
	if _, ok := enter("192.0.2.1"); !ok {
		t.Error("a place that was given back is not there")
	}
	_, exempt := enter("10.1.1.1")
	_, full := enter("10.1.1.1")
	if open, refused := c.Open(); !exempt || full || open != 3 || refused != 2 {
		t.Errorf("exempt %v, beyond the total %v, %d open, %d refused", exempt, full, open, refused)
	}
	var v6 Caps
	v6.Limit(0, 1, nil)
	_, ok = v6.enter(&net.TCPAddr{IP: net.ParseIP("2001:db8::1")})
	if _, same := v6.enter(&net.TCPAddr{IP: net.ParseIP("2001:db8::2")}); !ok || same {
		t.Error("two addresses of one IPv6 network count as two clients")
	}
}

func TestConnGivesItsPlaceBackOnce(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	released := 0
	c := newConn(a, 0, func() { released++ })
	_ = c.Close()
	_ = c.Close()
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

func TestSlowHandshakesHoldUpNobody(t *testing.T) {
	s := bind(t)
	l, err := Open(s.Turn(), Options{Caps: &Caps{}, Handshake: time.Minute, TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") },
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		dial(t, s) // says nothing
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

func TestWithConnFindsConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := newConn(a, 0, nil)
	for _, conn := range []net.Conn{c, overTLS{c}} {
		if From(WithConn(context.Background(), conn)) != c {
			t.Errorf("%T is not found", conn)
		}
	}
	if From(WithConn(context.Background(), b)) != nil {
		t.Error("a stranger is found")
	}
}
