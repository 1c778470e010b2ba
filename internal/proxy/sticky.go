package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/segue-deploy/segue"
)

// stickyToken stands for a server in a user's cookie: an HMAC of its name, so that nobody can choose a server, or learn an address. It is
// the server's and not the instance's: a user whose server is upgraded while he reads comes back to it.
func stickyToken(key []byte, service string, server segue.ServerName) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(service + "\x00" + string(server)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// cookieValue finds a cookie in the header's lines without parsing the rest; "" when it is not there.
func cookieValue(lines []string, name string) string {
	for _, line := range lines {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			part = strings.TrimLeft(part, " ")
			if len(part) > len(name) && part[len(name)] == '=' && part[:len(name)] == name {
				return part[len(name)+1:]
			}
		}
	}
	return ""
}

// stickyCookie is the Set-Cookie line. It lives as long as the browser's session; scripts cannot read it.
func stickyCookie(name, token string, secure bool) string {
	line := name + "=" + token + "; Path=/; HttpOnly; SameSite=Lax"
	if secure {
		line += "; Secure"
	}
	return line
}
