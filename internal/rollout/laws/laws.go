package laws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// Check runs every law over the trace of one service.
func Check(balanced bool, trace []Fact) []Violation {
	return slices.Concat(
		Capacity(balanced, trace), AcknowledgedDrain(balanced, trace), TwoAtMost(balanced, trace), ContractLast(balanced, trace),
		WayBack(balanced, trace), NothingHidden(balanced, trace), MirrorEnds(balanced, trace), NoDataLost(balanced, trace),
	)
}

// Capacity holds when nothing that Segue decides takes the ready backends in rotation below the minimum. Instances that die by themselves may, and
// one that dies after the decision is bad luck. What is done without a decision counts as decided when it is done.
func Capacity(balanced bool, trace []Fact) []Violation {
	return walk("capacity", balanced, trace, func(w *world, fact Fact) string {
		if fact.Kind != Leaving && fact.Kind != Drained && fact.Kind != Stopping {
			return ""
		}
		instance := w.running[fact.Instance]
		if instance == nil || !instance.serves(balanced) || instance.leaving {
			return ""
		}
		if left := w.carrying() - 1; left < w.bound {
			return fmt.Sprintf("%s of %s leaves %d ready in rotation, %d is the minimum", fact.Kind, fact.Instance, left, w.bound)
		}
		return ""
	})
}

// AcknowledgedDrain holds when no instance is told to end before the balancer has confirmed that it sends it nothing new, and what it had in flight
// is over or out of time.
func AcknowledgedDrain(balanced bool, trace []Fact) []Violation {
	if !balanced {
		return nil
	}
	return walk("acknowledged drain", balanced, trace, func(w *world, fact Fact) string {
		instance := w.running[fact.Instance]
		switch {
		case fact.Kind != Stopping || instance == nil:
			return ""
		case !instance.drained:
			return fmt.Sprintf("%s is stopped before its drain was confirmed", fact.Instance)
		case !instance.quiet:
			return fmt.Sprintf("%s is stopped with requests in flight and time left", fact.Instance)
		}
		return ""
	})
}

// TwoAtMost holds when a partition never runs more than two releases. Strays are nobody's doing and are left out.
func TwoAtMost(balanced bool, trace []Fact) []Violation {
	return walk("two at most", balanced, trace, func(w *world, fact Fact) string {
		if fact.Kind != Started || fact.Stray {
			return ""
		}
		releases := map[segue.ReleaseName]bool{fact.Release: true}
		for _, instance := range w.running {
			if instance.Partition == fact.Partition && !instance.Stray {
				releases[instance.Release] = true
			}
		}
		if len(releases) > 2 {
			return fmt.Sprintf("partition %q runs %v", fact.Partition, slices.Sorted(maps.Keys(releases)))
		}
		return ""
	})
}

// ContractLast holds when nothing that a release needs is removed while an instance of it runs, or while one may still go back to it.
func ContractLast(balanced bool, trace []Fact) []Violation {
	return walk("contract last", balanced, trace, func(w *world, fact Fact) string {
		if fact.Kind != Removed {
			return ""
		}
		for _, instance := range w.running {
			if instance.Release == fact.Release {
				return fmt.Sprintf("what %s needs is removed while %s runs", fact.Release, instance.Instance)
			}
		}
		if w.open[fact.Release] {
			return fmt.Sprintf("what %s needs is removed while one may go back to it", fact.Release)
		}
		return ""
	})
}

// WayBack holds when a rollout that was given up ends with stable on every server, ready and in rotation, except where a fault is beyond mending,
// where stable itself is not ready, or where, because of either, no server more could be spared.
func WayBack(balanced bool, trace []Fact) []Violation {
	return walk("way back", balanced, trace, func(w *world, fact Fact) string {
		if fact.Kind != Ended || fact.End.Goal != segue.GoalBack {
			return ""
		}
		if len(w.beyond) > 0 && w.carryingWithin() <= w.bound {
			return ""
		}
		for _, server := range fact.End.Servers {
			if what := w.wrong(server, fact.End.Stable, balanced); what != "" && !w.beyond[server] && !w.unwell(server, fact.End.Stable) {
				return fmt.Sprintf("the way back to %q ended with %s: %s", fact.End.Stable, server, what)
			}
		}
		return ""
	})
}

// nameable is the size of a fleet up to which an end sentence names each server; larger ones are summed up.
const nameable = 8

