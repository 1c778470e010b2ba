package controller

import (
	"context"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// repairKey names a server that is being put right outside of any plan.
type repairKey struct {
	service segue.ServiceName
	server  segue.ServerName
}

// claim takes a server for a repair, if it still is as it was seen and no step is at work on it. Until it is released, steps on that server wait:
// a repair that puts a backend back in rotation must not cross a step that takes it out.
func (c *Controller) claim(ctx context.Context, name segue.ServiceName, seen segue.Slot) (release func(), claimed bool) {
	key := repairKey{service: name, server: seen.Server.Name}
	over := make(chan struct{})
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		known, ok := ledger.Services[name]
		if !ok || c.repairs[key] != nil || known.Busy()[key.server] {
			return
		}
		slot, ok := known.Slot(key.server)
		if claimed = ok && slot.Instance.ID == seen.Instance.ID && slot.Rotation == seen.Rotation && slot.Ready == seen.Ready; claimed {
			c.repairs[key] = over
		}
	})
	if err != nil || !claimed {
		return nil, false
	}
	return func() {
		close(over)
		// The loop forgets it; where the loop has ended there is nobody left to wait for it.
		_ = c.look(context.WithoutCancel(ctx), func(*rollout.Ledger, int64) { delete(c.repairs, key) })
	}, true
}
