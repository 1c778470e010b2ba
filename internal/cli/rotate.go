package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// newRotate makes a command that takes a server out of rotation or puts it back.
func newRotate(s *session, c *cobra.Command, in bool) *cobra.Command {
	var service, by, why string
	c.Use += " SERVER"
	c.Args = needs(1, 1, "one server")
	c.ValidArgsFunction = s.completeServers
	c.Flags().StringVar(&service, "service", "", "the `service`, where two have a server of that name")
	_ = c.RegisterFlagCompletionFunc("service", s.completeServices) // the flag is there
	addBy(s, c, &by, &why)
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.rotate(c.Context(), api.RotationRequest{
			Service: segue.ServiceName(service), Server: segue.ServerName(args[0]), In: in, By: by, Why: why,
		})
	}
	return c
}

func (s *session) rotate(ctx context.Context, req api.RotationRequest) error {
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := controller.Rotate(ctx, req); err != nil {
		return err
	}
	if s.json {
		status, err := controller.Status(ctx)
		if err != nil {
			return err
		}
		return s.writeJSON(slotOf(status, req))
	}
	if req.In {
		s.print("%s is in rotation.", req.Server)
		return nil
	}
	s.print("%s is out of rotation and goes on running; %s puts it back.", req.Server, s.command("admit", string(req.Server)))
	return nil
}

func slotOf(status api.Status, req api.RotationRequest) segue.Slot {
	for _, service := range status.Services {
		if slot, ok := service.Fleet.Slot(req.Server); ok && (req.Service == "" || req.Service == service.Name) {
			return slot
		}
	}
	return segue.Slot{Server: segue.Server{Name: req.Server}}
}
