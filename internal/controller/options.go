// Package controller is the only engine: it decides through the pure packages, writes every event to the journal first, carries commands out
// through drivers, and feeds the outcomes back as events. It may be killed at any moment: the next one replays the journal and goes on.
//
// One goroutine, the loop, owns the ledger (the fold over the journal). Everything else sends it messages: outcomes of steps, orders,
// questions. Steps run in goroutines of their own, and each open rollout has a monitor that measures and judges.
package controller

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/journal"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
)

// Drivers opens drivers by name. The app hands in the product's; the simulation its fakes.
type Drivers interface {
	// Workload opens a driver once; later calls with the same name give the same one.
	Workload(name string) (workload.Driver, error)
	// WorkloadConfig parses a driver's block.
	WorkloadConfig(name string, block json.RawMessage) (workload.Config, error)
	// Balancer opens the balancer of one service.
	Balancer(service segue.ServiceName, name string, block json.RawMessage) (balancer.Driver, error)
	// Database opens a database by its driver's block; later calls with the same block give the same one.
	Database(ctx context.Context, name string, block json.RawMessage) (migration.Driver, error)
}

// Witness is a running crowd of synthetic users.
type Witness interface {
	// Run works until ctx is done, and then lets what is under way end.
	Run(ctx context.Context) error
	// Sample is what was counted so far, with the findings since a time; nil when nothing was.
	Sample(since time.Time) *receipt.WitnessSample
	// Findings are those since a time.
	Findings(since time.Time) []segue.Finding
	// Around is how long it works before the first step and after the last one.
	Around() (before, after time.Duration)
}

// Options make a controller. Journal, Drivers and Configs are needed.
type Options struct {
	Journal journal.Journal
	Drivers Drivers
	Configs ConfigStore
	// Judges makes the judges of one rollout, with empty memories.
	Judges func(settings segue.Service, candidate segue.ReleaseName) []judge.Judge
	// Lookout watches what a service's instances write and say of themselves; nil for nobody. It is stopped with the controller.
	Lookout func(settings segue.Service, driver workload.Driver) *lookout.Lookout
	// Answers compares the answers of a rollout's mirrored requests; nil compares none.
	Answers func(stable, candidate segue.ReleaseName) Answers
	// Command runs the team's own migration runner; nil where there is none.
	Command CommandRunner
	// Evidence keeps the windows that judges were fed, so that a verdict can be replayed; nil keeps none.
	Evidence EvidenceStore
	// Configure gives what is stored of a service, out of the project's file.
	Configure func(project *spec.Project, service spec.Service, release segue.ReleaseName) (Config, error)
	// Caveats reads what a service's team knows of and lives with; nil for none.
	Caveats func(project *spec.Project, service spec.Service) ([]segue.Caveat, error)
	// Checks find faults of a project's file that only drivers and the witness can know.
	Checks []func(*spec.Project) []spec.Complaint
	// Witness makes the witness of one rollout from the stored block; nil when there is none.
	Witness func(block json.RawMessage, releases func() []segue.ReleaseName) (Witness, error)
	Logger  *slog.Logger
	// Look is how often a mixed fleet is looked at. Default 1 s.
	Look time.Duration
	// Idle is how often a fleet that nothing is rolled out on is looked at. Default 10 s.
	Idle time.Duration
	// Reconcile is how often what runs is compared with what should. Default 10 s.
	Reconcile time.Duration
	// Background says, in the status, that the controller ends by itself when idle.
	Background bool
	// Stop is called when a client asks the controller to end.
	Stop func()
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Look <= 0 {
		o.Look = time.Second
	}
	if o.Reconcile <= 0 {
		o.Reconcile = 10 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Second
	}
	if o.Judges == nil {
		o.Judges = func(segue.Service, segue.ReleaseName) []judge.Judge { return nil }
	}
	if o.Stop == nil {
		o.Stop = func() {}
	}
}
