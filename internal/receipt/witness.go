package receipt

import (
	"maps"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// findWitness adds up what the synthetic users noticed. Counters of different runs are summed.
func (b *builder) findWitness() {
	begin, end := bounds(b.samples)
	var w *Witness
	var earlier *WitnessSample
	var logouts, moves []int64
	var sums [3]telemetry.Distribution
	for i, m := range b.samples {
		now := m.Witness
		if now == nil {
			continue
		}
		if w == nil {
			w = &Witness{}
			if i == 0 {
				// It worked before the rollout: what it counted then is not ours, but its latency is "before".
				earlier = now
				if begin.IsZero() {
					sums[before] = now.Latency
				}
			}
		}
		if earlier == nil || earlier.Run != now.Run {
			earlier = &WitnessSample{}
		}
		w.add(now, earlier)
		logouts = addLists(logouts, now.Logouts, earlier.Logouts)
		moves = addLists(moves, now.Moves, earlier.Moves)
		p := periodOf(m.at, begin, end)
		sums[p] = sums[p].Add(now.Latency.Sub(earlier.Latency))
		earlier = now
	}
	if w == nil {
		return
	}
	w.finish(logouts, moves)
	w.Before, w.During, w.After = latencyOf(sums[before]), latencyOf(sums[during]), latencyOf(sums[after])
	b.r.Witness = w
	if w.Problem != "" {
		b.note("the witness itself had trouble: %s", w.Problem)
	}
}

// add counts what came between two samples of one run.
func (w *Witness) add(now, earlier *WitnessSample) {
	since := func(now, earlier int64) int64 { return max(0, now-max(0, earlier)) }
	w.Users = max(w.Users, now.Users, len(now.Logouts))
	w.Requests += since(now.Requests, earlier.Requests)
	w.Failed += since(now.Failed, earlier.Failed)
	w.Failures = addCounts(w.Failures, now.Failures, earlier.Failures)
	w.Unproven += since(now.Unproven, earlier.Unproven)
	w.Retries += since(now.Retries, earlier.Retries)
	w.Writes.Made += since(now.WritesMade, earlier.WritesMade)
	w.Writes.Verified += since(now.WritesVerified, earlier.WritesVerified)
	w.Writes.Lost += since(now.WritesLost, earlier.WritesLost)
	w.Writes.Doubled += since(now.WritesDoubled, earlier.WritesDoubled)
	w.Writes.Unverified += since(now.WritesUnverified, earlier.WritesUnverified)
	w.Sockets.Opened += since(now.SocketsOpened, earlier.SocketsOpened)
	w.Sockets.Closed = addCounts(w.Sockets.Closed, now.SocketsClosed, earlier.SocketsClosed)
	w.Sockets.Cut += since(now.SocketsCut, earlier.SocketsCut)
	w.Problem = now.Problem
	for _, f := range now.Findings {
		// Whoever asks for findings "since" gets those of that very moment twice.
		known := func(had segue.Finding) bool { return had.At.Equal(f.At) && had.Text == f.Text }
		switch {
		case slices.ContainsFunc(w.Findings, known):
		case len(w.Findings) < findingLimit:
			w.Findings = append(w.Findings, f)
		default:
			w.FindingsMore++
		}
	}
}

func (w *Witness) finish(logouts, moves []int64) {
	w.Users = max(w.Users, len(logouts))
	for _, n := range logouts {
		if n > 0 {
			w.SessionsLost++
		}
	}
	w.SessionsKept = w.Users - w.SessionsLost
	var sum int64
	for _, n := range moves {
		sum += n
		w.MovesMax = max(w.MovesMax, n)
	}
	if len(moves) > 0 {
		w.MovesMean = float64(sum) / float64(len(moves))
	}
}

func addCounts(sum, now, earlier map[string]int64) map[string]int64 {
	sum = maps.Clone(sum)
	for key, n := range now {
		if n -= max(0, earlier[key]); n > 0 {
			if sum == nil {
				sum = map[string]int64{}
			}
			sum[key] += n
		}
	}
	return sum
}

func addLists(sum, now, earlier []int64) []int64 {
	for len(sum) < len(now) {
		sum = append(sum, 0)
	}
	for i, n := range now {
		if i < len(earlier) {
			n -= max(0, earlier[i])
		}
		sum[i] += max(0, n)
	}
	return sum
}
