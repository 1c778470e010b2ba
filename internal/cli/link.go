package cli

import (
	"context"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// link is a connection to the controller of the moment: controllers come and go while a rollout is followed.
type link struct {
	*session
	controller api.Controller
	// own are the connections that were made here, to be closed.
	own []func()
}

func newLink(s *session, controller api.Controller) *link {
	return &link{session: s, controller: controller}
}

// renew finds a controller again, or starts one.
func (l *link) renew(ctx context.Context) error {
	controller, done, err := l.connect(ctx)
	if err != nil {
		return err
	}
	l.controller, l.own = controller, append(l.own, done)
	return nil
}

// close closes what was connected here.
func (l *link) close() {
	for _, done := range l.own {
		done()
	}
}

// status asks for everything; of a controller that is gone, its successor.
func (l *link) status(ctx context.Context) (api.Status, error) {
	status, err := l.controller.Status(ctx)
	if err == nil || segue.KindOf(err) != segue.KindUnavailable || ctx.Err() != nil {
		return status, err
	}
	if err := l.renew(ctx); err != nil {
		return status, err
	}
	return l.controller.Status(ctx)
}
