package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// delays is a fault whose finding is timed, in fleets of 2, 4 and 10 servers.
type delays struct {
	name   string
	change rehearsal.Change
	// designed is what the simulation that the judges were designed by gave for each fleet: median and nine in ten, in minutes; "" where there was none.
	designed [3]string
}

func timedFleets() [3]int { return [3]int{2, 4, 10} }

func timedFaults() []delays {
	return []delays{
		{"line", rehearsal.Change{Kind: rehearsal.NewLine, Size: 1, Severity: "error"}, [3]string{"12 / 17", "5 / 9", "3 / 5"}},
		{"trace", rehearsal.Change{Kind: rehearsal.StackTrace, Size: 1}, [3]string{}},
		{"heartbeat", rehearsal.Change{Kind: rehearsal.NoHeartbeat, Size: 1}, [3]string{}},
		{"errors", rehearsal.Change{Kind: rehearsal.MoreErrors, Size: 3}, [3]string{"6 / 10", "4 / 7", "3 / 6"}},
		{"route", rehearsal.Change{Kind: rehearsal.RouteErrors, Size: 0.5, Severity: "rare"}, [3]string{}},
		{"latency", rehearsal.Change{Kind: rehearsal.Slow, Size: 2}, [3]string{"", "1 / –", ""}},
		{"latency30", rehearsal.Change{Kind: rehearsal.Slow, Size: 1.3}, [3]string{}},
	}
}

// measureDetection tells how late faults are found in fleets of 2, 4 and 10 servers, by those that can. Who fails equal releases too finds everything.
func measureDetection(ctx context.Context, t *Table, equal alarms, seeds int) error {
	styles, fleets := rehearsal.Styles(), timedFleets()
	for _, fault := range timedFaults() {
		worlds := make([]rehearsal.World, 0, len(fleets)*seeds)
		for i := range len(fleets) * seeds {
			worlds = append(worlds, rehearsal.World{
				Seed: unseen + uint64(i), Servers: fleets[i/seeds], Style: styles[i%len(styles)].Name, Changes: []rehearsal.Change{fault.change},
			})
		}
		results, err := sitAll(ctx, worlds, true)
		if err != nil {
			return err
		}
		for f, servers := range fleets {
			fault.tell(t, f, servers, results[f*seeds:(f+1)*seeds], equal)
		}
	}
	return nil
}

// tell puts the delays in one fleet in: the product's, and those of the other who could find it.
func (d delays) tell(t *Table, fleet, servers int, results []sentence, equal alarms) {
	label, note := fmt.Sprintf("judges.found.%s.%d.", d.name, servers), fmt.Sprintf("%s, %d servers", d.change, servers)
	if designed := d.designed[fleet]; designed != "" {
		note += "; designed for " + designed + " min"
	}
	delay(t, label+"segue", results, note, func(r sentence) time.Duration { return r.panel })
	switch d.change.Kind {
	case rehearsal.NewLine, rehearsal.StackTrace:
		delay(t, label+"naive", results, fmt.Sprintf("fails %d of %d equal ones", equal.naive, equal.rollouts), func(r sentence) time.Duration { return r.naive })
	case rehearsal.MoreErrors, rehearsal.RouteErrors, rehearsal.Slow:
		delay(t, label+"kayenta", results, fmt.Sprintf("fails %d of %d equal ones", equal.kayenta, equal.rollouts), func(r sentence) time.Duration { return r.kayenta })
	default:
	}
}

// delay puts the median time to a fail in, where what was never failed is late for ever: then the figure is 0.
func delay(t *Table, name string, results []sentence, note string, of func(sentence) time.Duration) {
	var found []time.Duration
	for _, r := range results {
		if d := of(r); d > 0 {
			found = append(found, d)
		}
	}
	within := func(q float64) time.Duration {
		if part := q * float64(len(results)) / float64(max(1, len(found))); part <= 1 {
			return rehearsal.Quantile(found, part)
		}
		return 0
	}
	most := "never"
	if d := within(0.9); d > 0 {
		most = d.String()
	}
	t.Add(name, within(0.5).Seconds(), "s", fmt.Sprintf("median; nine in ten: %s; found %d of %d; %s", most, len(found), len(results), note))
}
