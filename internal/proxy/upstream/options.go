package upstream

import (
	"time"
)

// Defaults of Options.
const (
	defaultDialTimeout = 2 * time.Second
	defaultIdleTimeout = 4 * time.Second
	defaultMaxIdle     = 1024
	defaultMaxHeader   = 256 << 10
)

// Bounds that are not worth an option.
const (
	// maxInformational bounds the 1xx answers before a final one.
	maxInformational = 32
	// continueTimeout is how long a body with `Expect: 100-continue` waits for the backend's word.
	continueTimeout = time.Second
	// maxChunkLine bounds the line before a chunk, extensions included, in bytes.
	maxChunkLine = 1 << 10
	// maxFastBody is the longest body that the own HTTP/1.1 path takes when it cannot be replayed, in bytes.
	maxFastBody = 1 << 20
	// closeWait is how long a tunnel that is shut waits for both sides' close frames.
	closeWait = 2 * time.Second
	// writeWait is how long the end of a request's body may take after the answer is whole, for the connection to be reused.
	writeWait = 50 * time.Millisecond
	// frameIdle is how long one side of a WebSocket may be silent once the other side has ended; streamIdle is the
	// same for other protocols, where a half-closed connection can be meant.
	frameIdle, streamIdle = 10 * time.Second, 5 * time.Minute
	// lingerRead is how long a client may go on sending a body that nobody wants any more, so that it reads its
	// answer before it is cut.
	lingerRead = 500 * time.Millisecond
)

// withDefaults returns o with every zero field replaced.
func (o Options) withDefaults() Options {
	if o.DialTimeout <= 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = defaultMaxIdle
	}
	if o.MaxHeader <= 0 {
		o.MaxHeader = defaultMaxHeader
	}
	return o
}
