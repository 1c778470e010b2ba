package listen

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// Options shape what is accepted on a turn.
type Options struct {
	// Caps bound the connections; required.
	Caps *Caps
	// Stall is how long a client may take nothing of a write before it is cut; 0 is no bound.
	Stall time.Duration
	// Handshake bounds a TLS handshake and the wait for a PROXY header. Default 10 s.
	Handshake time.Duration
	// TLS, when set, is spoken on every connection.
	TLS *tls.Config
	// ProxyProtocol demands a PROXY header (version 1 or 2) from the trusted addresses and drops everybody else.
	ProxyProtocol bool
	// Trusted are the proxies in front.
	Trusted []netip.Prefix
}

// handshakeTimeout is the default of Options.Handshake.
const handshakeTimeout = 10 * time.Second

// Open builds what an http.Server accepts from: caps, then the PROXY header, then TLS. Closing it ends the turn.
func Open(turn *Turn, o Options) (net.Listener, error) {
	if o.Handshake <= 0 {
		o.Handshake = handshakeTimeout
	}
	var listener net.Listener = &counting{Turn: turn, options: o, plain: o.TLS == nil && !o.ProxyProtocol}
	if o.ProxyProtocol {
		ranges := make([]string, 0, len(o.Trusted))
		for _, p := range o.Trusted {
			ranges = append(ranges, p.String())
		}
		policy, err := proxyproto.TrustProxyHeaderFromRanges(ranges)
		if err != nil {
			return nil, fmt.Errorf("read trusted proxies: %w", err)
		}
		listener = &proxyproto.Listener{Listener: listener, ConnPolicy: policy, ReadHeaderTimeout: o.Handshake}
	}
	if o.TLS != nil {
		return newHandshaker(listener, o), nil
	}
	if o.ProxyProtocol {
		listener = following{listener}
	}
	return listener, nil
}

// counting accepts as many connections as the caps allow; those over them are closed at once.
type counting struct {
	*Turn
	options Options
	plain   bool
}

// Accept waits for a connection that has a place.
func (l *counting) Accept() (net.Conn, error) {
	for {
		conn, err := l.Turn.Accept()
		if err != nil {
			return nil, err
		}
		release, ok := l.options.Caps.enter(conn.RemoteAddr())
		if !ok {
			_ = conn.Close()
			continue
		}
		c := newConn(conn, l.options.Stall, release)
		c.follow.Store(l.plain)
		return c, nil
	}
}

// following follows the framing of connections whose clear text begins behind a PROXY header.
type following struct{ net.Listener }

// Accept waits for a connection.
func (l following) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := newConn(conn, 0, nil)
	c.follow.Store(true)
	return c, nil
}
