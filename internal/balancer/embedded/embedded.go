// Package embedded drives Segue's own proxy over its admin socket. The proxy is a process of its own: it serves on when the controller is
// away, and when it dies it comes back with the same backends, drains and weights.
package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/proxy"
)

// Config is what a Driver is made of.
type Config struct {
	// Service is whose rotation it changes.
	Service segue.ServiceName
	// Options are the service's balancer block.
	Options Options
	// Socket is the path of the proxy's admin socket (see proxy.SocketPath).
	Socket string
	// Start, when set, starts a proxy process that outlives this one; it is called when none answers, and again when the proxy has died. It
	// may return before the proxy answers. nil: the proxy is somebody else's to start.
	Start func(ctx context.Context) error
	// StartWithin bounds the wait for a started proxy to answer. Default 10 s.
	StartWithin time.Duration
	// Logger hears of starts. Default: nothing is logged.
	Logger *slog.Logger
}

// Driver is a balancer.Driver for one service of a proxy.
type Driver struct {
	config  Config
	service string
	client  *proxy.Client

	starting sync.Mutex
}

var (
	_ balancer.Driver   = (*Driver)(nil)
	_ balancer.Finder   = (*Driver)(nil)
	_ balancer.Mirrorer = (*Driver)(nil)
)

// startWithin is the default of Config.StartWithin; startPoll is the pause between two looks at a proxy that is coming up.
const (
	startWithin = 10 * time.Second
	startPoll   = 20 * time.Millisecond
)

