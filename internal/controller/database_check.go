package controller

import (
	"context"
	"fmt"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
)

// CheckDatabases says what releases would do to their databases, and which statements of which release work with which stage of the schema.
func (c *Controller) CheckDatabases(ctx context.Context, req operator.PrepareRequest) ([]operator.DatabaseCheck, error) {
	c.deploys.Lock()
	defer c.deploys.Unlock()
	wants, err := c.wanted(ctx, operator.DeployRequest{Project: req.Project, Targets: req.Targets})
	if err != nil {
		return nil, err
	}
	checks := []operator.DatabaseCheck{}
	for _, want := range wants {
		if _, err := c.options.Configs.Put(want.config); err != nil {
			return nil, err
		}
		v, err := c.viewOf(ctx, want.settings.Name)
		if err != nil {
			return nil, err
		}
		q := question{service: want.settings.Name, candidate: want.release.Name, stable: v.Stable.Name}
		outlooks, err := c.outlooks(ctx, want.config.Databases, q)
		if err != nil {
			return nil, err
		}
		found, err := c.databaseChecks(ctx, outlooks, q)
		if err != nil {
			return nil, err
		}
		checks = append(checks, found...)
	}
	return checks, nil
}

func (c *Controller) databaseChecks(ctx context.Context, outlooks []outlook, q question) ([]operator.DatabaseCheck, error) {
	checks := make([]operator.DatabaseCheck, 0, len(outlooks))
	for _, o := range outlooks {
		check := operator.DatabaseCheck{
			Database: o.config.Name, Service: q.service, Release: q.candidate, Server: o.plan.Server.Product + " " + o.plan.Server.Version,
			Changes: []operator.Change{}, Took: o.plan.Took, Classified: o.plan.Classified,
		}
		for _, fault := range o.plan.Server.Faults {
			check.Notes = append(check.Notes, withHint(fault))
		}
		check.Notes = append(check.Notes, o.notes...)
		for _, change := range o.plan.Changes {
			check.Changes = append(check.Changes, o.plannedChange(change))
		}
		if o.refused != nil {
			check.Refused, check.Hint = o.refused.Error(), segue.HintOf(o.refused)
		}
		if err := c.fillMatrix(ctx, &check, o, q); err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// plannedChange is a change with what is known of it already.
func (o *outlook) plannedChange(change migration.Change) operator.Change {
	view := plannedView(change)
	if known, ok := o.state.Change(change.ID); ok {
		view = changeView(known)
	}
	if gate, ok := o.gates[change.ID]; ok {
		view.Gate = gateView(gate)
	}
	return view
}

// fillMatrix asks which statements work with which stage.
func (c *Controller) fillMatrix(ctx context.Context, check *operator.DatabaseCheck, o outlook, q question) error {
	if len(o.plan.Changes) == 0 {
		return nil
	}
	fleet, err := c.presences(ctx, o.config.Name)
	if err != nil {
		return err
	}
	queries := slices.Clone(fleet.queries)
	if !slices.ContainsFunc(queries, func(query migration.Query) bool { return query.Release == q.candidate }) {
		for _, query := range o.config.Queries {
			query.Release = q.candidate
			queries = append(queries, query)
		}
	}
	heard, err := o.desk.driver.Statements(ctx, o.plan.Server.StatementsSince)
	if err != nil {
		return fmt.Errorf("read statements of database %s: %w", o.config.Name, err)
	}
	for _, why := range heard.Unheard {
		check.Notes = append(check.Notes, "the matrix may lack statements: "+why)
	}
	queries = append(queries, heard.Queries...)
	if len(queries) == 0 {
		return nil
	}
	request := migration.CheckRequest{Queries: queries}
	for _, change := range o.plan.Changes {
		if change.Phase == migration.PhaseContract {
			request.After = append(request.After, change)
			continue
		}
		request.Before = append(request.Before, change)
	}
	matrix, err := o.desk.driver.Check(ctx, request)
	if err != nil {
		return fmt.Errorf("check statements against database %s: %w", o.config.Name, err)
	}
	for _, cell := range matrix.Cells {
		view := operator.Cell{Release: cell.Release, Stage: string(cell.Stage), Tried: cell.Tried}
		for _, m := range cell.Misfits {
			view.Misfits = append(view.Misfits, operator.Misfit{
				SQL: m.Query.SQL, Message: m.Message, Code: m.Code, Shape: m.Shape, Change: string(m.Change),
			})
		}
		check.Cells = append(check.Cells, view)
	}
	return nil
}
