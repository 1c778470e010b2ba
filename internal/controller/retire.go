package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// retire removes the staged files of releases that nobody can go back to any more: neither stable, nor previous within the rollback window, nor running,
// nor in a rollout. It is written down first: from then on the release is not offered, whatever becomes of the files.
func (c *Controller) retire(ctx context.Context, s *service) error {
	var retired []segue.Release
	err := c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		known, ok := ledger.Services[s.name]
		if !ok || known.Open != nil || len(known.Queue) > 0 {
			return nil, nil
		}
		var events []segue.Event
		for _, release := range retirable(known, time.Now()) {
			retired = append(retired, release)
			events = append(events, segue.Event{Kind: segue.EventReleaseRetired, Service: s.name, Release: &release})
		}
		return events, nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, release := range retired {
		if err := s.workload.Retire(ctx, release); err != nil {
			errs = append(errs, fmt.Errorf("retire %s: %w", release.Name, err))
		}
		for _, config := range s.databases {
			errs = append(errs, c.retireLogin(ctx, config, release.Name))
		}
	}
	return errors.Join(errs...)
}

func retirable(known *rollout.ServiceLedger, now time.Time) []segue.Release {
	needed := map[segue.ReleaseName]bool{known.Stable.Name: true}
	if now.Before(known.PreviousUntil) {
		needed[known.Previous.Name] = true
	}
	for _, slot := range known.Fleet.Slots {
		needed[slot.Instance.Release] = true
		if slot.Beside != nil {
			needed[slot.Beside.Instance.Release] = true
		}
	}
	var releases []segue.Release
	for name, release := range known.Releases {
		if !needed[name] {
			releases = append(releases, release)
		}
	}
	return releases
}

// retireLogin removes a release's login from a database that has one per release.
func (c *Controller) retireLogin(ctx context.Context, config Database, release segue.ReleaseName) error {
	if config.Variable == "" {
		return nil
	}
	d, err := c.desk(ctx, config)
	if err != nil {
		return err
	}
	if err := d.driver.Retire(ctx, release); err != nil {
		return fmt.Errorf("retire login of %s from database %s: %w", release, config.Name, err)
	}
	return nil
}
