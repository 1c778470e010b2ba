// Package listen gives the proxy its client side: sockets that are inherited or bound, connections that are counted, bounded and
// watched, TLS and the PROXY protocol.
//
// A Socket outlives what serves on it. Turning TLS on, or handing over to a new http.Server, takes a new Turn on the
// same Socket: the accept queue stays, and no connection in it is lost. SO_REUSEPORT is never used, because each of its
// sockets has a queue of its own that is reset when it closes.
package listen
