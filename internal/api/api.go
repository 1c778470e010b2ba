// Package api is how faces talk to the controller: server, client and event stream, over HTTP on a 0600 unix socket (TCP only with a
// token). It asks for the Controller interface it needs and knows no engine; the wire types are those of package operator.
//
//go:generate go test -run ^TestOpenAPIIsFresh$ . -update
package api
