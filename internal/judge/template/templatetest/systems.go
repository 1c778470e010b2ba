package templatetest

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// files has a file for each program: how its lines begin, then a line for each event, as "SEVERITY message". What varies stands in «»: a kind
// of value, or the values themselves.
//
//go:embed systems
var files embed.FS

// Systems gives the styles of programs that are known by name, as they write.
func Systems() []Style {
	names, err := fs.Glob(files, "systems/*.txt")
	if err != nil {
		panic(err)
	}
	styles := make([]Style, 0, len(names))
	for _, file := range names {
		text, err := files.ReadFile(file)
		if err != nil {
			panic(err)
		}
		prefix, events, _ := strings.Cut(strings.TrimRight(string(text), "\n"), "\n")
		styles = append(styles, Style{
			Name: strings.TrimSuffix(strings.TrimPrefix(file, "systems/"), ".txt"), events: strings.Split(events, "\n"),
			system: prefix,
		})
	}
	return styles
}

// system replaces «kind» by values.
func (v *values) system(format, severity string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(format, "«")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		kind, after, _ := strings.Cut(rest, "»")
		out.WriteString(v.one(kind, severity))
		format = after
	}
}

// one gives a value: of a kind with an argument ("n:99", "t:15:04"), of one without, or one of several.
func (v *values) one(kind, severity string) string {
	if strings.Contains(kind, "|") {
		parts := strings.Split(kind, "|")
		if kind = parts[v.IntN(len(parts))]; !v.special(kind) {
			return kind
		}
	}
	name, argument, _ := strings.Cut(kind, ":")
	n := 0
	switch name {
	case "n", "h", "H":
		if _, err := fmt.Sscan(argument, &n); err != nil {
			panic("templatetest: " + kind)
		}
	}
	switch name {
	case "":
		return ""
	case "n":
		return fmt.Sprint(v.IntN(n + 1))
	case "h":
		return fmt.Sprintf("%x", v.bytes(n/2+1))[:n]
	case "H":
		return fmt.Sprintf("%X", v.bytes(n/2+1))[:n]
	case "t":
		return v.now.Add(-time.Duration(v.IntN(999999)) * time.Microsecond).Format(argument)
	case "sev":
		return severity
	case "lsev":
		return strings.ToLower(severity)
	case "Sev", "Isev":
		return severity[:1] + strings.ToLower(severity[1:])
	case "sev3":
		return map[string]string{"INFO": "INF", "ERROR": "ERR", "WARNING": "WRN", "FATAL": "FTL"}[severity]
	case "L":
		return severity[:1]
	}
	return v.oneMore(kind)
}

func (v *values) special(kind string) bool {
	switch kind {
	case "ip", "host", "x", "unknown":
		return kind == "ip" || kind == "host"
	}
	return strings.HasPrefix(kind, "n:")
}

func (v *values) oneMore(kind string) string {
	switch kind {
	case "blk":
		return "blk_" + v.pick("-", "") + fmt.Sprint(v.Int64())
	case "port":
		return fmt.Sprint(1024 + v.IntN(60000))
	case "neg":
		return v.pick("-", "") + fmt.Sprint(v.IntN(200))
	case "f":
		return fmt.Sprintf("%.*f", 1+v.IntN(6), v.Float64()*100)
	case "f6":
		return fmt.Sprintf("%.6f", v.Float64()*1e6)
	case "attempt":
		return fmt.Sprintf("attempt_%d_%04d_%s_%06d_%d", 1445144423722+v.IntN(99999), v.IntN(30), v.pick("m", "r"), v.IntN(20), v.IntN(3))
	case "node":
		return v.pick(fmt.Sprintf("R%02d-M%d-N%d-C:J%02d-U%02d", v.IntN(77), v.IntN(2), v.IntN(15), v.IntN(17), v.IntN(12)), fmt.Sprintf("R%02d-M%d-N%d-I:J18-U%02d", v.IntN(77), v.IntN(2), v.IntN(15), v.IntN(12)), fmt.Sprintf("R%02d-M%d-N%d-C:J%02d-U%02d", v.IntN(77), v.IntN(2), v.IntN(15), v.IntN(17), v.IntN(12)))
	case "ips":
		list := []string{v.ip() + ":50010"}
		for range v.IntN(3) {
			list = append(list, v.ip()+":50010")
		}
		return strings.Join(list, v.pick(" ", ", "))
	case "user":
		return v.pick("webmaster", "admin", "test", "oracle", "guest", "pi", "0", "ftpuser", "support", "1234", "magnos", "inspur", "matlab", "chen", "boris", "ubnt", "user", "default", "zhangyan", "PlcmSpIp", "FILTER", "root", "a")
	case "topic":
		return v.pick("orders", "mails", "__consumer_offsets", "shop.events", "clicks-raw", "user_updates")
	case "group":
		return v.pick("mailer", "shop-worker", "etl", "billing.v2")
	case "b64u":
		return strings.NewReplacer("+", "-", "/", "_").Replace(v.draw("b64"))[:22]
	case "qid":
		return fmt.Sprintf("%X", v.bytes(5))[:10]
	case "x":
		return fmt.Sprintf("%06d", v.IntN(14000))
	case "size":
		return v.draw("size")
	}
	return v.draw(kind)
}
