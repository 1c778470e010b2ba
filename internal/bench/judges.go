package bench

import (
	"context"
	"fmt"
)

// Judges measures what judging costs, and how often and how late it is right.
func Judges(ctx context.Context, t *Table, programs Programs, full bool) error {
	measureLines(ctx, t)
	measureTemplates(t)
	measureEvidence(ctx, t)
	if err := measureWeigh(ctx, t); err != nil {
		return fmt.Errorf("weigh windows: %w", err)
	}
	rollouts := 200
	if full {
		rollouts = 1000
	}
	equal, err := measureFalseAlarms(ctx, t, rollouts)
	if err != nil {
		return fmt.Errorf("equal releases: %w", err)
	}
	if err := measureDetection(ctx, t, equal, full); err != nil {
		return fmt.Errorf("faulty releases: %w", err)
	}
	if err := measureMirror(ctx, t, programs, full); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}
