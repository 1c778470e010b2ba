package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/listen"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
	"github.com/segue-deploy/segue/internal/statefile"
)

// Proxy is the services of one process and what is stored of them. Changes are made one at a time: checked, written, made live, and only
// then confirmed.
type Proxy struct {
	log         *slog.Logger
	path        string // of the state file
	epoch       string
	inherited   *listen.Inherited
	newUpstream func(upstream.Options) upstream.Upstream
	timing      timing

	// stopping is true from when the process takes its leave.
	stopping atomic.Bool
	// life ends the health watches and drains of replaced fronts; work counts both.
	life context.Context //nolint:containedctx // the process's own, ended by Close
	end  context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	state    stored
	services map[string]*service
}

// timing is how the proxy takes its leave.
type timing struct {
	// grace is the polite period, spread what long connections are closed over, limit what the rest may take then.
	grace, spread, limit time.Duration
}

// open reads the state in folder and serves it. Nothing is left open after an error.
func open(ctx context.Context, folder string, o Options, inherited *listen.Inherited) (*Proxy, error) {
	p := &Proxy{
		log: o.Logger, path: filepath.Join(folder, "proxy.json"), inherited: inherited, newUpstream: o.NewUpstream,
		timing: timing{o.Grace, o.Spread, o.Limit}, services: map[string]*service{},
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	p.epoch = hex.EncodeToString(id[:])
	p.life, p.end = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if p.state, err = readState(p.path); err != nil {
		p.end()
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.state.Services)) {
		if err := p.restore(ctx, name); err != nil {
			p.close(ctx, timing{})
			return nil, err
		}
	}
	return p, nil
}

// restore serves a service as it is stored.
func (p *Proxy) restore(ctx context.Context, name string) error {
	stored := p.state.Services[name]
	if err := stored.Config.Validate(); err != nil {
		return segue.Errorf(segue.KindCorrupt, "service %s in state file %s: %w", name, p.path, err)
	}
	socket, err := p.socket(ctx, name, stored.Config.Listen, stored.Bound)
	if err != nil {
		return err
	}
	certificate, err := loadCertificate(stored.Config)
	if err != nil {
		_ = socket.Close()
		return err
	}
	return p.start(name, stored, socket, certificate) //nolint:contextcheck // a service outlives the call that starts it
}

// start brings a service into being. It owns the socket, after an error too.
func (p *Proxy) start(name string, stored storedService, socket *listen.Socket, certificate *listen.Certificate) error {
	s := newService(name, p.log, p.newUpstream)
	s.apply(stored)
	f, err := openFront(s, socket, stored.Config, certificate)
	if err != nil {
		_ = socket.Close()
		s.stop()
		return err
	}
	s.front = f
	ctx, cancel := context.WithCancel(p.life)
	s.endWatch = cancel
	p.work.Go(func() { s.watch(ctx) })
	p.services[name] = s
	p.log.Info("serving", "service", name, "address", socket.Addr().String())
	return nil
}

// socket finds the socket for a listening address: passed in, or bound. bound is what the address was bound as before, for port 0.
func (p *Proxy) socket(ctx context.Context, name, address, bound string) (*listen.Socket, error) {
	for _, wanted := range [...]string{address, bound} {
		if socket := p.inherited.Claim(name, wanted); socket != nil {
			return socket, nil
		}
	}
	if _, port, _ := net.SplitHostPort(address); port == "0" && bound != "" {
		if socket, err := listen.Bind(ctx, bound); err == nil {
			return socket, nil
		}
	}
	return listen.Bind(ctx, address)
}

func loadCertificate(c Config) (*listen.Certificate, error) {
	if c.TLS == nil {
		return nil, nil //nolint:nilnil // no TLS, no certificate
	}
	return listen.LoadCertificate(c.TLS.Certificate, c.TLS.Key)
}

// configure creates a service, or changes its configuration while it serves.
func (p *Proxy) configure(ctx context.Context, name string, config Config) error {
	if _, err := segue.ParseServiceName(name); err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.state.Services[name]
	if known && reflect.DeepEqual(old.Config, config) {
		return nil
	}
	certificate, err := loadCertificate(config)
	if err != nil {
		return err
	}
	next := old.clone()
	next.Config = config
	var socket *listen.Socket
	if !known || old.Config.Listen != config.Listen {
		if socket, err = p.bind(ctx, name, config.Listen); err != nil {
			return err
		}
		next.Bound = socket.Addr().String()
	}
	if !known {
		next.Key = make([]byte, 32)
		_, _ = rand.Read(next.Key) // never fails
	}
	if err := p.write(name, &next); err != nil {
		if socket != nil {
			_ = socket.Close()
		}
		return err
	}
	if !known {
		return p.start(name, next, socket, certificate) //nolint:contextcheck // a service outlives the request that asks for it
	}
	return p.reconfigure(p.services[name], old, next, socket, certificate) //nolint:contextcheck // a front outlives the request that asks for it
}

