package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/journal/sqlite"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/spec"
)

// ServeOptions make a controller process.
type ServeOptions struct {
	State State
	// Background ends it by itself once it has been idle for Idle (default 30 s).
	Background bool
	Idle       time.Duration
	// Listen is a TCP address for clients beside the unix socket; it needs Token.
	Listen string
	Token  string
	Logger *slog.Logger
}

// Serve runs a controller until ctx is done, somebody asks it to end, or it is idle in the background.
func Serve(ctx context.Context, options ServeOptions) error {
	if options.Listen != "" && options.Token == "" {
		return segue.Errorf(segue.KindInvalid, "serve --listen needs a token").WithHint("set SEGUE_TOKEN to a long random string")
	}
	var patience time.Duration
	if options.Background {
		patience = holdWithin
	}
	release, err := options.State.hold(patience)
	if err != nil {
		return err
	}
	defer release()
	events, err := sqlite.Open(ctx, options.State.journal(), sqlite.Options{})
	if err != nil {
		return err
	}
	defer events.Close() //nolint:errcheck // nothing is left to write
	set, err := openDrivers(options.State, options.Logger)
	if err != nil {
		return err
	}
	defer set.Close() //nolint:errcheck // instances and proxy go on

	kept := &controller.FileEvidence{Folder: options.State.evidence()}
	defer kept.Close() //nolint:errcheck // what is cut off is no fault

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	engine := controller.New(controller.Options{
		Journal: events, Drivers: set, Configs: controller.FileConfigs{Folder: options.State.configs()},
		Judges: Panel, Lookout: newLookout(options.State.past(), options.Logger), Answers: newAnswers, Evidence: kept, Caveats: readCaveats,
		Command: func(ctx context.Context, database controller.Database, _ segue.ReleaseName, line func(string)) (migration.Report, error) {
			return set.RunCommand(ctx, drivers.Command{Driver: database.Driver, Block: database.Block, Argv: database.Command, Dir: database.Dir, Line: line})
		},
		Configure: configure, Checks: checks(), Witness: newWitness(options.Logger), Logger: options.Logger,
		Background: options.Background, Stop: stop,
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		return engine.Run(ctx)
	})
	server := api.NewServer(engine, "")
	group.Go(func() error { return serveUnix(ctx, options, engine, server) })
	if options.Listen != "" {
		group.Go(func() error { return serveTCP(ctx, options, engine) })
	}
	if options.Background {
		group.Go(func() error { endWhenIdle(ctx, options, engine, server, stop); return nil })
	}
	return group.Wait()
}

func serveUnix(ctx context.Context, options ServeOptions, engine *controller.Controller, server *api.Server) error {
	select {
	case <-engine.Ready():
	case <-ctx.Done():
		return nil
	}
	listener, err := api.ListenUnix(options.State.Socket()) //nolint:contextcheck // it asks whether a former one answers, which takes no time
	if err != nil {
		return err
	}
	options.Logger.InfoContext(ctx, "controller answers", "socket", options.State.Socket())
	return listener.Run(ctx, server, options.Logger)
}

func serveTCP(ctx context.Context, options ServeOptions, engine *controller.Controller) error {
	listener, err := api.ListenTCP(options.Listen)
	if err != nil {
		return err
	}
	options.Logger.InfoContext(ctx, "controller answers", "address", listener.Address())
	return listener.Run(ctx, api.NewServer(engine, options.Token), options.Logger)
}

// endWhenIdle ends a background controller that has had no rollout and no caller for a while.
func endWhenIdle(ctx context.Context, options ServeOptions, engine *controller.Controller, server *api.Server, stop func()) {
	idle := options.Idle
	if idle <= 0 {
		idle = 30 * time.Second
	}
	ticker := time.NewTicker(min(idle/4+1, time.Second))
	defer ticker.Stop()
	quiet := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		open, err := engine.Open(ctx)
		calls, last := server.Busy()
		if err != nil || open > 0 || calls > 0 {
			quiet = time.Now()
			continue
		}
		if time.Since(quiet) >= idle && time.Since(last) >= idle {
			options.Logger.InfoContext(ctx, "controller ends: idle")
			stop()
			return
		}
	}
}

// openDrivers links the product's drivers.
func openDrivers(state State, logger *slog.Logger) (*drivers.Set, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return drivers.New(drivers.Options{
		StateDir: string(state), Shim: []string{self, "shim"}, ProxySocket: state.proxySock(),
		StartProxy: func(ctx context.Context) error { return startProxy(ctx, state) }, Logger: logger,
	})
}

// configure turns a service of segue.yaml into what the controller keeps of it.
func configure(project *spec.Project, service spec.Service, release segue.ReleaseName) (controller.Config, error) {
	blocks, err := drivers.BlocksOf(project, service, release)
	if err != nil {
		return controller.Config{}, err
	}
	config := controller.Config{
		Workload: service.WorkloadDriver, WorkloadBlock: blocks.Workload,
		Balancer: service.BalancerDriver, BalancerBlock: blocks.Balancer,
	}
	if config.Databases, err = databasesOf(project, service, release); err != nil {
		return controller.Config{}, err
	}
	if service.Embedded != nil {
		config.Listen, config.SlowStart = service.Embedded.Listen, service.Embedded.SlowStart
	}
	if project.Witness != nil && service.BalancerDriver != "" && firstBalanced(project) == service.Name {
		journey, err := project.Witness.JourneyJSON()
		if err != nil {
			return controller.Config{}, err
		}
		config.Witness = json.RawMessage(journey)
	}
	return config, nil
}

// firstBalanced is the service that the witness works with.
func firstBalanced(project *spec.Project) segue.ServiceName {
	for _, service := range project.Services {
		if service.BalancerDriver != "" {
			return service.Name
		}
	}
	return ""
}