// NothingHidden holds when an end that says "done" or "rolled back" has every server on that release, ready and in rotation, and nothing else running; any
// other end names each server that is not where it should be, and the exit code shows it.
func NothingHidden(balanced bool, trace []Fact) []Violation {
	return walk("nothing hidden", balanced, trace, func(w *world, fact Fact) string {
		if fact.Kind != Ended {
			return ""
		}
		end := *fact.End
		if end.ExitCode != end.Phase.ExitCode() || (end.ExitCode == 0) != (end.Phase == segue.PhaseSucceeded) {
			return fmt.Sprintf("exit code %d for an end that is %s", end.ExitCode, end.Phase)
		}
		want := end.Candidate
		if end.Phase == segue.PhaseRolledBack || end.Phase == segue.PhaseMixed && end.Goal == segue.GoalBack {
			want = end.Stable
		}
		return w.hidden(end, want)
	})
}

func (w *world) hidden(end End, want segue.ReleaseName) string {
	for _, server := range end.Servers {
		what := w.wrong(server, want, w.balanced)
		switch {
		case what == "":
		case end.Phase != segue.PhaseMixed:
			return fmt.Sprintf("%s is said to be %s, and %s: %s", end.Candidate, end.Phase, server, what)
		case len(end.Servers) <= nameable && !strings.Contains(end.Sentence, string(server)) && !strings.Contains(end.Sentence, "nothing runs"):
			return fmt.Sprintf("the end sentence %q does not tell that %s: %s", end.Sentence, server, what)
		}
	}
	for _, instance := range w.running {
		if !instance.Stray && !slices.Contains(end.Servers, instance.Server) && !strings.Contains(end.Sentence, string(instance.Server)) {
			return fmt.Sprintf("%s runs on %s, which left the service, and the end does not tell", instance.Instance, instance.Server)
		}
	}
	return ""
}

// wrong says in a clause what of a server is not as it must be with a release, alone; release "" means that nothing shall run.
func (w *world) wrong(server segue.ServerName, release segue.ReleaseName, balanced bool) string {
	found := false
	for _, instance := range w.running {
		switch {
		case instance.Server != server || instance.Stray:
		case instance.Release != release:
			return fmt.Sprintf("%s of %s runs there", instance.Instance, instance.Release)
		case found:
			return "two instances run there"
		case !instance.serves(balanced):
			return fmt.Sprintf("%s is not a ready backend in rotation", instance.Instance)
		default:
			found = true
		}
	}
	if !found && release != "" {
		return "nothing runs there"
	}
	return ""
}

// unwell says whether a server's instance of a release is there and is not ready: that is its own doing.
func (w *world) unwell(server segue.ServerName, release segue.ReleaseName) bool {
	for _, instance := range w.running {
		if instance.Server == server && instance.Release == release && !instance.ready {
			return true
		}
	}
	return false
}

// MirrorEnds holds when the mirror to a release is off before an instance of that release is let in, and when no rollout ends with a mirror on, unless its end is mixed
// and tells of the instance.
func MirrorEnds(balanced bool, trace []Fact) []Violation {
	return walk("mirror ends", balanced, trace, func(w *world, fact Fact) string {
		switch {
		case w.mirror == "":
		case fact.Kind == Admitted && (fact.Instance == w.mirror || w.running[w.mirror] != nil && fact.Release == w.running[w.mirror].Release):
			return fmt.Sprintf("%s is let in while requests are copied to %s", fact.Instance, w.mirror)
		case fact.Kind == Ended && (fact.End.Phase != segue.PhaseMixed || !strings.Contains(fact.End.Sentence, string(w.mirror))):
			return fmt.Sprintf("requests are copied to %s, and the end does not tell: %s", w.mirror, fact.End.Sentence)
		}
		return ""
	})
}

// NoDataLost holds when every journal entry that was acknowledged is found again, as it was.
func NoDataLost(_ bool, trace []Fact) []Violation {
	type entry struct {
		index int64
		sum   string
	}
	found := map[entry]bool{}
	var violations []Violation
	for _, fact := range trace {
		if fact.Kind == Found {
			found[entry{fact.Index, fact.Sum}] = true
		}
	}
	for i, fact := range trace {
		if fact.Kind == Written && !found[entry{fact.Index, fact.Sum}] {
			violations = append(violations, Violation{Law: "no data lost", At: i, Text: fmt.Sprintf("entry %d was acknowledged and is gone", fact.Index)})
		}
	}
	return violations
}

// CrashAnywhere holds when a rollout that was interrupted comes to the same end as one that was not.
func CrashAnywhere(undisturbed, interrupted End) []Violation {
	if undisturbed.Phase == interrupted.Phase && undisturbed.Goal == interrupted.Goal && undisturbed.Sentence == interrupted.Sentence {
		return nil
	}
	return []Violation{{Law: "crash anywhere", Text: fmt.Sprintf("without a crash: %s, %s; with one: %s, %s",
		undisturbed.Phase, undisturbed.Sentence, interrupted.Phase, interrupted.Sentence)}}
}
