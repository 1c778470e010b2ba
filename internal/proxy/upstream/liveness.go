package upstream

// quietness is what a look into a connection's receive queue shows, without taking anything out.
type quietness int

const (
	// quiet means open, nothing to read: fit for a request.
	quiet quietness = iota
	// pending means that bytes wait to be read. For HTTP/1.1 nobody asked for them, so the connection is unfit.
	pending
	// ended means that the backend has closed or reset it.
	ended
)
