package templatetest

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// values draws what varies in a line.
type values struct {
	*rand.Rand
	now time.Time
}

func (v *values) pick(words ...string) string { return words[v.IntN(len(words))] }

func (v *values) bytes(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(v.Uint32())
	}
	return p
}

// name is a known one, or one that never was before.
func (v *values) name() string {
	if v.IntN(3) == 0 {
		var fresh strings.Builder
		for range 2 + v.IntN(3) {
			fresh.WriteString(v.pick("ka", "ri", "mo", "len", "tas", "vi", "dor", "be", "su", "nel", "ö", "wan"))
		}
		return fresh.String()
	}
	return v.pick("root", "anna", "bob", "carla", "deploy", "guest", "oracle", "www-data", "nagios", "git", "backup", "postgres", "x", "jürgen", "zoë", "user"+fmt.Sprint(v.IntN(100)))
}

func (v *values) ip() string {
	return fmt.Sprintf("%d.%d.%d.%d", 1+v.IntN(250), v.IntN(256), v.IntN(256), v.IntN(256))
}

func (v *values) path() string {
	n := 2 + v.IntN(4)
	parts := make([]string, n)
	for i := range parts {
		parts[i] = v.pick("var", "lib", "data", "tmp", "srv", "app", "cache", "x86", "items", "orders", fmt.Sprint(v.IntN(1000)))
	}
	return "/" + strings.Join(parts, "/") + v.pick("", ".log", ".tmp", ".json", "/")
}

func (v *values) host() string {
	return v.pick("web", "db", "cache", "proxy", "mail") + v.pick("", "-1", "02") + v.pick(".example.com", ".corp.local", ".eu-west.example.net")
}

func (v *values) list() string {
	n := 1 + v.IntN(5)
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprint(v.IntN(9999))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (v *values) joined() string {
	sep := v.pick("##", "|", ",")
	return fmt.Sprint(v.IntN(99999)) + sep + fmt.Sprint(v.IntN(999)) + sep + fmt.Sprint(v.IntN(99))
}

// draw gives one value of the kind.
func (v *values) draw(kind string) string {
	switch kind {
	case "int":
		return fmt.Sprint(v.IntN(100000))
	case "neg":
		return fmt.Sprint(v.IntN(2000) - 1000)
	case "big":
		return fmt.Sprint(v.Int64())
	case "float":
		return fmt.Sprintf("%.3f", v.Float64()*1000)
	case "hex":
		return fmt.Sprintf("0x%08x", v.Uint32())
	case "hash":
		return fmt.Sprintf("%x", v.bytes(20))
	case "uuid":
		b := v.bytes(16)
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	case "b64":
		return base64.StdEncoding.EncodeToString(v.bytes(24))
	case "ip":
		return v.ip()
	case "addr":
		return v.pick(v.ip(), "fe80::"+fmt.Sprintf("%x", v.IntN(65535))+":1", v.ip()) + fmt.Sprintf(":%d", 1024+v.IntN(60000))
	case "mac":
		b := v.bytes(6)
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
	case "name":
		return v.name()
	case "host":
		return v.host()
	case "path":
		return v.path()
	case "url":
		return v.pick("http", "https") + "://" + v.host() + v.path() + v.pick("", "?id="+fmt.Sprint(v.IntN(99)), "?q=a&page=2")
	}
	return v.drawMore(kind)
}

func (v *values) drawMore(kind string) string {
	switch kind {
	case "dur":
		return v.pick(fmt.Sprintf("%dms", v.IntN(999)), fmt.Sprintf("%.2fs", v.Float64()*9), fmt.Sprintf("%d ms", v.IntN(999)), fmt.Sprintf("%dm%ds", v.IntN(60), v.IntN(60)))
	case "size":
		return fmt.Sprintf("%.1f %s", v.Float64()*900, v.pick("KB", "MB", "GB", "KiB"))
	case "date":
		at := v.now.Add(-time.Duration(v.IntN(1e6)) * time.Second)
		return at.Format(v.pick(time.RFC3339, "2006-01-02 15:04:05", "Mon Jan  2 15:04:05 2006", "02/Jan/2006:15:04:05 -0700"))
	case "email":
		return v.pick("anna", "bob.m", "no-reply") + "@" + v.host()
	case "quoted":
		return `"` + v.pick("alpha", "two words", "x=1, y=2", "größe", "") + `"`
	case "list":
		return v.list()
	case "joined":
		return v.joined()
	case "names":
		return strings.Join([]string{"web", v.name(), v.pick("cache", "mail"), v.name(), "db"}[v.IntN(3):3+v.IntN(3)], ",")
	case "bundle":
		return v.pick("com", "org") + "." + v.pick("acme", "example", "initech") + "." + v.pick("mail", "chat", "sync.core", "player") + v.pick("", ".daily", ".Agent")
	case "token":
		return fmt.Sprintf("Token{%x u0 %s/.ui.%s t%d}", v.Uint32(), v.draw("bundle"), v.pick("Main", "Detail", "Login"), v.IntN(999))
	case "frames":
		frames := make([]string, 1+v.IntN(6))
		for i := range frames {
			frames[i] = "com.acme.wm." + v.pick("Window.destroy", "Session.relayout", "Binder.transact", "Animator.run") + fmt.Sprintf(":%d", v.IntN(4000))
		}
		return strings.Join(frames, " ")
	case "hexes":
		return fmt.Sprintf("%08x %08x %04x", v.Uint32(), v.Uint32(), v.IntN(65536))
	case "bytes":
		n := v.IntN(4000)
		if n < 1024 {
			return fmt.Sprintf("%d bytes", n)
		}
		return fmt.Sprintf("%d bytes (%.2f KB)", n, float64(n)/1024)
	case "life":
		return v.pick("<1 sec", fmt.Sprintf("%02d:%02d", v.IntN(60), v.IntN(60)), fmt.Sprintf("%02d:%02d:%02d", v.IntN(9), v.IntN(60), v.IntN(60)))
	case "frac":
		return fmt.Sprintf("(%d/%d)", v.IntN(9), 9)
	case "userhost":
		return v.pick("", "anna@", "deploy@", "svc-mail@") + v.host() + fmt.Sprintf(":%d", v.IntN(60000))
	case "map":
		return fmt.Sprintf("{id=%d, %s=%s}", v.IntN(99), v.pick("kind", "type"), v.name())
	case "state":
		return v.pick("NEW", "RUNNING", "WAITING", "DONE", "LOST", "IN_USE")
	case "bool":
		return v.pick("true", "false")
	case "emoji":
		return v.pick("1️⃣", "2✅", "3🎉")
	case "pod":
		return v.pick("web", "api", "cart") + "-" + fmt.Sprintf("%x", v.Uint32()) + "-" + fmt.Sprintf("%x", v.IntN(65000)) + "7"
	case "svc":
		return v.pick("nginx", "sshd", "cron", "docker", "postgresql", "user@1000") + ".service"
	}
	panic("templatetest: no values of kind " + kind)
}

// fill replaces {kind} by values.
func (v *values) fill(format string) string {
	var out strings.Builder
	for {
		open := strings.Index(format, "{{")
		if open < 0 {
			out.WriteString(format)
			return out.String()
		}
		end := strings.Index(format, "}}")
		out.WriteString(format[:open])
		out.WriteString(v.draw(format[open+2 : end]))
		format = format[end+2:]
	}
}
