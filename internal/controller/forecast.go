package controller

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
)

// forecast says what a plan will take: at least its bakes, at most its deadlines, and how much more the others carry while servers are out.
func (c *Controller) forecast(ctx context.Context, in intent) operator.Forecast {
	forecast := operator.Forecast{PeakLoad: peakLoad(in.plan, in.fleet), Finds: c.prospects(ctx, in), Past: c.past(ctx, in)}
	ends := make([]time.Duration, len(in.plan.Steps)+1)
	for _, step := range in.plan.Steps {
		forecast.AtLeast += step.For
		var begin time.Duration
		for _, before := range step.After {
			begin = max(begin, ends[before])
		}
		ends[step.ID] = begin + step.For + step.Within
		forecast.AtMost = max(forecast.AtMost, ends[step.ID])
	}
	return forecast
}

// peakLoad is the load of the busiest server against its load with all in rotation, when displaced users are placed by load: n servers with k out carry
// n/(n-k) each.
func peakLoad(plan segue.Plan, fleet segue.Fleet) float64 {
	in := 0
	for _, slot := range fleet.Slots {
		if slot.Rotation == segue.RotationIn {
			in++
		}
	}
	if in == 0 || plan.Empty() {
		return 1
	}
	left := max(plan.MinReady, 1)
	return float64(in) / float64(min(in, left))
}
