package proxy

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"

	"github.com/segue-deploy/segue/internal/proxy/listen"
)

// forwarded are the values of the headers that tell a backend about its client, in one piece of memory.
type forwarded struct{ client, proto, host, id [1]string }

// forward sets X-Forwarded-For, -Proto, -Host and X-Request-Id. What came with the request is believed from trusted
// proxies alone, and removed from everybody else, so that no client can pass for another. Nobody can pass for a mirror.
func forward(r *http.Request, trusted []netip.Prefix, secure bool) {
	client := hostOf(r.RemoteAddr)
	believed := len(trusted) > 0 && isTrusted(trusted, client)
	h := r.Header
	delete(h, mirrorHeader)
	if !believed {
		for name := range h {
			if name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
				delete(h, name)
			}
		}
	}
	f := &forwarded{}
	f.client[0], f.proto[0], f.host[0] = client, "http", r.Host
	if secure {
		f.proto[0] = "https"
	}
	if before := h["X-Forwarded-For"]; believed && len(before) > 0 {
		f.client[0] = strings.Join(before, ", ") + ", " + client
	}
	h["X-Forwarded-For"] = f.client[:]
	if !believed || len(h["X-Forwarded-Proto"]) == 0 {
		h["X-Forwarded-Proto"] = f.proto[:]
	}
	if !believed || len(h["X-Forwarded-Host"]) == 0 {
		h["X-Forwarded-Host"] = f.host[:]
	}
	if !believed || len(h["X-Request-Id"]) == 0 {
		f.id[0] = requestID()
		h["X-Request-Id"] = f.id[:]
	}
}

// hostOf takes the port off an address that net/http wrote.
func hostOf(address string) string {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address
	}
	host := address[:i]
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	return host
}

func isTrusted(trusted []netip.Prefix, client string) bool {
	addr, err := netip.ParseAddr(client)
	return err == nil && listen.Contains(trusted, addr.Unmap().WithZone(""))
}

const hexDigits = "0123456789abcdef"

// requestID gives 32 hex digits at random. They identify, they do not protect.
func requestID() string {
	var text [32]byte
	for half := range 2 {
		bits := rand.Uint64() //nolint:gosec // an identity, not a secret
		for i := range 16 {
			text[16*half+i] = hexDigits[bits&15]
			bits >>= 4
		}
	}
	return string(text[:])
}
