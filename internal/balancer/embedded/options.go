package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy"
)

// Duration is a time in Go's notation ("10s", "1m30s"), as options are written.
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return segue.Errorf(segue.KindInvalid, "%q is no duration", text).WithHint("write it with a unit, such as 500ms, 10s or 5m")
	}
	*d = Duration(parsed)
	return nil
}

// String gives the duration in Go's notation.
func (d Duration) String() string { return time.Duration(d).String() }

// Options are a service's balancer block, without its driver's name. A zero field means its default.
type Options struct {
	// Listen is the address that clients connect to, host:port, such as ":8080".
	Listen string `json:"listen"`
	// TLS is spoken to clients when set; HTTP/2 is offered then.
	TLS *TLS `json:"tls,omitempty"`
	// H2C accepts HTTP/2 in clear text from clients, beside HTTP/1.1.
	H2C bool `json:"h2c,omitempty"`
	// Backend says how backends are spoken to.
	Backend Backend `json:"backend,omitzero"`
	// Hold says what happens to requests while no backend is ready.
	Hold Hold `json:"hold,omitzero"`
	// Sticky keeps a user on one server by a signed cookie.
	Sticky Sticky `json:"sticky,omitzero"`
	// TrustedProxies are CIDRs or addresses of proxies in front, whose X-Forwarded-* headers are believed.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
	// ProxyProtocol demands a PROXY header from the trusted proxies and drops everybody else.
	ProxyProtocol bool `json:"proxy_protocol,omitempty"`
	// Health shapes the checks of backends.
	Health Health `json:"health,omitzero"`
	// SlowStart lets the share of a backend that comes back grow over this time.
	SlowStart Duration `json:"slow_start,omitempty"`
	// Drain bounds how a server is emptied.
	Drain Drain `json:"drain,omitzero"`
	// Limits bound what clients may do.
	Limits Limits `json:"limits,omitzero"`
}

// TLS names the PEM files of a certificate chain and its key. They are read anew when they change.
type TLS struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Backend says how backends are spoken to.
type Backend struct {
	// H2C speaks HTTP/2 in clear text to them, as gRPC services need.
	H2C bool `json:"h2c,omitempty"`
	// HeaderTimeout bounds the wait for an answer to begin. Default: no bound.
	HeaderTimeout Duration `json:"header_timeout,omitempty"`
}

// Hold says what happens to requests while no backend is ready.
type Hold struct {
	// Off answers 503 at once.
	Off bool `json:"off,omitempty"`
	// MaxWait is how long a request waits. Default 10s.
	MaxWait Duration `json:"max_wait,omitempty"`
	// Queue is how many requests wait at one time. Default 10000.
	Queue int `json:"queue,omitempty"`
}

// Sticky keeps a user on one server by a signed cookie.
type Sticky struct {
	On bool `json:"on,omitempty"`
	// Cookie is the cookie's name. Default "segue_backend".
	Cookie string `json:"cookie,omitempty"`
}

// Health shapes the checks of backends.
type Health struct {
	// Path is asked by GET, and any status below 400 is health. Default: a TCP connection is enough.
	Path string `json:"path,omitempty"`
	// Interval between active checks. Default: no active checks, what requests meet decides.
	Interval Duration `json:"interval,omitempty"`
	// Timeout of one check. Default 2s.
	Timeout Duration `json:"timeout,omitempty"`
	// Fall is how many checks in a row must fail, Rise how many must succeed. Defaults 2 and 1.
	Fall int `json:"fall,omitempty"`
	Rise int `json:"rise,omitempty"`
	// Failures in a row of requests take a backend out until it can be connected to again. Default 3; -1 is never.
	Failures int `json:"failures,omitempty"`
}

// Drain bounds how a server is emptied.
type Drain struct {
	// Within is how long in-flight work may take, before long connections are closed and the rest is cut.
	Within Duration `json:"within,omitempty"`
	// Spread is the time that long connections are closed over, one by one. Default 10s.
	Spread Duration `json:"spread,omitempty"`
}

// Limits bound what clients may do.
type Limits struct {
	// Connections that are open at one time. Default 65536; -1 is no limit.
	Connections int `json:"connections,omitempty"`
	// ConnectionsPerIP are those of one client address; trusted proxies are exempt. Default 4096; -1 is no limit.
	ConnectionsPerIP int `json:"connections_per_ip,omitempty"`
	// Stall is the time in which a client must take or send a piece of a body. Default 30s.
	Stall Duration `json:"stall,omitempty"`
	// BufferBody is how many bytes of a request body are kept so that they can be sent again. Default 65536, at most 1048576; -1 is none.
	BufferBody int `json:"buffer_body,omitempty"`
	// LongAfter is when an answer that is still being written counts as a long connection. Default 10s.
	LongAfter Duration `json:"long_after,omitempty"`
}

// defaultSpread is Drain.Spread's default.
const defaultSpread = 10 * time.Second

// Decode reads options from JSON, strictly: an unknown key is an error. They are validated too.
func Decode(text []byte) (Options, error) {
	var o Options
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
		return Options{}, segue.Errorf(segue.KindInvalid, "read options of the embedded balancer: %w", err)
	}
	return o, o.Validate()
}

// Validate reports every fault of the options at once.
func (o Options) Validate() error {
	var faults []error
	for _, d := range []struct {
		name  string
		value Duration
	}{{"slow_start", o.SlowStart}, {"drain.within", o.Drain.Within}, {"drain.spread", o.Drain.Spread}} {
		if d.value < 0 {
			faults = append(faults, segue.Errorf(segue.KindInvalid, "%s %v: it cannot be negative", d.name, d.value))
		}
	}
	return errors.Join(o.config().Validate(), errors.Join(faults...))
}

// config gives the options as the proxy takes them.
func (o Options) config() proxy.Config {
	c := proxy.Config{
		Listen: o.Listen, H2C: o.H2C, BackendH2C: o.Backend.H2C, ProxyProtocol: o.ProxyProtocol, TrustedProxies: o.TrustedProxies,
		Hold:   proxy.HoldConfig{Off: o.Hold.Off, MaxWait: time.Duration(o.Hold.MaxWait), Queue: o.Hold.Queue},
		Sticky: proxy.StickyConfig{On: o.Sticky.On, Cookie: o.Sticky.Cookie},
		Health: proxy.HealthConfig{
			Path: o.Health.Path, Interval: time.Duration(o.Health.Interval), Timeout: time.Duration(o.Health.Timeout),
			Fall: o.Health.Fall, Rise: o.Health.Rise, Failures: o.Health.Failures,
		},
		Limits: proxy.Limits{
			Connections: o.Limits.Connections, ConnectionsPerIP: o.Limits.ConnectionsPerIP, Stall: time.Duration(o.Limits.Stall),
			BufferBody: o.Limits.BufferBody, LongAfter: time.Duration(o.Limits.LongAfter),
			HeaderTimeout: time.Duration(o.Backend.HeaderTimeout),
		},
	}
	if o.TLS != nil {
		c.TLS = &proxy.TLS{Certificate: o.TLS.Certificate, Key: o.TLS.Key}
	}
	return c
}

// String shows where the balancer listens, for messages.
func (o Options) String() string { return fmt.Sprintf("embedded balancer on %s", o.Listen) }
