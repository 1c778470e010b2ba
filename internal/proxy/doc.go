// Package proxy is the embedded load balancer's data plane: it serves requests, and knows no controller.
//
// One process serves several services, each with a listener, options and backends of its own. Whatever changes them comes over the
// admin socket (Client speaks to it), is written to a state file before it is confirmed, and is read again at the next start: killed and
// started anew, the proxy serves the same backends, drains and weights.
//
// A request takes this way: front (the http.Server of one listener), service.serve, a table (immutable, behind an atomic pointer) that
// picks a backend, backend.claim (counted first, then checked, so that a drained backend has no request that nobody sees), and upstream,
// which carries it and says what became of it. What may be tried again is tried on another backend; what finds none waits in the hold.
//
// What a request came to is counted for its backend, in all and by route (routeBook): a method and a path whose varying parts are {id}.
package proxy