// New makes a driver. It connects when it is first used. KindInvalid names every fault of the options.
func New(config Config) (*Driver, error) {
	if err := config.Options.Validate(); err != nil {
		return nil, err
	}
	if config.Socket == "" {
		return nil, segue.Errorf(segue.KindInvalid, "embedded balancer of service %s: no admin socket given", config.Service)
	}
	if config.StartWithin <= 0 {
		config.StartWithin = startWithin
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Driver{config: config, service: string(config.Service), client: proxy.NewClient(config.Socket)}, nil
}

// Capabilities implements balancer.Driver. Sticky users are not kept on a draining backend: they move at once, by load, and keep their
// sessions, which the application shares.
func (d *Driver) Capabilities() balancer.Capabilities {
	return balancer.Capabilities{CountsInFlight: true, LiveChange: true, Holds: true, Weighs: true, Mirrors: true, ClosesLong: true}
}

// Address gives where the proxy listens for this service, with the real port.
func (d *Driver) Address(ctx context.Context) (string, error) {
	snap, err := d.snapshot(ctx)
	return snap.Address, err
}

// Configure implements balancer.Driver.
func (d *Driver) Configure(ctx context.Context) error {
	return d.do(ctx, func() error { return d.client.Configure(ctx, d.service, d.config.Options.config()) })
}

// Add implements balancer.Driver.
func (d *Driver) Add(ctx context.Context, b balancer.Backend) error {
	return d.do(ctx, func() error {
		return d.client.Add(ctx, d.service, proxy.Backend{ID: b.ID, Server: b.Server, Release: b.Release, Address: b.Address})
	})
}

// Admit implements balancer.Driver.
func (d *Driver) Admit(ctx context.Context, id segue.InstanceID, slowStart time.Duration) error {
	if slowStart == 0 {
		slowStart = time.Duration(d.config.Options.SlowStart)
	}
	return d.do(ctx, func() error { return d.client.Admit(ctx, d.service, id, slowStart) })
}

// Drain implements balancer.Driver.
func (d *Driver) Drain(ctx context.Context, id segue.InstanceID) error {
	return d.do(ctx, func() error { return d.client.Drain(ctx, d.service, id) })
}

// InFlight implements balancer.Driver.
func (d *Driver) InFlight(ctx context.Context, id segue.InstanceID) (n balancer.InFlight, err error) {
	err = d.do(ctx, func() error {
		got, err := d.client.InFlight(ctx, d.service, id)
		n = balancer.InFlight{Known: err == nil, Requests: got.Requests, Long: got.Long}
		return err
	})
	return n, err
}

// CloseLong implements balancer.Driver.
func (d *Driver) CloseLong(ctx context.Context, id segue.InstanceID, spread time.Duration) (closed int, err error) {
	if spread == 0 {
		spread = d.Spread()
	}
	err = d.do(ctx, func() error {
		var err error
		closed, err = d.client.CloseLong(ctx, d.service, id, spread)
		return err
	})
	return closed, err
}

// Spread is the time that long connections are closed over, by the options.
func (d *Driver) Spread() time.Duration {
	if d.config.Options.Drain.Spread > 0 {
		return time.Duration(d.config.Options.Drain.Spread)
	}
	return defaultSpread
}

// Settle implements balancer.Driver.
func (d *Driver) Settle(ctx context.Context, id segue.InstanceID) error {
	return d.do(ctx, func() error { return d.client.Settle(ctx, d.service, id) })
}

// Remove implements balancer.Driver.
func (d *Driver) Remove(ctx context.Context, id segue.InstanceID) error {
	return d.do(ctx, func() error { return d.client.Remove(ctx, d.service, id) })
}

// Weigh implements balancer.Driver.
func (d *Driver) Weigh(ctx context.Context, shares map[segue.ReleaseName]float64) error {
	return d.do(ctx, func() error { return d.client.Weigh(ctx, d.service, shares) })
}

// Hold implements balancer.Driver.
func (d *Driver) Hold(ctx context.Context, most time.Duration) error {
	return d.do(ctx, func() error { return d.client.Hold(ctx, d.service, most) })
}

// Unhold implements balancer.Driver.
func (d *Driver) Unhold(ctx context.Context) error {
	return d.do(ctx, func() error { return d.client.Unhold(ctx, d.service) })
}

// Maintenance implements balancer.Driver.
func (d *Driver) Maintenance(ctx context.Context, on bool, retryAfter time.Duration) error {
	return d.do(ctx, func() error { return d.client.Maintenance(ctx, d.service, on, retryAfter) })
}

// Snapshot implements balancer.Driver.
func (d *Driver) Snapshot(ctx context.Context) (balancer.Snapshot, error) {
	snap, err := d.snapshot(ctx)
	if err != nil {
		return balancer.Snapshot{}, err
	}
	return convert(snap), nil
}

// Find implements balancer.Finder.
func (d *Driver) Find(ctx context.Context, id segue.InstanceID) (status balancer.BackendStatus, err error) {
	err = d.do(ctx, func() error {
		found, err := d.client.Backend(ctx, d.service, id)
		status = convertBackend(found)
		return err
	})
	if segue.KindOf(err) != segue.KindUnsupported {
		return status, err
	}
	// The proxy was started by an older version, and serves on.
	snapshot, err := d.Snapshot(ctx)
	if err != nil {
		return balancer.BackendStatus{}, err
	}
	return balancer.FindIn(snapshot, id)
}

// Mirror implements balancer.Mirrorer. KindUnsupported when the proxy was started by an older version.
func (d *Driver) Mirror(ctx context.Context, m balancer.Mirror, sink func(balancer.MirrorRecord)) error {
	return d.do(ctx, func() error {
		return d.client.Mirror(ctx, d.service, proxy.Mirror(m), func(r proxy.MirrorRecord) { sink(convertRecord(r)) })
	})
}

func (d *Driver) snapshot(ctx context.Context) (snap proxy.Snapshot, err error) {
	err = d.do(ctx, func() error {
		var err error
		snap, err = d.client.Snapshot(ctx, d.service)
		return err
	})
	return snap, err
}

// Close implements balancer.Driver. The proxy goes on.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// do calls the proxy. If nobody answers there, a proxy is started, where that may be done, and asked again: it has the same state, and every
// call can be made twice.
func (d *Driver) do(ctx context.Context, call func() error) error {
	err := call()
	if !unanswered(err) || d.config.Start == nil {
		return err
	}
	if err := d.start(ctx); err != nil {
		return err
	}
	return call()
}

// unanswered says whether no proxy was there, or it went away before it answered; not, that it answered with an error.
func unanswered(err error) bool {
	if segue.KindOf(err) != segue.KindUnavailable {
		return false
	}
	_, transport := errors.AsType[*url.Error](err)
	return transport
}

// start starts a proxy and waits until it answers. Several callers start one.
func (d *Driver) start(ctx context.Context) error {
	d.starting.Lock()
	defer d.starting.Unlock()
	if _, err := d.client.Health(ctx); err == nil {
		return nil
	}
	d.config.Logger.InfoContext(ctx, "starting the proxy", "socket", d.config.Socket)
	if err := d.config.Start(ctx); err != nil {
		return segue.Errorf(segue.KindUnavailable, "start the proxy: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, d.config.StartWithin)
	defer cancel()
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		_, err := d.client.Health(bounded)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-bounded.Done():
			if ctx.Err() != nil {
				return segue.Errorf(segue.KindCanceled, "start the proxy: %w", context.Cause(ctx))
			}
			return segue.Errorf(segue.KindUnavailable, "start the proxy: it does not answer on %s within %v", d.config.Socket, d.config.StartWithin).
				WithHint("see the proxy's log; `segue proxy` in a terminal shows why it does not come up")
		}
	}
}
