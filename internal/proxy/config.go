package proxy

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Config is what a service is configured with. A zero field means its default; durations are nanoseconds in JSON.
type Config struct {
	// Listen is the address that clients connect to, host:port. A socket that was passed in under the service's name, or for
	// this address, is used instead of binding one.
	Listen string `json:"listen"`
	// TLS, when set, is spoken to clients.
	TLS *TLS `json:"tls,omitempty"`
	// H2C accepts HTTP/2 in clear text from clients, beside HTTP/1.1.
	H2C bool `json:"h2c,omitempty"`
	// BackendH2C speaks HTTP/2 in clear text to the backends (gRPC services).
	BackendH2C bool `json:"backend_h2c,omitempty"`
	// ProxyProtocol demands a PROXY header from TrustedProxies and drops everybody else.
	ProxyProtocol bool `json:"proxy_protocol,omitempty"`
	// TrustedProxies are CIDRs or addresses of proxies in front, whose X-Forwarded-* and X-Request-Id are believed.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`

	Hold   HoldConfig   `json:"hold,omitzero"`
	Sticky StickyConfig `json:"sticky,omitzero"`
	Health HealthConfig `json:"health,omitzero"`
	Limits Limits       `json:"limits,omitzero"`
}

// TLS names the PEM files of a certificate chain and its key. They are read anew when they change.
type TLS struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// HoldConfig says what happens to requests when no backend is ready.
type HoldConfig struct {
	// Off answers 503 at once.
	Off bool `json:"off,omitempty"`
	// MaxWait is how long a request waits for a backend. Default 10 s.
	MaxWait time.Duration `json:"max_wait,omitempty"`
	// Queue is how many requests wait at one time. Default 10,000.
	Queue int `json:"queue,omitempty"`
}

// StickyConfig keeps a user on a server by a signed cookie.
type StickyConfig struct {
	On bool `json:"on,omitempty"`
	// Cookie is its name. Default "segue_backend".
	Cookie string `json:"cookie,omitempty"`
}

// HealthConfig shapes active checks, and the passive ones that judge by what requests meet.
type HealthConfig struct {
	// Path is asked by GET, and any status below 400 is health; "" connects by TCP alone.
	Path string `json:"path,omitempty"`
	// Interval between active checks; 0 switches them off.
	Interval time.Duration `json:"interval,omitempty"`
	// Timeout of one check. Default 2 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Fall is how many active checks in a row must fail, Rise how many must succeed. Defaults 2 and 1.
	Fall int `json:"fall,omitempty"`
	Rise int `json:"rise,omitempty"`
	// Failures in a row of requests (dial failed, reset before an answer) take a backend out until it can be connected to again.
	// Default 3; -1 switches this off.
	Failures int `json:"failures,omitempty"`
}

// Limits bound what clients may do.
type Limits struct {
	// Connections that are open at one time: in total (default 65,536) and per client address (default 4,096; TrustedProxies are
	// exempt). -1 means no limit.
	Connections      int `json:"connections,omitempty"`
	ConnectionsPerIP int `json:"connections_per_ip,omitempty"`
	// Stall is the time in which a client must take or send a piece of a body. Default 30 s.
	Stall time.Duration `json:"stall,omitempty"`
	// BufferBody is how many bytes of a request body are kept so that they can be sent again. Default 64 KiB, at most 1 MiB; -1 keeps none.
	BufferBody int `json:"buffer_body,omitempty"`
	// LongAfter is when an answer that is still being written counts as a long connection. Default 10 s.
	LongAfter time.Duration `json:"long_after,omitempty"`
	// HeaderTimeout bounds the wait for a backend's answer. Default 0: no bound.
	HeaderTimeout time.Duration `json:"header_timeout,omitempty"`
}

// Defaults, see the fields of Config.
const (
	defaultMaxWait     = 10 * time.Second
	defaultQueue       = 10_000
	defaultCookie      = "segue_backend"
	defaultCheck       = 2 * time.Second
	defaultFailures    = 3
	defaultConnections = 65_536
	defaultPerIP       = 4_096
	defaultStall       = 30 * time.Second
	defaultBuffer      = 64 << 10
	maxBuffer          = 1 << 20
	defaultLongAfter   = 10 * time.Second
)

// withDefaults fills in the zero fields. Switches that are -1 in the configuration become 0 here.
func (c Config) withDefaults() Config {
	or(&c.Hold.MaxWait, defaultMaxWait)
	or(&c.Hold.Queue, defaultQueue)
	or(&c.Sticky.Cookie, defaultCookie)
	or(&c.Health.Timeout, defaultCheck)
	or(&c.Health.Fall, 2)
	or(&c.Health.Rise, 1)
	or(&c.Health.Failures, defaultFailures)
	or(&c.Limits.Connections, defaultConnections)
	or(&c.Limits.ConnectionsPerIP, defaultPerIP)
	or(&c.Limits.Stall, defaultStall)
	or(&c.Limits.BufferBody, defaultBuffer)
	or(&c.Limits.LongAfter, defaultLongAfter)
	for _, n := range [...]*int{&c.Health.Failures, &c.Limits.Connections, &c.Limits.ConnectionsPerIP, &c.Limits.BufferBody} {
		*n = max(*n, 0)
	}
	return c
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every fault of the configuration at once, KindInvalid.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, segue.Errorf(segue.KindInvalid, format, args...))
	}
	if _, err := net.ResolveTCPAddr("tcp", c.Listen); err != nil || c.Listen == "" {
		fault("listen %q: it must be host:port, such as \":8080\" or \"127.0.0.1:8080\"", c.Listen)
	}
	if c.TLS != nil && (c.TLS.Certificate == "" || c.TLS.Key == "") {
		fault("tls: both certificate and key are needed")
	}
	if _, err := parsePrefixes(c.TrustedProxies); err != nil {
		faults = append(faults, err)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		fault("proxy_protocol: name the proxies in front in trusted_proxies; without them every connection is dropped")
	}
	if c.Health.Path != "" && !strings.HasPrefix(c.Health.Path, "/") {
		fault("health.path %q: it must begin with /", c.Health.Path)
	}
	if !isToken(c.Sticky.Cookie) {
		fault("sticky.cookie %q: it must be a cookie name", c.Sticky.Cookie)
	}
	if c.Limits.BufferBody > maxBuffer {
		fault("limits.buffer_body %d: at most %d", c.Limits.BufferBody, maxBuffer)
	}
	for _, d := range c.durations() {
		if d.value < 0 {
			fault("%s %v: it cannot be negative", d.name, d.value)
		}
	}
	if c.Hold.Queue < 0 || c.Health.Fall < 0 || c.Health.Rise < 0 {
		fault("hold.queue, health.fall and health.rise cannot be negative")
	}
	return errors.Join(faults...)
}

type namedDuration struct {
	name  string
	value time.Duration
}

func (c Config) durations() []namedDuration {
	return []namedDuration{
		{"hold.max_wait", c.Hold.MaxWait},
		{"health.interval", c.Health.Interval},
		{"health.timeout", c.Health.Timeout},
		{"limits.stall", c.Limits.Stall},
		{"limits.long_after", c.Limits.LongAfter},
		{"limits.header_timeout", c.Limits.HeaderTimeout},
	}
}

// parsePrefixes reads CIDRs and single addresses.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, segue.Errorf(segue.KindInvalid, "trusted_proxies: %q is neither an address nor a CIDR such as \"10.0.0.0/8\"", text)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// isToken says whether s may be a cookie's name; "" is none, and stands for the default.
func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
