package rehearsal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// entry is an event to be written down.
type entry struct {
	at                        time.Time
	server                    string
	severity, logger, message string
	// trace has the frames of a stack trace, "" for none; version and swapped are what decoys change.
	trace   string
	swapped bool
}

// Style is a kind of log: how an event is written down. Its text may have several lines.
type Style struct {
	Name string
	// Language of its stack traces.
	language string
	write    func(v *values, e entry) string
}

// Styles gives all styles.
func Styles() []Style {
	return append(append(plainStyles(), structuredStyles()...), daemonStyles()...)
}

func styleNamed(name string) Style {
	all := Styles()
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return all[0]
}

// followed puts a stack trace on the lines after a line.
func followed(line, trace string) string {
	if trace == "" {
		return line
	}
	return line + "\n" + trace
}

func plainStyles() []Style {
	plain := func(name, language string, prefix func(v *values, e entry) string) Style {
		return Style{name, language, func(v *values, e entry) string { return followed(prefix(v, e)+e.message, e.trace) }}
	}
	upper := func(e entry) string { return strings.ToUpper(e.severity) }
	return []Style{
		plain("plain", "go", func(_ *values, e entry) string {
			return e.at.Format("2006-01-02 15:04:05 ") + upper(e) + " "
		}),
		plain("bracketed", "python", func(_ *values, e entry) string {
			return fmt.Sprintf("[%s] [%s] [%s] ", e.at.Format(time.RFC3339), upper(e), e.logger)
		}),
		plain("jvm", "java", func(v *values, e entry) string {
			return fmt.Sprintf("%s [http-nio-8080-exec-%d] %-5s c.e.shop.%s - ", e.at.Format("2006-01-02 15:04:05.000"), v.IntN(20), upper(e), title(e.logger))
		}),
		plain("log4j", "java", func(v *values, e entry) string {
			return fmt.Sprintf("%s %-5s [worker-%d] com.example.%s: ", e.at.Format("02 Jan 2006 15:04:05,000"), upper(e), v.IntN(8), title(e.logger))
		}),
		plain("python", "python", func(_ *values, e entry) string {
			return fmt.Sprintf("%s - shop.%s - %s - ", e.at.Format("2006-01-02 15:04:05,000"), e.logger, upper(e))
		}),
		plain("rails", "ruby", func(v *values, e entry) string {
			return fmt.Sprintf("%s, [%s #%d] %5s -- : [%s] ", upper(e)[:1], e.at.Format("2006-01-02T15:04:05.000000"), v.pid(), upper(e), v.uuid())
		}),
		plain("klog", "go", func(v *values, e entry) string {
			letter := map[string]string{"debug": "I", "info": "I", "warn": "W", "error": "E", "fatal": "F"}[e.severity]
			return fmt.Sprintf("%s%s %7d %s.go:%d] ", letter, e.at.Format("0102 15:04:05.000000"), v.pid(), e.logger, hash(e.logger)%400)
		}),
		plain("zap console", "go", func(_ *values, e entry) string {
			return fmt.Sprintf("%s\t%s\t%s\tshop/%s.go:%d\t", e.at.Format("2006-01-02T15:04:05.000Z0700"), upper(e), e.logger, e.logger, hash(e.logger)%400)
		}),
		plain("dotnet", "dotnet", func(_ *values, e entry) string {
			letters := map[string]string{"debug": "dbug", "info": "info", "warn": "warn", "error": "fail", "fatal": "crit"}[e.severity]
			return fmt.Sprintf("%s: Shop.%s[%d] ", letters, title(e.logger), hash(e.logger)%20)
		}),
		plain("node", "node", func(_ *values, e entry) string {
			return fmt.Sprintf("%s %s: ", e.at.Format("2006-01-02T15:04:05.000Z"), e.severity)
		}),
	}
}

// structured joins the pairs, in another order when swapped.
func structured(e entry, pairs []string, separator string) string {
	if e.swapped {
		for i, j := 0, len(pairs)-1; i < j; i, j = i+1, j-1 {
			pairs[i], pairs[j] = pairs[j], pairs[i]
		}
	}
	return strings.Join(pairs, separator)
}

