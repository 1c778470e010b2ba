package controller

import (
	"context"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/judge/prospect"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// prospects say what the judges of a rollout would find at the traffic that there is, and in what time.
func (c *Controller) prospects(ctx context.Context, in intent) []operator.Prospect {
	if in.plan.Empty() || in.view.Stable.Name == "" {
		return nil
	}
	found := prospect.Of(c.traffic(ctx, in), in.settings.Judging, len(in.settings.Servers))
	all := make([]operator.Prospect, 0, len(found))
	for _, p := range found {
		all = append(all, operator.Prospect{What: p.What, Within: p.Within})
	}
	return all
}

// past says how much the judges of a rollout would have to compare servers with; nil where they do not look back.
func (c *Controller) past(ctx context.Context, in intent) *operator.Past {
	w, judging := c.lookouts.get(in.settings.Name), in.settings.Judging
	if w == nil || in.plan.Empty() || in.view.Stable.Name == "" || judging.Budget <= 0 {
		return nil
	}
	waiting, enough := context.WithTimeout(ctx, awaitOutputs)
	defer enough()
	w.lookout.Await(waiting)
	known := w.lookout.Known(time.Now())
	past := &operator.Past{Answers: known.Answers.Round(time.Second), Logs: known.Logs.Round(time.Second)}
	if judging.Metrics && in.service.balancer != nil {
		past.Enough = metrics.EnoughPast
	}
	return past
}

// traffic is what the service's servers did of late: minute by minute, where a lookout remembers that, else on average since each was started.
func (c *Controller) traffic(ctx context.Context, in intent) []judge.Evidence {
	const enough = 5
	if w := c.lookouts.get(in.settings.Name); w != nil {
		if minutes := w.lookout.Counted(); len(minutes) >= enough {
			return minutes
		}
	}
	if in.service.balancer == nil {
		return nil
	}
	snapshot, err := in.service.balancer.Snapshot(ctx)
	if err != nil {
		return nil // a plan is worth showing without
	}
	counted := differences(telemetry.Snapshot{Epoch: snapshot.Epoch}, snapshot)
	var past []judge.Evidence
	for _, slot := range in.fleet.Slots {
		counters, ok := counted[slot.Instance.ID]
		if began := slot.Instance.StartedAt; ok && !began.IsZero() && time.Since(began) >= time.Minute {
			past = append(past, judge.Evidence{Since: began, Until: time.Now(), Servers: []judge.ServerEvidence{{
				Server: slot.Server.Name, Requests: counters.Requests, Errors: counters.Errors(), Latency: counters.Latency,
			}}})
		}
	}
	return past
}
