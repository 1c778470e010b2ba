package simtest

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/journal/memory"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// World is what outlives controllers: the servers, the balancer, the journal, and the record of what happened.
type World struct {
	scenario Scenario
	options  Options
	servers  *workloadtest.Fake
	balancer *balancertest.Fake
	journal  *memory.Journal
	configs  *controller.MemoryConfigs
	database *migrationtest.Fake
	record   *record

	mu    sync.Mutex
	calls map[string]int
	// disturbed is true while faults are injected; outages are servers whose calls all fail until a time.
	disturbed bool
	outages   map[segue.ServerName]time.Time
	// quiet is when a drained instance has nothing in flight any more.
	quiet map[segue.InstanceID]time.Time
	kills []int64
	life  *life
}

// Options change a world for the tests of the tests.
type Options struct {
	// Doctor changes events before they are written, as a wrong planner would.
	Doctor func(*segue.Event)
	// Lie lets a method of the balancer ("Drain", "Admit", "InFlight") answer well and do nothing, or ("Start") a server run
	// another release than it was told.
	Lie string
	// RetireEarly takes the files of v1 away as soon as v2 starts.
	RetireEarly bool
	// Lose drops an entry, and all after it, from what is found in the journal after a crash.
	Lose func(segue.Entry) bool
	// Log gets a line per call and act.
	Log func(format string, args ...any)
}

// NewWorld makes the world of a scenario. It is played within one synctest bubble.
func NewWorld(scenario Scenario, options Options) *World {
	if options.Log == nil {
		options.Log = func(string, ...any) {}
	}
	w := &World{
		scenario: scenario, options: options, servers: workloadtest.NewFake(), balancer: balancertest.NewFake(time.Now),
		journal: memory.New(time.Now), configs: &controller.MemoryConfigs{}, database: migrationtest.NewFake(), calls: map[string]int{},
		outages: map[segue.ServerName]time.Time{}, quiet: map[segue.InstanceID]time.Time{}, kills: scenario.Kills,
	}
	w.record = newRecord(w)
	w.database.Behave("0002#2", migrationtest.Behaviour{Takes: scenario.Long})
	for release, behaviour := range scenario.Releases {
		w.servers.Behave("", release, behaviour)
	}
	return w
}

// running lists what really runs, and says of each whether it is ready.
func (w *World) running() map[segue.InstanceID]bool {
	ctx := context.Background()
	instances, err := w.servers.List(ctx)
	if err != nil {
		return nil
	}
	running := make(map[segue.InstanceID]bool, len(instances))
	for _, instance := range instances {
		running[instance.ID] = w.servers.Probe(ctx, instance.ID) == nil
	}
	return running
}

// chance draws for one call: it depends on the seed, the call's name and its number alone, not on what else goes on.
func (w *World) chance(method, about string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := method + " " + about
	w.calls[key]++
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key))
	return rand.New(rand.NewPCG(w.scenario.Seed^hash.Sum64(), uint64(w.calls[key]))) //nolint:gosec // a simulation wants to be predictable
}

// faulty says whether a call about a server fails now.
func (w *World) faulty(server segue.ServerName, chance *rand.Rand) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.outages[server]) {
		return true
	}
	return w.disturbed && chance.Float64() < w.scenario.Faults
}

// life is one controller, from its start to its death, and the drivers as it sees them.
type life struct {
	*World
	controller *controller.Controller
	cancel     context.CancelFunc
	dead       chan struct{}
	killed     sync.Once
	ended      chan error
	balancer   balancer.Driver
	workload   workload.Driver
}

// begin starts a controller on the world as it is.
func (w *World) begin(ctx context.Context) *life {
	ctx, cancel := context.WithCancel(ctx)
	l := &life{World: w, cancel: cancel, dead: make(chan struct{}), ended: make(chan error, 1)}
	l.balancer, l.workload = &balancerOf{life: l, Driver: w.balancer}, &workloadOf{life: l, Driver: w.servers}
	l.controller = controller.New(controller.Options{
		Journal: &journalOf{life: l, Journal: w.journal}, Drivers: l, Configs: w.configs, Look: time.Second, Reconcile: 5 * time.Second,
		Judges: func(_ segue.Service, candidate segue.ReleaseName) []judge.Judge {
			return []judge.Judge{&scripted{failFrom: w.scenario.Verdicts[candidate], candidate: candidate}}
		},
		Configure: func(_ *spec.Project, service spec.Service, release segue.ReleaseName) (controller.Config, error) {
			config := controller.Config{Workload: "fake", WorkloadBlock: json.RawMessage(`"x"`), Databases: w.scenario.database(release)}
			if service.Balanced {
				config.Balancer, config.BalancerBlock = "fake", json.RawMessage(`{}`)
			}
			return config, nil
		},
	})
	go func() { l.ended <- l.controller.Run(ctx) }()
	select {
	case <-l.controller.Ready():
	case <-l.dead:
	}
	return l
}

// kill ends the controller as SIGKILL does: from here on it has no effect on the world, whatever it still tries.
func (l *life) kill() {
	l.killed.Do(func() {
		close(l.dead)
		l.cancel()
		// Its connections go with it.
		l.World.database.Steal()
	})
}

// bury waits until nothing of a killed controller is left; its last error is nobody's.
func (l *life) bury() {
	if err := <-l.ended; err != nil {
		l.options.Log("the controller ended: %v", err)
	}
}

// gone says whether the controller was killed.
func (l *life) gone() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// Workload implements controller.Drivers.
func (l *life) Workload(string) (workload.Driver, error) { return l.workload, nil }

// WorkloadConfig implements controller.Drivers.
func (l *life) WorkloadConfig(string, json.RawMessage) (workload.Config, error) {
	return workloadtest.Config("x"), nil
}

// Balancer implements controller.Drivers.
func (l *life) Balancer(segue.ServiceName, string, json.RawMessage) (balancer.Driver, error) {
	return l.balancer, nil
}

// errKilled is what a killed controller's calls end with; nobody is left to read it.
var errKilled = segue.Errorf(segue.KindCanceled, "the controller was killed")

// call carries a driver's call out: it takes its time, may fail before or after its effect, and has none once the controller is dead.
func (l *life) call(ctx context.Context, method, about string, server segue.ServerName, do func() error) error {
	if l.gone() {
		return errKilled
	}
	chance := l.chance(method, about)
	// No two calls take the same time: what comes first does so in every play.
	took := time.Duration(chance.Int64N(int64(l.scenario.Latency+time.Millisecond) + 1))
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.dead:
	case <-ctx.Done():
		if !l.gone() {
			return segue.Errorf(segue.KindCanceled, "%s: %w", method, ctx.Err())
		}
	}
	if l.gone() {
		// What was under way when the controller died may still have its effect.
		if chance.IntN(2) == 0 {
			_ = do()
		}
		return errKilled
	}
	if !l.faulty(server, chance) {
		return do()
	}
	effect := chance.IntN(2) == 0
	l.options.Log("fault: %s %s, with its effect: %v", method, about, effect)
	if effect {
		_ = do()
	}
	return segue.Errorf(segue.KindUnavailable, "injected fault: %s %s: no answer", method, about)
}