// bind makes a new socket; a conflict with another service is named as such.
func (p *Proxy) bind(ctx context.Context, name, address string) (*listen.Socket, error) {
	socket, err := p.socket(ctx, name, address, "")
	if segue.KindOf(err) != segue.KindConflict {
		return socket, err
	}
	for other, s := range p.state.Services {
		if other != name && s.Config.Listen == address {
			return nil, segue.Errorf(segue.KindConflict, "listen on %s: service %s of this proxy listens there", address, other).
				WithHint("give each service a `listen` address of its own")
		}
	}
	return nil, err
}

// reconfigure makes a changed configuration live. Where the kind of listening changes, a new front takes over, on the same socket if the
// address is the same, and the old one is drained beside it.
func (p *Proxy) reconfigure(s *service, old, next storedService, socket *listen.Socket, certificate *listen.Certificate) error {
	s.apply(next)
	same := old.Config.H2C == next.Config.H2C && old.Config.ProxyProtocol == next.Config.ProxyProtocol &&
		reflect.DeepEqual(old.Config.TLS, next.Config.TLS) && reflect.DeepEqual(old.Config.TrustedProxies, next.Config.TrustedProxies) &&
		old.Config.Limits.Stall == next.Config.Limits.Stall
	if same && socket == nil {
		return nil
	}
	former := s.front
	moved := socket != nil
	if !moved {
		socket = former.socket
		former.release()
	}
	f, err := openFront(s, socket, next.Config, certificate)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.front = f
	s.mu.Unlock()
	p.work.Go(func() {
		former.drain(p.life, p.timing)
		if moved {
			_ = former.socket.Close()
		}
	})
	return nil
}

// change makes a change to a service that is configured. It is written before it is live, and live before change returns. A change that
// changes nothing writes nothing.
func (p *Proxy) change(name string, f func(*storedService) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.state.Services[name]
	if !known {
		return unknownService(name)
	}
	next := old.clone()
	if err := f(&next); err != nil {
		return err
	}
	if reflect.DeepEqual(old, next) {
		return nil
	}
	if err := p.write(name, &next); err != nil {
		return err
	}
	p.services[name].apply(next)
	return nil
}

func unknownService(name string) error {
	return segue.Errorf(segue.KindNotFound, "the proxy has no service %q", name).WithHint("configure it first")
}

// write stores the state with one service changed, or without it when next is nil.
func (p *Proxy) write(name string, next *storedService) error {
	services := maps.Clone(p.state.Services)
	if next != nil {
		services[name] = *next
	} else {
		delete(services, name)
	}
	state := stored{Version: stateVersion, Services: services}
	if err := statefile.Write(p.path, state); err != nil {
		return segue.Errorf(segue.KindUnavailable, "store change of service %s: %w", name, err).
			WithHint("nothing was changed; see that %s can be written and its disk has room", p.path)
	}
	p.state = state
	return nil
}

// service gives a service at work.
func (p *Proxy) service(name string) (*service, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.services[name]; ok {
		return s, nil
	}
	return nil, unknownService(name)
}

// list gives all services, by name.
func (p *Proxy) list() []*service {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*service, 0, len(p.services))
	for _, name := range slices.Sorted(maps.Keys(p.services)) {
		all = append(all, p.services[name])
	}
	return all
}

// remove forgets a service; its clients are sent away politely before it returns.
func (p *Proxy) remove(ctx context.Context, name string) error {
	p.mu.Lock()
	s, known := p.services[name]
	if !known {
		p.mu.Unlock()
		return nil
	}
	err := p.write(name, nil)
	if err == nil {
		delete(p.services, name)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	s.close(ctx, p.timing)
	return nil
}

// close takes leave of all clients: politely while ctx lasts. Everything is closed when it returns.
func (p *Proxy) close(ctx context.Context, t timing) {
	var work sync.WaitGroup
	for _, s := range p.list() {
		work.Go(func() { s.close(ctx, t) })
	}
	work.Wait()
	p.end()
	p.work.Wait()
}

// close drains the service's clients and closes everything.
func (s *service) close(ctx context.Context, t timing) {
	s.mu.Lock()
	f := s.front
	s.mu.Unlock()
	var work sync.WaitGroup
	work.Go(func() { s.closeLong(ctx, t.spread) })
	f.release()
	_ = f.socket.Close() // who comes now is told at once that nobody listens
	f.sendAway(ctx, t.grace)
	close(s.closed) // whoever still waits for a backend
	work.Wait()
	f.shut(ctx, t.limit)
	s.endWatch()
	s.stop()
}
