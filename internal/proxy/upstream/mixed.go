package upstream

import "net/http"

// mixed picks the way for each request.
type mixed struct{ *general }

// New returns the Upstream that a proxy uses: the own HTTP/1.1 path where a request is eligible for it, the general path for
// everything else. CloseIdle, Close and Connections cover the connections of both.
func New(opts Options) Upstream {
	opts = opts.withDefaults()
	links := newLedger(opts)
	return mixed{newGeneral(opts, links, newCarrier(opts, links))}
}

// Serve implements Upstream.
func (m mixed) Serve(w http.ResponseWriter, req *http.Request) Result {
	if upgrade := upgradeOf(req); upgrade != "" {
		return m.carrier.carry(w, req, upgrade)
	}
	if !m.opts.H2C && Eligible(req) {
		return m.carrier.carry(w, req, "")
	}
	return m.serve(w, req)
}
