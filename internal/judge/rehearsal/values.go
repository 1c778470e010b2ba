package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// values draws what varies in a line.
type values struct {
	*rand.Rand
	process int
	version string
}

func (v *values) pick(words ...string) string { return words[v.IntN(len(words))] }

func (v *values) pid() int { return v.process }

func (v *values) number(below int) string { return fmt.Sprint(v.IntN(below)) }

func (v *values) hex(digits int) string {
	var out strings.Builder
	for range digits {
		out.WriteByte("0123456789abcdef"[v.IntN(16)])
	}
	return out.String()
}

func (v *values) uuid() string {
	return v.hex(8) + "-" + v.hex(4) + "-4" + v.hex(3) + "-a" + v.hex(3) + "-" + v.hex(12)
}

func (v *values) ip() string {
	return fmt.Sprintf("%d.%d.%d.%d", 1+v.IntN(250), v.IntN(256), v.IntN(256), 1+v.IntN(254))
}

func (v *values) path() string {
	return "/" + v.pick("var", "srv", "data", "items", "orders") + "/" + v.number(1000) + "/" + v.hex(6) + v.pick("", ".json", ".csv")
}

func (v *values) list() string {
	parts := make([]string, 1+v.IntN(5))
	for i := range parts {
		parts[i] = v.number(9999)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// draw gives one value of the kind.
func (v *values) draw(kind string) string {
	switch kind {
	case "int":
		return v.number(100000)
	case "float":
		return fmt.Sprintf("%.3f", v.Float64()*1000)
	case "hex":
		return "0x" + v.hex(8)
	case "uuid":
		return v.uuid()
	case "ip":
		return v.ip()
	case "user":
		return v.pick("anna", "bob", "carla", "guest", "deploy", "zoë") + v.number(1000)
	case "host":
		return v.pick("db", "cache", "mail") + "-" + v.number(20) + v.pick(".example.com", ".corp.local")
	case "path":
		return v.path()
	case "url":
		return "https://" + v.pick("api", "pay", "cdn") + ".example.com" + v.path() + v.pick("", "?page="+v.number(99))
	case "dur":
		return v.pick(v.number(999)+"ms", fmt.Sprintf("%.2fs", v.Float64()*9), v.number(999)+"ms")
	case "size":
		return fmt.Sprintf("%.1f%s", v.Float64()*900, v.pick("KB", "MB", "GB"))
	case "email":
		return v.pick("anna", "bob.m", "no-reply") + v.number(100) + "@example.com"
	case "list":
		return v.list()
	case "version":
		return v.version
	}
	return kind
}

// fill replaces {{kind}} by values.
func (v *values) fill(format string) string {
	var out strings.Builder
	for rest := format; ; {
		before, after, found := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		kind, tail, _ := strings.Cut(after, "}}")
		out.WriteString(v.draw(kind))
		rest = tail
	}
}

// trace writes the frames of a stack trace, the same each time but for line numbers that do not matter.
func (v *values) trace(language, subject string) string {
	name := title(subject)
	switch language {
	case "java":
		return fmt.Sprintf("java.lang.IllegalStateException: %s %s is closed\n\tat com.example.shop.%s.load(%s.java:118)\n\tat com.example.shop.Web.lambda$run$%d(Web.java:57)\n\tat java.base/java.lang.Thread.run(Thread.java:840)",
			subject, v.uuid(), name, name, v.IntN(4))
	case "python":
		return fmt.Sprintf("Traceback (most recent call last):\n  File \"/srv/shop/%s.py\", line 88, in handle\n    row = self.load(key)\n  File \"/srv/shop/store.py\", line 41, in load\n    return self.rows[key]\nKeyError: '%s'",
			subject, v.uuid())
	case "ruby":
		return fmt.Sprintf("app/models/%s.rb:31:in `total': undefined method `sum' for nil:NilClass (NoMethodError)\n\tfrom app/controllers/%s_controller.rb:12:in `show'\n\tfrom lib/middleware.rb:20:in `call'", subject, subject)
	case "dotnet":
		return fmt.Sprintf("System.InvalidOperationException: %s %s was closed\n   at Shop.%s.Load(Int32 id) in /src/%s.cs:line 40\n   at Shop.Web.Run() in /src/Web.cs:line 77", subject, v.uuid(), name, name)
	case "node":
		return fmt.Sprintf("TypeError: Cannot read properties of undefined (reading '%s')\n    at load (/srv/shop/%s.js:40:11)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n    at async handle (/srv/shop/web.js:12:3)", subject, subject)
	}
	return fmt.Sprintf("panic: runtime error: invalid memory address or nil pointer dereference\n\ngoroutine %d [running]:\nmain.(*%s).load(0xc000%s, 0x1)\n\t/srv/shop/%s.go:88 +0x1d\nmain.main()\n\t/srv/shop/main.go:20 +0x85", v.IntN(900), name, v.hex(6), subject)
}
