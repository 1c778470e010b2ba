// Package drivers is the one list of drivers, by hand. It opens them by name, and turns the blocks of segue.yaml into theirs.
package drivers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/process"
)

// Names of the drivers, as in segue.yaml.
const (
	Process  = "process"
	Embedded = "embedded"
)

// Options are what drivers need of the product.
type Options struct {
	// StateDir is where the process driver keeps releases, instances and logs.
	StateDir string
	// Shim is the program that holds an instance, with its leading arguments.
	Shim []string
	// ProxySocket is where the embedded balancer's proxy answers; StartProxy starts it when it does not.
	ProxySocket string
	StartProxy  func(ctx context.Context) error
	Logger      *slog.Logger
}

// Set holds the drivers that are open.
type Set struct {
	options Options
	mu      sync.Mutex
	process *process.Driver
	opened  []balancer.Driver
	// databases are open by driver and block.
	databases map[string]migration.Driver
}

// New makes a set with nothing open.
func New(options Options) (*Set, error) {
	if options.StateDir == "" {
		return nil, segue.Errorf(segue.KindInvalid, "drivers need a state directory")
	}
	return &Set{options: options, databases: map[string]migration.Driver{}}, nil
}

// Workload opens a workload driver once.
func (s *Set) Workload(name string) (workload.Driver, error) {
	if name != Process {
		return nil, unknown("workload", name, Process)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		driver, err := process.New(process.Options{StateDir: s.options.StateDir, Self: s.options.Shim, Logger: s.options.Logger})
		if err != nil {
			return nil, fmt.Errorf("open process driver: %w", err)
		}
		s.process = driver
	}
	return s.process, nil
}

// WorkloadConfig parses a workload driver's block.
func (s *Set) WorkloadConfig(name string, block json.RawMessage) (workload.Config, error) {
	if name != Process {
		return nil, unknown("workload", name, Process)
	}
	var config process.Config
	if err := json.Unmarshal(block, &config); err != nil {
		return nil, segue.Errorf(segue.KindCorrupt, "read configuration of process driver: %w", err)
	}
	return config, nil
}

// Balancer opens a service's balancer.
func (s *Set) Balancer(service segue.ServiceName, name string, block json.RawMessage) (balancer.Driver, error) {
	if name != Embedded {
		return nil, unknown("balancer", name, Embedded)
	}
	options, err := embedded.Decode(block)
	if err != nil {
		return nil, err
	}
	driver, err := embedded.New(embedded.Config{
		Service: service, Options: options, Socket: s.options.ProxySocket, Start: s.options.StartProxy, Logger: s.options.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open embedded balancer of %s: %w", service, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, driver)
	return driver, nil
}

// Close lets go of all drivers; what they drive goes on.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, driver := range s.opened {
		errs = append(errs, driver.Close())
	}
	if s.process != nil {
		errs = append(errs, s.process.Close())
	}
	for _, driver := range s.databases {
		errs = append(errs, driver.Close())
	}
	return errors.Join(errs...)
}

func unknown(family, name string, known ...string) error {
	return segue.Errorf(segue.KindUnsupported, "no %s driver %q in this version", family, name).WithHint("known: %v", known)
}

// Blocks are a service's driver blocks as the drivers read them.
type Blocks struct {
	Workload, Balancer json.RawMessage
}

// BlocksOf turns a service of segue.yaml into its drivers' blocks, for one release.
func BlocksOf(project *spec.Project, service spec.Service, release segue.ReleaseName) (Blocks, error) {
	var blocks Blocks
	var err error
	if service.Process == nil {
		return blocks, unknown("workload", service.WorkloadDriver, Process)
	}
	if blocks.Workload, err = json.Marshal(processConfig(project, service, release)); err != nil {
		return blocks, fmt.Errorf("encode configuration of %s: %w", service.Name, err)
	}
	if service.Embedded == nil {
		return blocks, nil
	}
	if blocks.Balancer, err = json.Marshal(embeddedOptions(service)); err != nil {
		return blocks, fmt.Errorf("encode balancer of %s: %w", service.Name, err)
	}
	return blocks, nil
}

func processConfig(project *spec.Project, service spec.Service, release segue.ReleaseName) process.Config {
	block := service.Process
	config := process.Config{
		Command: block.Command, Artifact: block.Artifact, Dir: project.Dir, Env: block.Env, Worker: block.Worker,
		Ready: process.Ready{HTTP: block.Ready.HTTP, TCP: block.Ready.TCP, Command: block.Ready.Command, Within: block.Ready.Within},
		Stop: process.Stop{
			Quiet: string(block.Stop.Quiet), QuietWait: block.Stop.QuietWait, Signal: string(block.Stop.Signal), Grace: block.Stop.Grace,
		},
		Restart: process.Restart{Min: block.Restart.Min, Max: block.Restart.Max, Limit: block.Restart.Limit},
		Log:     process.Log{MaxBytes: int64(block.Logs.MaxSize), Files: block.Logs.Files},
	}
	if own := service.Releases[release].Artifact; own != "" {
		config.Artifact = own
	}
	return config
}

func embeddedOptions(service spec.Service) embedded.Options {
	block := service.Embedded
	options := embedded.Options{
		Listen: block.Listen, H2C: block.H2C, Sticky: embedded.Sticky{On: block.Sticky}, TrustedProxies: block.TrustedProxies,
		ProxyProtocol: block.ProxyProtocol, SlowStart: embedded.Duration(block.SlowStart),
		Hold: embedded.Hold{Off: block.Hold.Off, MaxWait: embedded.Duration(block.Hold.Within), Queue: block.Hold.Queue},
		Health: embedded.Health{
			Path: block.Health.HTTP, Interval: embedded.Duration(block.Health.Every), Timeout: embedded.Duration(block.Health.Timeout),
			Fall: block.Health.Fall, Rise: block.Health.Rise, Failures: block.Health.Failures,
		},
		Drain:   embedded.Drain{Within: embedded.Duration(block.Drain.Within), Spread: embedded.Duration(block.Drain.Spread)},
		Backend: embedded.Backend{H2C: block.BackendH2C, HeaderTimeout: embedded.Duration(block.Limits.HeaderTimeout)},
		Limits: embedded.Limits{
			Connections: block.Limits.Connections, ConnectionsPerIP: block.Limits.ConnectionsPerIP,
			Stall: embedded.Duration(block.Limits.Stall), BufferBody: int(block.Limits.BufferBody),
			LongAfter: embedded.Duration(block.Limits.LongAfter),
		},
	}
	if block.TLS != nil {
		options.TLS = &embedded.TLS{Certificate: block.TLS.Cert, Key: block.TLS.Key}
	}
	return options
}

// Check finds the faults of a project's driver blocks, by their place in the file.
func Check(project *spec.Project) []spec.Complaint {
	var complaints []spec.Complaint
	for _, service := range project.Services {
		if service.Process == nil {
			continue
		}
		for _, fault := range processConfig(project, service, "").Faults() {
			complaints = append(complaints, spec.Complaint{
				Path: fmt.Sprintf("services.%s.workload%s", service.Name, dotted(fault.Path)), Message: fault.Message, Hint: fault.Hint,
			})
		}
	}
	return complaints
}

// dotted writes a path as complaints have it: ".ready.command[1]".
func dotted(path []string) string {
	var text strings.Builder
	for _, part := range path {
		if _, err := strconv.Atoi(part); err == nil {
			fmt.Fprintf(&text, "[%s]", part)
			continue
		}
		text.WriteString("." + part)
	}
	return text.String()
}
