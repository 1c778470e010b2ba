package load

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Config says what a Generator sends and where. The zero value of every field but Target is usable; rates and counts of
// zero send nothing of that kind.
type Config struct {
	// Target is the base URL, such as "http://127.0.0.1:8080". Plain HTTP/1.1 only.
	Target string
	// Gets and Posts are requests per second, sent open-loop: a slow answer does not delay the next request.
	Gets, Posts float64
	// Uploads, Streams and WebSockets are how many of each are kept going at all times.
	Uploads, Streams, WebSockets int

	// Connections is how many keep-alive connections GETs and POSTs go round (default 64).
	Connections int
	// MaxConnections bounds the GETs and POSTs in flight (default 2048); a request that finds no place within Timeout
	// fails with CauseNoConnection.
	MaxConnections int
	// ClosedAt, unless 0, sends no further GET or POST while so many are in flight: a machine that cannot carry the rates is
	// sent what it can, and no request fails for want of time.
	ClosedAt int
	// Timeout is the most a GET, a POST, a dial or an echo may take, and what an upload or a stream may take beyond its
	// planned time (default 10 s).
	Timeout time.Duration

	// GetPaths are asked for in turn (default "/").
	GetPaths []string
	// PostPath, UploadPath, StreamPath and WebSocketPath default to the paths of the test backend: /orders, /upload,
	// /stream and /ws.
	PostPath, UploadPath, StreamPath, WebSocketPath string
	// PostBytes is the size of a POST's body (default 64 KiB, at least 128).
	PostBytes int
	// UploadBytes is the size of an upload (default 10 MB), UploadTime how long sending it takes (default 4 s).
	UploadBytes int64
	UploadTime  time.Duration
	// StreamTime is the longest time a stream is planned to take (default 5 s).
	StreamTime time.Duration
	// StreamEnd is what a complete stream ends with (default "end\n"); a stream without it is short.
	StreamEnd string
	// EchoEvery is the time between two messages on a WebSocket (default 250 ms).
	EchoEvery time.Duration

	// ServerHeader and ReleaseHeader name the response headers that say who answered (default X-Server, X-Release).
	ServerHeader, ReleaseHeader string
	// Header is added to every request.
	Header http.Header
	// MaxFailures bounds the failures kept one by one (default 1000); all are counted.
	MaxFailures int
}

// withDefaults returns a copy in which every field that was left out has its default.
func (c Config) withDefaults() Config {
	setDefault(&c.Connections, 64)
	setDefault(&c.MaxConnections, 2048)
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.PostPath, "/orders")
	setDefault(&c.UploadPath, "/upload")
	setDefault(&c.StreamPath, "/stream")
	setDefault(&c.WebSocketPath, "/ws")
	setDefault(&c.PostBytes, 64<<10)
	setDefault(&c.UploadBytes, 10_000_000)
	setDefault(&c.UploadTime, 4*time.Second)
	setDefault(&c.StreamTime, 5*time.Second)
	setDefault(&c.StreamEnd, "end\n")
	setDefault(&c.EchoEvery, 250*time.Millisecond)
	setDefault(&c.ServerHeader, "X-Server")
	setDefault(&c.ReleaseHeader, "X-Release")
	setDefault(&c.MaxFailures, 1000)
	if len(c.GetPaths) == 0 {
		c.GetPaths = []string{"/"}
	}
	c.MaxConnections = max(c.MaxConnections, c.Connections)
	return c
}

// setDefault gives *field the value unless it has one.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports every fault of a configuration that has its defaults.
func (c Config) validate() error {
	var faults []error
	target, err := url.Parse(c.Target)
	switch {
	case err != nil:
		faults = append(faults, fmt.Errorf("parse target: %w", err))
	case target.Scheme != "http" || target.Host == "":
		faults = append(faults, fmt.Errorf("target %q: want http://HOST:PORT", c.Target))
	}
	if c.Gets < 0 || c.Posts < 0 || c.Uploads < 0 || c.Streams < 0 || c.WebSockets < 0 {
		faults = append(faults, errors.New("rates and counts: must not be negative"))
	}
	if c.PostBytes < 128 {
		faults = append(faults, fmt.Errorf("post bytes %d: want at least 128", c.PostBytes))
	}
	if c.Connections < 1 || c.Timeout < 0 || c.UploadBytes < 0 || c.UploadTime < 0 || c.EchoEvery < 0 {
		faults = append(faults, errors.New("connections, sizes and times: must be positive"))
	}
	return errors.Join(faults...)
}
