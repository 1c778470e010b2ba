package bench

import (
	"context"
	"fmt"
)

// JudgeCosts measures what judging costs.
func JudgeCosts(ctx context.Context, t *Table) error {
	measureLines(ctx, t)
	measureTemplates(t)
	measureEvidence(ctx, t)
	if err := measureWeigh(ctx, t); err != nil {
		return fmt.Errorf("weigh windows: %w", err)
	}
	return nil
}

// JudgeRates measures how often and how late judges are right.
func JudgeRates(ctx context.Context, t *Table, full bool) error {
	rollouts, seeds := 200, 10
	if full {
		rollouts, seeds = 1000, 30
	}
	equal, err := measureFalseAlarms(ctx, t, rollouts)
	if err != nil {
		return fmt.Errorf("equal releases: %w", err)
	}
	if err := measureDetection(ctx, t, equal, seeds); err != nil {
		return fmt.Errorf("faulty releases: %w", err)
	}
	return nil
}

// Mirror measures what copying requests costs users.
func Mirror(ctx context.Context, t *Table, programs Programs, full bool) error {
	if err := measureMirror(ctx, t, programs, full); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}
