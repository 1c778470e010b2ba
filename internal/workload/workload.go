// Package workload is the contract of whatever runs instances: local processes, containers, units on a remote host.
//
// A driver is a folder below this one and imports only this package and the nouns. Every driver passes the conformance
// suite in workloadtest, which also has the fake and the fault injector that the simulation uses.
package workload

import (
	"context"
	"io"
	"time"

	"github.com/segue-deploy/segue"
)

// Launch is all that is needed to start an instance. It holds secrets: it is never logged or journaled.
type Launch struct {
	ID      segue.InstanceID
	Service segue.ServiceName
	Server  segue.ServerName
	Release segue.Release
	// Config is the driver's own block of the service's configuration, resolved, as the driver's Parse returned it.
	Config Config
	// Env is set on top of the configured environment: what only the engine knows, such as a login of the release's own. Values are secrets.
	Env map[string]string
	// Grace is the time between TERM and KILL whenever the driver has to end it.
	Grace time.Duration
}

// Config is a driver's parsed block of a service's configuration.
type Config interface {
	// Digest identifies the configuration without revealing secrets in it.
	Digest() segue.Digest
}

// Driver starts, stops and watches the instances of services. Every method may be called at the same time and again after a
// crash of the caller: doing a thing twice is doing it once. Errors carry a segue.Kind.
type Driver interface {
	// Capabilities says what the driver can do.
	Capabilities() Capabilities

	// Digest reads a release's artifact and gives its content digest. Errors: KindNotFound when there is no such artifact,
	// KindInvalid when it cannot be one.
	Digest(ctx context.Context, config Config, release segue.ReleaseName) (digest segue.Digest, artifact string, err error)

	// Stage brings a release's artifact to where it will be started from and keeps it there until Retire, whatever happens to the
	// original. It verifies the digest. Doing it again is cheap. Errors: KindConflict when the content has another digest.
	Stage(ctx context.Context, config Config, release segue.Release) error

	// Retire removes the staged files of a release. Removing what is not there is no error. KindConflict while an instance runs it.
	Retire(ctx context.Context, release segue.Release) error

	// Start starts an instance, or finds it running already (same ID), and returns once it exists, ready or not. After a
	// crash of the instance its keeper starts it again with back-off, on the same release and address. Errors: KindNotFound for a
	// release that is not staged; KindInvalid for a command that cannot be run; KindConflict when the ID is known to have been stopped.
	Start(ctx context.Context, launch Launch) (segue.Instance, error)

	// AwaitReady waits until the instance is ready by its own check, or fails: KindTimeout when ctx's deadline passes,
	// KindUnhealthy as soon as it is sure not to get ready (it exited and restarts beyond the limit), KindNotFound for a stranger.
	AwaitReady(ctx context.Context, id segue.InstanceID) error

	// Probe does one readiness check now: nil, KindUnhealthy or KindNotFound.
	Probe(ctx context.Context, id segue.InstanceID) error

	// Stop ends an instance for good: the quiet signal for workers, TERM, then KILL after the grace period, and returns when no process
	// of it is left. Stopping what has ended or never was is no error. It never ends by ctx alone: when ctx is done early the stop goes on.
	Stop(ctx context.Context, id segue.InstanceID) error

	// List reports every instance that really is there, those of nobody's journal too, without the ones that were stopped.
	List(ctx context.Context) ([]segue.Instance, error)

	// Logs streams an instance's output, oldest first, from at most the last `tail` lines on; with follow it goes on until ctx is done.
	Logs(ctx context.Context, id segue.InstanceID, tail int, follow bool) (io.ReadCloser, error)

	// Watch sends the state of an instance whenever it changes (crash, restart, end), until ctx is done; then it closes the channel. It
	// may leave out states in between, never the last one.
	Watch(ctx context.Context) (<-chan segue.Instance, error)

	// Close lets go of what the driver holds in this process; instances go on.
	Close() error
}

// Checker is a driver that can tell, before anything is touched, that a staged release cannot be started: KindNotFound and KindInvalid as from Start.
type Checker interface {
	Check(ctx context.Context, config Config, release segue.Release) error
}

// Capabilities are what a driver can do beyond the least.
type Capabilities struct {
	// Surge: two instances can run on one server at the same time.
	Surge bool
	// Metrics: instances' own metrics can be read.
	Metrics bool
}
