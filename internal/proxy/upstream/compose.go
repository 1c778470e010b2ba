package upstream

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// errUnfit says that a request holds bytes that must not stand in a header.
var errUnfit = errors.New("request holds a header or target that is not valid")

// compose appends the header of req, as HTTP/1.1, to b. upgrade, when set, is the protocol to switch to. size is the body's length;
// it must be known.
func compose(b []byte, req *http.Request, upgrade string, size int64) ([]byte, error) {
	target := req.URL.EscapedPath()
	if target == "" {
		target = "/"
	}
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, target...)
	if req.URL.ForceQuery || req.URL.RawQuery != "" {
		b = append(b, '?')
		b = append(b, req.URL.RawQuery...)
	}
	for _, c := range b[len(req.Method)+1:] {
		if c <= ' ' || c == 0x7f {
			return b, errUnfit
		}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if !httpguts.ValidHostHeader(req.Host) {
		return b, errUnfit
	}
	b = append(b, req.Host...)
	b = append(b, "\r\n"...)
	b, err := composeFields(b, req.Header)
	if err != nil {
		return b, err
	}
	if wantsTrailers(req) {
		b = append(b, "Te: trailers\r\n"...)
	}
	if upgrade != "" {
		if !httpguts.ValidHeaderFieldValue(upgrade) {
			return b, errUnfit
		}
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, upgrade...)
		b = append(b, "\r\n"...)
	}
	if size > 0 || size == 0 && carriesLength(req.Method) {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, size, 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// composeFields appends the header lines that go to the backend as they are.
func composeFields(b []byte, header http.Header) ([]byte, error) {
	var drop []string
	if connection := header["Connection"]; len(connection) > 0 {
		drop = listed(connection)
	}
	for name, values := range header {
		switch name {
		case "Host", "Content-Length", "Expect":
			continue
		}
		if hopByHop(name) || len(drop) > 0 && slices.Contains(drop, name) {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return b, errUnfit
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return b, errUnfit
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}

// carriesLength says whether a method's empty body is announced.
func carriesLength(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}
