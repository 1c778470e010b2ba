package spec

import "time"

// ProcessWorkload is the block of the workload driver `process`: instances are processes on this machine.
type ProcessWorkload struct {
	// Dir is the folder that relative paths begin in: the project's.
	Dir string `json:"-"`
	// Artifact is a file or folder, relative to Dir unless absolute, with {release} in it.
	Artifact string `json:"artifact,omitempty" jsonschema:"file or folder of a release, with {release} in it; default: taken from the command"`
	// Command may hold the placeholders of the list in resolve_process.go; nothing goes through a shell.
	Command []string          `json:"command" jsonschema:"program and arguments; {release}, {server}, {service}, {instance}, {artifact}, {address} and {port} are replaced; no shell"`
	Env     map[string]string `json:"env,omitempty" jsonschema:"environment variables; the same placeholders are replaced"`
	Ready   Ready             `json:"ready,omitzero" jsonschema:"how an instance shows that it is ready; default: it accepts TCP connections, for a worker: it runs"`
	Stop    Stop              `json:"stop,omitzero" jsonschema:"how an instance is ended"`
	Restart Restart           `json:"restart,omitzero" jsonschema:"what is done when an instance ends by itself"`
	Logs    Logs              `json:"logs,omitzero" jsonschema:"how the instances' output is kept"`
	// Worker is an instance that serves nothing: it gets no address.
	Worker bool `json:"worker,omitempty" jsonschema:"it serves no requests: no address, no balancer"`
}

// Ready says how an instance shows that it is ready. One of HTTP, TCP and Command is set; for a worker perhaps none.
type Ready struct {
	HTTP    string        `json:"http,omitempty" jsonschema:"path that answers 2xx once it is ready"`
	TCP     bool          `json:"tcp,omitempty" jsonschema:"it is ready when its port accepts connections"`
	Command []string      `json:"command,omitempty" jsonschema:"program and arguments that end with 0 once it is ready"`
	Within  time.Duration `json:"within,omitempty" jsonschema:"how long a start may take; default 30s"`
}

// Stop says how an instance is ended.
type Stop struct {
	// Quiet is a signal's name without SIG ("USR1"), "" for none.
	Quiet     signal        `json:"quiet,omitempty" jsonschema:"signal that makes a worker take no new work, before it is ended"`
	QuietWait time.Duration `json:"quiet_wait,omitempty" jsonschema:"how long to wait after the quiet signal for the worker to end by itself; default 60s where quiet is set"`
	// Signal defaults to TERM.
	Signal signal        `json:"signal,omitempty" jsonschema:"signal that ends it; default TERM"`
	Grace  time.Duration `json:"grace,omitempty" jsonschema:"time between that signal and KILL; default 30s"`
}

// Restart says what is done when an instance ends by itself. A zero field leaves it to the driver.
type Restart struct {
	// Limit is -1 for none.
	Limit int           `json:"limit,omitempty" jsonschema:"crashes in a row that are put up with while an instance gets ready; default 3"`
	Min   time.Duration `json:"min,omitempty" jsonschema:"wait before the first restart, doubled with each crash in a row; default 250ms"`
	Max   time.Duration `json:"max,omitempty" jsonschema:"longest wait before a restart; default 30s"`
}

// Logs says how the instances' output is kept. A zero field leaves it to the driver.
type Logs struct {
	MaxSize Size `json:"max_size,omitempty" jsonschema:"size at which a log file is rotated; default 10MiB"`
	Files   int  `json:"files,omitempty" jsonschema:"log files that are kept, the current one included; default 5"`
}