func structuredStyles() []Style {
	quoted := func(s string) string { return strconv.Quote(s) }
	return []Style{
		{"json", "java", func(v *values, e entry) string {
			pairs := []string{
				`"ts":` + quoted(e.at.Format(time.RFC3339Nano)), `"level":` + quoted(e.severity), `"logger":` + quoted(e.logger),
				`"msg":` + quoted(e.message), `"trace_id":` + quoted(v.hex(16)), `"n":` + v.number(100),
			}
			if e.trace != "" {
				pairs = append(pairs, `"stack_trace":`+quoted(e.trace))
			}
			return "{" + structured(e, pairs, ",") + "}"
		}},
		{"ecs", "python", func(v *values, e entry) string {
			pairs := []string{
				`"@timestamp":` + quoted(e.at.Format(time.RFC3339Nano)), `"log.level":` + quoted(strings.ToUpper(e.severity)), `"message":` + quoted(e.message),
				`"service":{"name":"shop","version":"` + v.version + `"}`, fmt.Sprintf(`"process":{"pid":%d}`, v.pid()),
			}
			if e.trace != "" {
				pairs = append(pairs, `"error.stack_trace":`+quoted(e.trace))
			}
			return "{" + structured(e, pairs, ",") + "}"
		}},
		{"docker json", "node", func(v *values, e entry) string {
			inner := fmt.Sprintf(`{"severity":%s,"message":%s,"requestId":"%s"}`, quoted(strings.ToUpper(e.severity)), quoted(followed(e.message, e.trace)), v.uuid())
			return "{" + structured(e, []string{`"log":` + quoted(inner+"\n"), `"stream":"stdout"`, `"time":` + quoted(e.at.Format(time.RFC3339Nano))}, ",") + "}"
		}},
		{"logfmt", "go", func(v *values, e entry) string {
			pairs := []string{
				"time=" + e.at.Format("2006-01-02T15:04:05Z"), "level=" + e.severity, "msg=" + quoted(e.message),
				"request_id=" + v.hex(12), "took=" + v.number(99) + "ms",
			}
			if e.trace != "" {
				pairs = append(pairs, "stack="+quoted(e.trace))
			}
			return structured(e, pairs, " ")
		}},
		{"slog text", "go", func(v *values, e entry) string {
			pairs := []string{
				"time=" + e.at.Format("2006-01-02T15:04:05.000Z07:00"), "level=" + strings.ToUpper(e.severity), "msg=" + quoted(followed(e.message, e.trace)),
				"component=" + e.logger, "attempt=" + v.number(5),
			}
			return structured(e, pairs, " ")
		}},
	}
}

func daemonStyles() []Style {
	word := func(e entry, words ...string) string {
		for i, s := range []string{"debug", "info", "warn", "error", "fatal"} {
			if s == e.severity {
				return words[i]
			}
		}
		return words[1]
	}
	return []Style{
		{"syslog", "python", func(v *values, e entry) string {
			return followed(fmt.Sprintf("%s %s shop[%d]: %s: %s", e.at.Format("Jan _2 15:04:05"), e.server, v.pid(), e.severity, e.message), e.trace)
		}},
		{"syslog 5424", "java", func(v *values, e entry) string {
			priority := word(e, "135", "134", "132", "131", "130")
			return followed(fmt.Sprintf("<%s>1 %s %s shop %d - - %s: %s", priority, e.at.Format(time.RFC3339Nano), e.server, v.pid(), strings.ToUpper(e.severity), e.message), e.trace)
		}},
		{"nginx", "python", func(v *values, e entry) string {
			return followed(fmt.Sprintf(`%s [%s] %d#%d: *%s %s, client: %s, server: shop.example.com, request: "GET %s HTTP/1.1", host: "shop.example.com"`,
				e.at.Format("2006/01/02 15:04:05"), word(e, "debug", "info", "warn", "error", "crit"), v.pid(), v.pid(), v.number(1e6), e.message, v.ip(), v.path()), e.trace)
		}},
		{"apache", "python", func(v *values, e entry) string {
			return followed(fmt.Sprintf("[%s] [shop:%s] [pid %d:tid %d] [client %s:%s] %s", e.at.Format("Mon Jan 02 15:04:05.000000 2006"),
				word(e, "debug", "info", "warn", "error", "crit"), v.pid(), v.pid(), v.ip(), v.number(60000), e.message), e.trace)
		}},
		{"postgresql", "python", func(v *values, e entry) string {
			return followed(fmt.Sprintf("%s UTC [%d] app@shop %s:  %s", e.at.Format("2006-01-02 15:04:05.000"), v.pid(), word(e, "DEBUG", "LOG", "WARNING", "ERROR", "PANIC"), e.message), e.trace)
		}},
		{"kernel", "go", func(v *values, e entry) string {
			return followed(fmt.Sprintf("[%5d.%06d] shop: %s: %s", e.at.Unix()%100000, v.IntN(1e6), word(e, "debug", "info", "warning", "error", "BUG"), e.message), e.trace)
		}},
		{"mysql", "java", func(v *values, e entry) string {
			return followed(fmt.Sprintf("%s %d [%s] [MY-%06d] [Server] %s", e.at.Format("2006-01-02T15:04:05.000000Z"), v.IntN(90), word(e, "Note", "Note", "Warning", "ERROR", "ERROR"), hash(e.logger)%20000, e.message), e.trace)
		}},
		{"journal", "go", func(v *values, e entry) string {
			return followed(fmt.Sprintf("%s %s shop.service[%d]: <%s> %s", e.at.Format("Jan 02 15:04:05.000000"), e.server, v.pid(), word(e, "7", "6", "warning", "err", "crit"), e.message), e.trace)
		}},
	}
}

func title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
