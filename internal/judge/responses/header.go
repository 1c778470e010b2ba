package responses

import (
	"slices"
	"strings"
)

// significant takes from a header what is worth comparing: lower-case names, values joined in order, cookies by their names.
func significant(header map[string][]string) map[string]string {
	fields := make(map[string]string, len(header))
	for name, values := range header {
		name = strings.ToLower(name)
		if ofOneAnswer(name) {
			continue
		}
		values = slices.Clone(values)
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
			if name == "set-cookie" {
				values[i], _, _ = strings.Cut(values[i], "=")
			}
		}
		slices.Sort(values)
		fields[name] = strings.Join(values, ", ")
	}
	return fields
}

// ofOneAnswer says whether a field is about one answer, one connection or a proxy on the way, so that it says nothing of a release.
func ofOneAnswer(name string) bool {
	switch name {
	case "date", "age", "expires", "last-modified", "server-timing", "x-runtime", "x-response-time", "via", "alt-svc",
		"connection", "keep-alive", "transfer-encoding", "content-length", "trailer", "upgrade", "proxy-connection",
		"traceparent", "tracestate", "x-request-id", "x-correlation-id", "x-trace-id", "x-amzn-trace-id", "cf-ray":
		return true
	default:
		return false
	}
}

// fieldKept is how much of a header's value a sample shows.
const fieldKept = 40

func differHeader(a, b map[string]string, found places) {
	for name, value := range a {
		other, there := b[name]
		switch {
		case !there:
			found.add(pathHeader+name, KindMissing, name)
		case other != value:
			found.add(pathHeader+name, KindValue, shown(name, value, fieldKept)+" → "+shown(name, other, fieldKept))
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			found.add(pathHeader+name, KindExtra, name)
		}
	}
}