// EmbeddedBalancer is the block of the balancer driver `embedded`: Segue's own proxy.
type EmbeddedBalancer struct {
	// Listen is "host:port"; the host may be empty.
	Listen string `json:"listen" jsonschema:"address to listen on, like :8080 or 127.0.0.1:8080"`
	TLS    *TLS   `json:"tls,omitempty" jsonschema:"serve HTTPS with this certificate"`
	H2C    bool   `json:"h2c,omitempty" jsonschema:"accept HTTP/2 without TLS from clients"`
	// BackendH2C is for gRPC services.
	BackendH2C bool  `json:"backend_h2c,omitempty" jsonschema:"speak HTTP/2 without TLS to the instances (gRPC)"`
	Sticky     bool  `json:"sticky,omitempty" jsonschema:"keep each user on one server, by a signed cookie"`
	Drain      Drain `json:"drain,omitzero" jsonschema:"how a server is taken out of rotation"`
	Hold       Hold  `json:"hold,omitzero" jsonschema:"how requests are parked when no server is ready"`
	// SlowStart is the time over which a server that is put back takes up its full share.
	SlowStart      time.Duration `json:"slow_start,omitempty" jsonschema:"time over which a server that is put back takes up its share; default 0s"`
	TrustedProxies []string      `json:"trusted_proxies,omitempty" jsonschema:"networks (CIDR) or addresses whose X-Forwarded-* headers are believed"`
	ProxyProtocol  bool          `json:"proxy_protocol,omitempty" jsonschema:"expect the PROXY protocol from trusted_proxies"`
	Health         Health        `json:"health,omitzero" jsonschema:"active health checks; failing requests are noticed without"`
	Limits         ProxyLimits   `json:"limits,omitzero" jsonschema:"bounds on what clients may do"`
}

// TLS is a certificate and its key, as files; Parse makes their paths absolute.
type TLS struct {
	Cert string `json:"cert" jsonschema:"file with the certificate chain, PEM"`
	Key  string `json:"key" jsonschema:"file with the private key, PEM"`
}

// Drain bounds the wait for in-flight work.
type Drain struct {
	Within time.Duration `json:"within,omitempty" jsonschema:"how long to wait for requests in flight; default 60s"`
	// Spread 0 leaves it to the driver.
	Spread time.Duration `json:"spread,omitempty" jsonschema:"time over which long connections are closed then, one by one; default 10s"`
}

// Hold bounds how requests are parked while no server is ready. A zero field leaves it to the driver.
type Hold struct {
	// Off answers 503 at once.
	Off    bool          `json:"off,omitempty" jsonschema:"answer 503 at once instead"`
	Within time.Duration `json:"within,omitempty" jsonschema:"longest wait of a request; default 10s"`
	Queue  int           `json:"queue,omitempty" jsonschema:"most requests that wait at one time; default 10000"`
}

// Health shapes active health checks. A zero field leaves it to the driver.
type Health struct {
	// HTTP is a path; "" connects by TCP alone.
	HTTP    string        `json:"http,omitempty" jsonschema:"path that answers below 400 on a healthy server; default: a TCP connection is enough"`
	Every   time.Duration `json:"every,omitempty" jsonschema:"time between two active checks; default: none are made"`
	Timeout time.Duration `json:"timeout,omitempty" jsonschema:"bound on one check; default 2s"`
	Fall    int           `json:"fall,omitempty" jsonschema:"checks in a row that must fail; default 2"`
	Rise    int           `json:"rise,omitempty" jsonschema:"checks in a row that must succeed; default 1"`
	// Failures is -1 for never.
	Failures int `json:"failures,omitempty" jsonschema:"failed requests in a row that take a server out until it can be connected to again, -1 for never; default 3"`
}

// ProxyLimits bound what clients and backends may do. A zero field leaves it to the driver; -1 means no limit where the driver allows that.
type ProxyLimits struct {
	Connections      int           `json:"connections,omitempty" jsonschema:"most client connections at one time, -1 for any number; default 65536"`
	ConnectionsPerIP int           `json:"connections_per_ip,omitempty" jsonschema:"most connections of one client address, trusted_proxies excepted, -1 for any number; default 4096"`
	Stall            time.Duration `json:"stall,omitempty" jsonschema:"time in which a client must take or send a piece of a body; default 30s"`
	BufferBody       Size          `json:"buffer_body,omitempty" jsonschema:"part of a request body that is kept to be sent again; default 64KiB, at most 1MiB"`
	LongAfter        time.Duration `json:"long_after,omitempty" jsonschema:"when an answer that is still being written counts as a long connection; default 10s"`
	HeaderTimeout    time.Duration `json:"header_timeout,omitempty" jsonschema:"bound on the wait for a backend's answer; default: none"`
}
