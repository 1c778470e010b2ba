package spec

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// embedded resolves the block of the driver `embedded`.
func (r *resolver) embedded(at string, block *EmbeddedBalancer, s *Service) {
	s.Embedded = block
	r.listen(at+".listen", block.Listen)
	r.positive(at+".drain.within", &block.Drain.Within, defaultDrain)
	s.Timing.Drain = block.Drain.Within
	if block.TLS != nil {
		block.TLS.Cert, block.TLS.Key = r.absolute(block.TLS.Cert), r.absolute(block.TLS.Key)
		if block.H2C {
			r.fault(at+".h2c", "remove it: with tls, HTTP/2 is there anyway", "h2c is HTTP/2 without TLS, and there is tls")
		}
	}
	for i, network := range block.TrustedProxies {
		if _, err := netip.ParseAddr(network); err == nil {
			continue
		}
		if _, err := netip.ParsePrefix(network); err != nil {
			r.fault(item(at+".trusted_proxies", i), "write it like 10.0.0.0/8 or 10.0.0.1", "%q is neither a network nor an address", network)
		}
	}
	if block.ProxyProtocol && len(block.TrustedProxies) == 0 {
		r.fault(at+".proxy_protocol", "name the proxies in trusted_proxies", "proxy_protocol without trusted_proxies would let anyone claim any address")
	}
	if r.has(at+".health.http") && !strings.HasPrefix(block.Health.HTTP, "/") {
		r.fault(at+".health.http", "write it like /healthz", "%s.health.http: %q is no path", at, block.Health.HTTP)
	}
	if block.Limits.BufferBody > bufferLimit {
		r.fault(at+".limits.buffer_body", "", "limits.buffer_body is more than 1MiB")
	}
	for _, limit := range []struct {
		key          string
		value, least int
	}{
		{"hold.queue", block.Hold.Queue, 0},
		{"health.fall", block.Health.Fall, 0},
		{"health.rise", block.Health.Rise, 0},
		{"health.failures", block.Health.Failures, -1},
		{"limits.connections", block.Limits.Connections, -1},
		{"limits.connections_per_ip", block.Limits.ConnectionsPerIP, -1},
	} {
		if limit.value < limit.least {
			r.fault(at+"."+limit.key, "", "%s is less than %d", limit.key, limit.least)
		}
	}
}

// bufferLimit bounds what of a request's body may be kept, in bytes.
const bufferLimit = 1 << 20

// listen checks a listening address, and that no other service has it.
func (r *resolver) listen(at, listen string) {
	if !r.has(at) {
		return
	}
	host, port, err := net.SplitHostPort(listen)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numberErr != nil || strings.ContainsAny(host, " /") {
		hint := "write it like :8080 or 127.0.0.1:8080"
		if _, err := strconv.ParseUint(listen, 10, 16); err == nil {
			hint = fmt.Sprintf("write \":%s\"", listen)
		}
		r.fault(at, hint, "%q is no address to listen on", listen)
		return
	}
	if number == 0 {
		return
	}
	for other, service := range r.listens {
		otherHost, otherPort, err := net.SplitHostPort(other)
		if err == nil && otherPort == port && (host == otherHost || wildcard(host) || wildcard(otherHost)) {
			r.fault(at, "give each service a port of its own", "%s listens on %q, and so does %s", ownerOf(at), listen, service)
			return
		}
	}
	r.listens[listen] = ownerOf(at)
}

// ownerOf gives the path of the service that a path is within.
func ownerOf(at string) string { return strings.TrimSuffix(at, ".balancer.listen") }

func wildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// witness resolves the synthetic users; what only the witness can know it says itself.
func (r *resolver) witness(w *Witness) {
	r.project.Witness = w
	i := slices.IndexFunc(r.project.Services, func(s Service) bool { return s.Balanced })
	switch {
	case i < 0:
		r.add(r.keyAt["witness"], "give a service a balancer, or remove the witness", "there is a witness, and no service has a balancer that it could work with")
	case !r.has("witness.base"):
		if block := r.project.Services[i].Embedded; block != nil {
			w.Base = baseOf(block)
		}
	default:
		base, err := url.Parse(w.Base)
		if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
			r.fault("witness.base", "write it like http://127.0.0.1:8080", "witness.base is no URL")
		}
	}
}

// baseOf gives the URL that a balancer on this machine is reached at; "" when it only chooses its port as it starts.
func baseOf(block *EmbeddedBalancer) string {
	host, port, err := net.SplitHostPort(block.Listen)
	if err != nil || port == "0" {
		return ""
	}
	if wildcard(host) {
		host = "127.0.0.1"
	}
	scheme := "http"
	if block.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
