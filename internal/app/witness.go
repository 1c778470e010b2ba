package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/witness"
)

// crowd is a witness as the controller uses it.
type crowd struct {
	witness *witness.Witness
	journey witness.Journey
}

// newWitness makes the controller's witnesses from stored journeys.
func newWitness(logger *slog.Logger) func(json.RawMessage, func() []segue.ReleaseName) (controller.Witness, error) {
	return func(block json.RawMessage, releases func() []segue.ReleaseName) (controller.Witness, error) {
		var journey witness.Journey
		if err := json.Unmarshal(block, &journey); err != nil {
			return nil, segue.Errorf(segue.KindCorrupt, "read journey of witness: %w", err)
		}
		made, err := witness.New(journey, witness.Options{Known: releases, Logger: logger})
		if err != nil {
			return nil, err
		}
		return &crowd{witness: made, journey: journey}, nil
	}
}

// Run works until ctx is done.
func (c *crowd) Run(ctx context.Context) error { return c.witness.Run(ctx) }

// Around is the time before the first step and after the last.
func (c *crowd) Around() (before, after time.Duration) {
	return c.journey.Before, c.journey.After
}

// Findings are those that say something about the site.
func (c *crowd) Findings(since time.Time) []segue.Finding {
	var findings []segue.Finding
	for _, f := range c.witness.Findings(since) {
		if f.Ruling == segue.RulingFail {
			findings = append(findings, f)
		}
	}
	return findings
}

// Sample turns the report into what a receipt is made from, with the findings since a time.
func (c *crowd) Sample(since time.Time) *receipt.WitnessSample {
	report := c.witness.Snapshot()
	if report.Started.IsZero() {
		return nil
	}
	sample := &receipt.WitnessSample{
		At: report.At, Run: report.Run, Users: report.Users, Requests: report.Requests, Failed: report.Failed,
		Failures: report.Failures, Unproven: report.Unproven, Retries: report.Retries, Logouts: report.Logouts, Moves: report.Moves,
		Latency: report.Latency, Problem: report.Problem, Findings: c.witness.Findings(since),
		WritesMade: report.Writes.Made, WritesVerified: report.Writes.Verified, WritesLost: report.Writes.Lost,
		WritesDoubled: report.Writes.Doubled, WritesUnverified: report.Writes.Unverified,
		SocketsOpened: report.Sockets.Opened, SocketsClosed: report.Sockets.Closed, SocketsCut: report.Sockets.Cut,
	}
	return sample
}
