package controller

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/workload"
)

// Controller is the engine. New makes one; Run runs it; the api.Controller methods work while it runs.
type Controller struct {
	options Options
	log     *slog.Logger
	mail    chan message
	// ready is closed when the journal has been replayed and the loop answers; stopped when it answers no more.
	ready   chan struct{}
	stopped chan struct{}
	started time.Time

	// deploys lets one deploy at a time look, plan and open.
	deploys sync.Mutex

	services services
	lookouts lookouts
	desks    desks
	// busy says which databases a rollout uses: a map from their names to why they should be left alone, never changed once stored.
	busy atomic.Value

	// The loop's own.
	ledger   rollout.Ledger
	last     int64
	tasks    map[taskKey]*task
	monitors map[segue.RolloutID]*monitor
	// preparing is the work ahead of releases that goes on here.
	preparing map[segue.DatabaseName]preparing
	watched   map[workload.Driver]bool
	// repairs are closed when a repair of a server is over.
	repairs map[repairKey]chan struct{}
	running sync.WaitGroup
}

// New makes a controller; it does nothing until Run.
func New(options Options) *Controller {
	options.setDefaults()
	return &Controller{
		options:  options,
		log:      options.Logger,
		mail:     make(chan message, 256),
		ready:    make(chan struct{}),
		stopped:  make(chan struct{}),
		tasks:    map[taskKey]*task{},
		repairs:  map[repairKey]chan struct{}{},
		monitors: map[segue.RolloutID]*monitor{}, preparing: map[segue.DatabaseName]preparing{},
		watched:  map[workload.Driver]bool{},
		services: services{open: map[serviceKey]*service{}},
		lookouts: lookouts{of: map[segue.ServiceName]*watching{}},
		desks:    desks{open: map[string]*desk{}},
	}
}

// Ready is closed once the journal was replayed and calls are answered.
func (c *Controller) Ready() <-chan struct{} { return c.ready }

// service is a service with its drivers open.
type service struct {
	name      segue.ServiceName
	config    segue.Digest
	workload  workload.Driver
	balancer  balancer.Driver // nil for workers
	slowStart time.Duration
	listen    string
	witness   json.RawMessage
	databases []Database
}

// services holds the open drivers, by service and configuration: a plan may look with a new one while a rollout works with the old.
type services struct {
	mu   sync.Mutex
	open map[serviceKey]*service
}

type serviceKey struct {
	name   segue.ServiceName
	config segue.Digest
}

// service gives a service with the drivers of a stored configuration.
func (c *Controller) service(name segue.ServiceName, digest segue.Digest) (*service, error) {
	c.services.mu.Lock()
	defer c.services.mu.Unlock()
	key := serviceKey{name: name, config: digest}
	if s, ok := c.services.open[key]; ok {
		return s, nil
	}
	config, err := c.options.Configs.Get(digest)
	if err != nil {
		return nil, err
	}
	s, err := c.openService(name, digest, config)
	if err != nil {
		return nil, err
	}
	c.services.open[key] = s
	return s, nil
}

func (c *Controller) openService(name segue.ServiceName, digest segue.Digest, config Config) (*service, error) {
	driver, err := c.options.Drivers.Workload(config.Workload)
	if err != nil {
		return nil, err
	}
	s := &service{
		name: name, config: digest, workload: driver,
		slowStart: config.SlowStart, listen: config.Listen, witness: config.Witness, databases: config.Databases,
	}
	if config.Balancer != "" {
		if s.balancer, err = c.options.Drivers.Balancer(name, config.Balancer, config.BalancerBlock); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Run replays the journal, goes on with what was open, and works until ctx is done. What is under way is then left as it is, without an outcome: the
// next controller is handed the same commands again. It returns an error when the journal fails: nothing may be done that cannot be written down.
func (c *Controller) Run(ctx context.Context) error {
	c.started = time.Now()
	pending, receipts, err := c.replay(ctx)
	if err != nil {
		close(c.stopped)
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.resume(ctx, pending)
	c.makeUp(ctx, receipts)
	c.running.Go(func() { c.reconcileLoop(ctx) })
	c.running.Go(func() { c.revealAll(ctx) })
	close(c.ready)
	err = c.loop(ctx)
	// Whoever still asks is told so before those who work are waited for: they may be the ones who ask.
	close(c.stopped)
	cancel(err)
	c.drainMail()
	c.running.Wait()
	return err
}

func backendOf(id segue.InstanceID, server segue.ServerName, release segue.ReleaseName, address string) balancer.Backend {
	return balancer.Backend{ID: id, Server: server, Release: release, Address: address}
}
