package rehearsal

import (
	"iter"
	"math"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Written is a line with who wrote it.
type Written struct {
	At      time.Time         `json:"at"`
	Server  segue.ServerName  `json:"server"`
	Release segue.ReleaseName `json:"release"`
	Line    string            `json:"line"`
}

// Written gives the lines of all servers in the order of time, from the beginning of the history to the end.
func (w World) Written() iter.Seq[Written] {
	return func(yield func(Written) bool) {
		type source struct {
			next func() (Line, bool)
			line Line
			more bool
			*process
		}
		names := w.Names()
		sources := make([]*source, 0, len(names))
		for i, name := range names {
			next, stop := iter.Pull(w.Lines(name))
			defer stop()
			s := &source{next: next, process: newProcess(w.defaults(), i)}
			s.line, s.more = next()
			sources = append(sources, s)
		}
		for {
			first := -1
			for i, s := range sources {
				if s.more && (first < 0 || s.line.At.Before(sources[first].line.At)) {
					first = i
				}
			}
			if first < 0 {
				return
			}
			s := sources[first]
			if !yield(Written{s.line.At, serverName(first), s.release(s.line.At), s.line.Text}) {
				return
			}
			s.line, s.more = s.next()
		}
	}
}

// Traffic is what a balancer saw of a server in some time.
type Traffic struct {
	Since    time.Time         `json:"since"`
	Until    time.Time         `json:"until"`
	Server   segue.ServerName  `json:"server"`
	Release  segue.ReleaseName `json:"release"`
	Requests int64             `json:"requests"`
	Errors   int64             `json:"errors"`
	P50MS    float64           `json:"p50_ms"`
	P99MS    float64           `json:"p99_ms"`
	// Latency is the whole distribution; Routes counts requests by route, RouteErrors the errors.
	Latency     telemetry.Distribution `json:"latency"`
	Routes      map[string]int64       `json:"routes,omitempty"`
	RouteErrors map[string]int64       `json:"route_errors,omitempty"`
	Crashes     int                    `json:"crashes,omitempty"`
	Restarts    int                    `json:"restarts,omitempty"`
	Gauges      map[string]float64     `json:"gauges,omitempty"`
}

// Traffic gives what was seen of each server, minute by minute in the history and look by look after. A server that was being restarted is left out.
func (w World) Traffic() iter.Seq[Traffic] {
	return func(yield func(Traffic) bool) {
		for part := range w.parts() {
			for _, s := range part.Servers {
				t := Traffic{
					Since: part.Since, Until: part.Until, Server: s.Server, Release: s.Release, Requests: s.Requests, Errors: s.Errors,
					P50MS: millis(s.Latency.Quantile(0.5)), P99MS: millis(s.Latency.Quantile(0.99)), Latency: s.Latency, Routes: s.Routes,
					RouteErrors: s.RouteErrors, Crashes: s.Crashes, Restarts: s.Restarts, Gauges: s.Gauges,
				}
				if !yield(t) {
					return
				}
			}
		}
	}
}

func millis(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }
