package api

import (
	"context"
	"encoding/json"
	"io"
	"iter"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
)

// Controller is what the server needs of the engine. Errors carry a segue.Kind, which becomes the HTTP status.
type Controller interface {
	// Plan says what Deploy would do, and changes nothing.
	Plan(ctx context.Context, req DeployRequest) (PlanReply, error)
	// Deploy opens rollouts and returns at once; they go on without the caller.
	Deploy(ctx context.Context, req DeployRequest) (DeployReply, error)
	// Order gives an operator's order to a rollout, and returns it as it then is. A rollback without an open rollout opens one to the previous
	// release.
	Order(ctx context.Context, req OrderRequest) (Rollout, error)
	// Rotate drains or admits a server by hand.
	Rotate(ctx context.Context, req RotationRequest) error
	// Databases says how every database stands: what was done, what is under way, what is owed.
	Databases(ctx context.Context) (operator.DatabasesReply, error)
	// CheckDatabases says what releases would do to their databases, and which statements work with which stage of the schema. It changes nothing.
	CheckDatabases(ctx context.Context, req operator.PrepareRequest) ([]operator.DatabaseCheck, error)
	// Prepare begins the long work that a release will need, ahead of its deploy, and returns at once.
	Prepare(ctx context.Context, req operator.PrepareRequest) (operator.DatabasesReply, error)
	// OrderDatabase gives an operator's order to the work on a database.
	OrderDatabase(ctx context.Context, order operator.DatabaseOrder) (operator.DatabasesReply, error)
	// Status reports everything; Rollout one rollout, 0 the latest one.
	Status(ctx context.Context) (Status, error)
	Rollout(ctx context.Context, id segue.RolloutID) (Rollout, error)
	// History lists the latest rollouts, newest first.
	History(ctx context.Context, limit int) ([]HistoryEntry, error)
	// Receipt gives a rollout's stored receipt, or a partial one of a rollout that is open; 0 means the latest.
	Receipt(ctx context.Context, id segue.RolloutID) (json.RawMessage, error)
	// Compare says what the judges of every service say by now.
	Compare(ctx context.Context) ([]operator.Comparison, error)
	// Replay judges a rollout again from what was stored of it; LogDiff says what its releases logged. 0 means the latest.
	Replay(ctx context.Context, id segue.RolloutID) (operator.Replay, error)
	LogDiff(ctx context.Context, id segue.RolloutID) ([]operator.LogDifference, error)
	// Logs streams the output of the instance on a server.
	Logs(ctx context.Context, server segue.ServerName, tail int, follow bool) (io.ReadCloser, error)
	// Watch gives the journal's entries from an index on, live, until ctx is done.
	Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error]
	// Shutdown asks the controller to end. Instances, proxy and rollouts stay as they are; open rollouts go on when it is back. Errors: KindConflict
	// while a rollout is open, unless forced.
	Shutdown(ctx context.Context, force bool) error
}
