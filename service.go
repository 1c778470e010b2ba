package segue

import "time"

// Release is one immutable version of a service: an artifact and the configuration it was registered with. The same
// name with another digest is refused.
type Release struct {
	Service ServiceName `json:"service"`
	Name    ReleaseName `json:"name"`
	// Digest is that of the artifact's content. For the process driver: of a file, or of a folder's paths, modes and contents.
	Digest Digest `json:"digest"`
	// Artifact says where the release came from, for people.
	Artifact string `json:"artifact,omitempty"`
	// Config names the stored configuration (a content digest of it) that instances of this release are started with. It
	// does not hold it: configuration has secrets.
	Config Digest `json:"config"`
	// Breaking is true when old and new cannot share their surroundings; only all-at-once may carry it.
	Breaking bool `json:"breaking,omitempty"`
}

// Server is a place that runs one instance of a service.
type Server struct {
	Name      ServerName    `json:"name"`
	Partition PartitionName `json:"partition,omitempty"`
}

// StrategyKind names a strategy; the empty one means rolling.
type StrategyKind string

const (
	// Rolling upgrades servers stage by stage, a few at a time.
	Rolling StrategyKind = "rolling"
	// AllAtOnce stops everything behind a maintenance page, as shortly as possible: for changes that truly break.
	AllAtOnce StrategyKind = "all-at-once"
	// Parallel starts the candidate beside stable on one server, copies traffic to it and compares the answers, and then goes on as Rolling does,
	// with Surge.
	Parallel StrategyKind = "parallel"
)

// Batch is a stage's target: so many servers of a partition, or such a share of them, run the candidate once it is over.
// Exactly one field is set.
type Batch struct {
	Servers int `json:"servers,omitempty"`
	// Percent of the partition's servers, 1 to 100, rounded up.
	Percent int `json:"percent,omitempty"`
}

// Of gives how many of n servers the batch means: at least 1, at most n.
func (b Batch) Of(n int) int {
	want := b.Servers
	if b.Percent > 0 {
		want = (n*b.Percent + 99) / 100
	}
	return max(1, min(want, n))
}

// Strategy says how a service goes from one release to the next.
type Strategy struct {
	Kind StrategyKind `json:"kind"`
	// Batches are cumulative targets per partition; the last one reaches every server whatever it says. Empty: 1, then all.
	Batches []Batch `json:"batches,omitempty"`
	// Bake is how long the fleet is observed after the first batch.
	Bake time.Duration `json:"bake"`
	// BakeEach observes for that long after every batch, not only after the first.
	BakeEach bool `json:"bake_each,omitempty"`
	// Surge starts the new instance beside the old one before that is drained.
	Surge bool `json:"surge,omitempty"`
	// MaxUnavailable bounds the servers out of rotation at one time; at least 1.
	MaxUnavailable int `json:"max_unavailable"`
	// Approve makes a person's yes necessary after the first batch.
	Approve bool `json:"approve,omitempty"`
	// OnFailure says what a failed gate does.
	OnFailure FailurePolicy `json:"on_failure"`
}

// FailurePolicy says what a failed gate does to a rollout.
type FailurePolicy string

const (
	// FailRollback takes the candidate's servers back to stable by itself. The default.
	FailRollback FailurePolicy = "rollback"
	// FailHold stops and waits for a person.
	FailHold FailurePolicy = "hold"
)

// Timing bounds the steps of a service's plans. All are positive.
type Timing struct {
	// Ready bounds the wait for a started instance to be ready.
	Ready time.Duration `json:"ready"`
	// Drain bounds the wait for in-flight work; then long connections are closed one by one and the rest is cut.
	Drain time.Duration `json:"drain"`
	// Grace is the time between TERM and KILL.
	Grace time.Duration `json:"grace"`
}

// Service is a deployed thing as strategies see it. Driver options are not here: plans do not depend on them.
type Service struct {
	Name     ServiceName `json:"name"`
	Servers  []Server    `json:"servers"`
	Strategy Strategy    `json:"strategy"`
	Timing   Timing      `json:"timing"`
	// MinReady is the capacity law's bound: no step takes the ready backends in rotation below it.
	MinReady int `json:"min_ready"`
	// Balanced is false for workers without a balancer: no drain, no admit.
	Balanced bool `json:"balanced"`
	// CanSurge is true when the workload driver can run two instances on one server.
	CanSurge bool `json:"can_surge"`
	// Limits are what the first judge measures against.
	Limits Limits `json:"limits"`
	// Judging is what the judges of evidence go by.
	Judging Judging `json:"judging,omitzero"`
	// RollbackWindow is how long after the end of a rollout the previous release is kept ready to come back.
	RollbackWindow time.Duration `json:"rollback_window"`
}

// Limits are the bounds of a service's first, simple judge. The zero value of a field switches that check off, Crashes and
// Restarts excepted: none are allowed unless they say so.
type Limits struct {
	// Crashes and Restarts of candidate instances that are allowed during one rollout.
	Crashes int `json:"crashes"`
	// ErrorShare bounds the candidate's share of failed answers (5xx and proxy failures), in [0,1], above stable's.
	ErrorShare float64 `json:"error_share"`
	// LatencyRatio bounds the candidate's p99 against stable's ("1.5": half as slow again).
	LatencyRatio float64 `json:"latency_ratio"`
	// LatencyFloor is the p99 below which latency never fails.
	LatencyFloor time.Duration `json:"latency_floor"`
	// MinSamples is the number of requests on each side below which nothing is said.
	MinSamples int `json:"min_samples"`
	// Witness makes findings of synthetic users fail the rollout.
	Witness bool `json:"witness"`
	// Wait bounds how long an observation goes on past its bake time while there is not enough data yet; then it is held
	// for a person. 0 accepts "not enough data yet" at the end of the bake time, and says so.
	Wait time.Duration `json:"wait"`
}
