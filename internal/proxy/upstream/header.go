package upstream

import (
	"maps"
	"net/http"
	"net/textproto"
	"strings"
)

// StripHopByHop removes from h what concerns one connection only: the headers that Connection lists, and the known
// ones (RFC 9110, section 7.6.1). Forwarding headers stay even when Connection lists them, so that a client cannot strip what
// the proxy says about it. Serve does this by itself, on a copy.
func StripHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			if name != "" && !forwarding(name) {
				delete(h, name)
			}
		}
	}
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
	}
}

// hopByHop says whether a header (in canonical form) concerns one connection only.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// forwarding says whether a header (in canonical form) is one by which a proxy names the client.
func forwarding(name string) bool {
	return name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-")
}

// listed returns the names, in canonical form, that a Connection header declares hop-by-hop; nil for the ordinary
// "keep-alive" and "close".
func listed(connection []string) []string {
	var names []string
	for _, value := range connection {
		if strings.EqualFold(value, "keep-alive") || strings.EqualFold(value, "close") {
			continue
		}
		for name := range strings.SplitSeq(value, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			if name != "" && name != "Close" && !forwarding(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// hasToken says whether a comma-separated header holds token, in any case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		if strings.EqualFold(value, token) {
			return true
		}
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(part), token) {
				return true
			}
		}
	}
	return false
}

// upgradeOf returns the protocol that an HTTP/1.1 request wants to switch to, or "". A body of unknown length leaves no place to
// switch at; such a request is an ordinary one.
func upgradeOf(req *http.Request) string {
	if len(req.Header["Upgrade"]) == 0 || req.ProtoMajor != 1 || req.ProtoMinor < 1 || req.ContentLength < 0 {
		return ""
	}
	if !hasToken(req.Header["Connection"], "upgrade") {
		return ""
	}
	return req.Header["Upgrade"][0]
}

// wantsTrailers says whether the client accepts trailers.
func wantsTrailers(req *http.Request) bool {
	te := req.Header["Te"]
	return len(te) > 0 && hasToken(te, "trailers")
}

// announce writes an informational answer to w. The headers that the caller has set for the final answer are kept for it.
func announce(w http.ResponseWriter, status int, fields http.Header) {
	h := w.Header()
	kept := make(http.Header, len(h))
	for name, values := range h {
		kept[name] = values
		delete(h, name)
	}
	for name, values := range fields {
		if !hopByHop(name) && name != "Content-Length" {
			h[name] = values
		}
	}
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, kept)
}

// informs says whether an informational answer goes on to the client: HTTP/1.0 knows none, 101 is not informational, and the server
// sends 100 by itself once the client's body is wanted.
func informs(req *http.Request, status int) bool {
	return req.ProtoAtLeast(1, 1) && status != http.StatusSwitchingProtocols && status != http.StatusContinue
}
