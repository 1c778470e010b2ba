package proxy

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// registry builds the metrics: the process's own, and what the services count. Nothing is counted twice: the collector reads the same
// counters as a snapshot.
func (p *Proxy) registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(p),
	)
	return registry
}

// collector turns snapshots into metrics.
type collector struct {
	proxy *Proxy

	requests, failures, clientGone, retries, longClosed, longCut  *prometheus.Desc
	seconds, inFlight, rotation, healthy                          *prometheus.Desc
	held, heldNow, heldLongest, abandoned, unrouted, moves, users *prometheus.Desc
	connections, refused, holding, maintenance                    *prometheus.Desc
	mirrored, copies                                              *prometheus.Desc
}

func newCollector(p *Proxy) *collector {
	ofBackend := []string{"service", "server", "release", "backend"}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("segue_proxy_"+name, help, labels, nil)
	}
	backend := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append(slices.Clip(ofBackend), more...)...)
	}
	service := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"service"}, more...)...)
	}
	return &collector{
		proxy:       p,
		requests:    backend("requests_total", "Whole answers, by class of their status.", "class"),
		failures:    backend("failures_total", "Requests that could not be carried out, by cause.", "cause"),
		clientGone:  backend("client_gone_total", "Requests that their client gave up."),
		retries:     backend("retries_total", "Requests that went on to another try after this backend."),
		longClosed:  backend("long_closed_total", "Long connections that were closed on purpose, properly."),
		longCut:     backend("long_cut_total", "Long connections that broke."),
		seconds:     backend("request_seconds", "Time from sending an ordinary request to a backend to the end of its answer."),
		inFlight:    backend("in_flight", "What a backend has to do now.", "kind"),
		rotation:    backend("rotation", "1 for the backend's place: in, out or draining.", "state"),
		healthy:     backend("healthy", "1 unless checks have taken the backend out."),
		held:        service("held_total", "Requests that ever waited for a backend."),
		heldNow:     service("held", "Requests that wait for a backend now."),
		heldLongest: service("held_longest_seconds", "The longest wait for a backend that is over."),
		abandoned:   service("held_abandoned_total", "Requests whose client left while they waited."),
		unrouted:    service("unrouted_total", "Requests that were answered without a backend, by cause.", "cause"),
		moves:       service("sticky_moves_total", "Sticky users that were sent to another server."),
		users:       service("sticky_users_total", "Sticky cookies given to newcomers."),
		connections: service("connections", "Open connections from clients."),
		refused:     service("connections_refused_total", "Connections that were turned away by a limit."),
		mirrored:    service("mirror_requests_total", "Requests picked to be copied, by what became of them.", "outcome"),
		copies:      backend("mirror_copies_total", "Copies of other backends' requests that it was sent."),
		holding:     service("holding", "1 while requests are parked on purpose."),
		maintenance: service("maintenance", "1 while everything is answered with the maintenance page."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.proxy.list() {
		snap := s.snapshot(c.proxy.epoch, false)
		c.collectService(ch, snap)
		for _, b := range snap.Backends {
			c.collectBackend(ch, snap.Service, b)
		}
	}
}

func (c *collector) collectService(ch chan<- prometheus.Metric, s Snapshot) {
	count := func(desc *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), append([]string{s.Service}, labels...)...)
	}
	gauge := func(desc *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, s.Service)
	}
	count(c.held, s.Held)
	count(c.abandoned, s.HeldAbandoned)
	count(c.moves, s.Moves)
	count(c.users, s.Users)
	count(c.refused, s.Refused)
	for cause, n := range s.Unrouted {
		count(c.unrouted, n, cause)
	}
	if m := s.Mirror; m != nil {
		count(c.mirrored, m.Told, "told")
		count(c.mirrored, m.Dropped, "dropped")
		count(c.mirrored, m.Skipped, "skipped")
	}
	gauge(c.heldNow, float64(s.HeldNow))
	gauge(c.heldLongest, s.HeldLongest.Seconds())
	gauge(c.connections, float64(s.Connections))
	gauge(c.holding, bit(s.Holding))
	gauge(c.maintenance, bit(s.Maintenance))
}

func (c *collector) collectBackend(ch chan<- prometheus.Metric, service string, b BackendStatus) {
	labels := []string{service, string(b.Server), string(b.Release), string(b.ID)}
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, more ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, v, append(slices.Clip(labels), more...)...)
	}
	for class := 1; class < len(b.Counters.Classes); class++ {
		send(c.requests, prometheus.CounterValue, float64(b.Counters.Classes[class]), string(rune('0'+class))+"xx")
	}
	for cause, n := range b.Counters.Failures {
		send(c.failures, prometheus.CounterValue, float64(n), cause)
	}
	send(c.clientGone, prometheus.CounterValue, float64(b.Counters.ClientGone))
	send(c.retries, prometheus.CounterValue, float64(b.Counters.Retries))
	send(c.longClosed, prometheus.CounterValue, float64(b.Counters.LongClosed))
	send(c.longCut, prometheus.CounterValue, float64(b.Counters.LongCut))
	send(c.copies, prometheus.CounterValue, float64(b.Mirrored))
	send(c.inFlight, prometheus.GaugeValue, float64(b.InFlight.Requests), "requests")
	send(c.inFlight, prometheus.GaugeValue, float64(b.InFlight.Long), "long")
	for _, state := range [...]segue.Rotation{segue.RotationIn, segue.RotationOut, segue.RotationDraining} {
		send(c.rotation, prometheus.GaugeValue, bit(b.Rotation == state), string(state))
	}
	send(c.healthy, prometheus.GaugeValue, bit(b.Healthy))
	counts := cumulative(b.Counters.Latency)
	sum := time.Duration(b.Counters.Latency.SumMicros) * time.Microsecond
	ch <- prometheus.MustNewConstHistogram(c.seconds, uint64(max(0, b.Counters.Latency.Count)), sum.Seconds(), counts, labels...)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// bounds are the upper bounds of the latency metric's buckets, in seconds.
func bounds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
}

// cumulative counts the durations up to each bound. A fine bucket goes where its middle is, so that a count is at most 1.6 % off its bound.
func cumulative(d telemetry.Distribution) map[float64]uint64 {
	counts := make(map[float64]uint64, len(bounds()))
	for _, bound := range bounds() {
		counts[bound] = 0
	}
	for _, b := range d.Buckets {
		one := telemetry.Distribution{Count: 1, Buckets: []telemetry.Bucket{{Index: b.Index, Count: 1}}}
		middle := one.Quantile(1).Seconds()
		for _, bound := range bounds() {
			if middle <= bound {
				counts[bound] += uint64(b.Count) //nolint:gosec // counts are positive
			}
		}
	}
	return counts
}
