package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// endPhase says in which phase a rollout ends, by what the fleet is and not by what was wanted.
func endPhase(state *State) segue.Phase {
	want, phase := state.Candidate.Name, segue.PhaseSucceeded
	if state.Goal == segue.GoalBack {
		want, phase = state.Stable.Name, segue.PhaseRolledBack
	}
	if state.Fleet.Maintenance || state.Fleet.Holding || state.Mirror.ID != 0 || state.Planning {
		return segue.PhaseMixed
	}
	members := members(state)
	for _, slot := range state.Fleet.Slots {
		expected := want
		if !members[slot.Server.Name] {
			expected = ""
		}
		if !isAt(slot, expected, state.Settings.Balanced) {
			return segue.PhaseMixed
		}
	}
	return phase
}

// members are the servers in service.
func members(state *State) map[segue.ServerName]bool {
	members := make(map[segue.ServerName]bool, len(state.Settings.Servers))
	for _, server := range state.Settings.Servers {
		members[server.Name] = true
	}
	return members
}

// isAt says whether a server is as an end state without a word about it must be: the release alone, ready, in rotation; or nothing.
func isAt(slot segue.Slot, release segue.ReleaseName, balanced bool) bool {
	if slot.Beside != nil {
		return false
	}
	if release == "" {
		return slot.Instance.ID == ""
	}
	return slot.Instance.ID != "" && slot.Instance.Release == release && ailment(slot, balanced) == ""
}

// ailment says in a clause what keeps a server from carrying load; "" when nothing does.
func ailment(slot segue.Slot, balanced bool) string {
	switch {
	case slot.Instance.ID == "":
		return "nothing runs"
	case !slot.Ready && balanced && slot.Rotation != segue.RotationIn:
		return "not ready, out of rotation"
	case !slot.Ready:
		return "not ready"
	case balanced && slot.Rotation == segue.RotationDraining:
		return "drained, out of rotation"
	case balanced && slot.Rotation != segue.RotationIn:
		return "out of rotation"
	default:
		return ""
	}
}

// EndSentence says in one sentence how a rollout ended, or where it stands: what runs where, and everything that is not as it should be.
func EndSentence(state State) string {
	subject := string(state.Service) + ": "
	switch state.Phase {
	case segue.PhaseSucceeded:
		return subject + runsOn(state) + owedClause(state) + strayClause(state) + "."
	case segue.PhaseRolledBack:
		if state.Plans == 0 {
			return subject + fmt.Sprintf("%s never began (%s); the fleet was left as it was.", state.Candidate.Name, state.Reason)
		}
		return subject + runsOn(state) + fmt.Sprintf("; %s was given up: %s", state.Candidate.Name, state.Reason) + strayClause(state) + "."
	case segue.PhaseMixed:
		return subject + "ended mixed: " + runsOn(state) + reasonClause(state) + strayClause(state) + "; " + remedy(state) + "."
	case segue.PhaseQueued:
		return subject + fmt.Sprintf("%s waits for the rollout before it.", state.Candidate.Name)
	default:
		return subject + fmt.Sprintf("%s: ", state.Phase) + runsOn(state) + mirrorClause(state) + reasonClause(state) + strayClause(state) + "."
	}
}

// mirrorClause says which server gets copies of requests.
func mirrorClause(state State) string {
	if step, on := state.Mirroring(); on {
		return fmt.Sprintf("; mirrors traffic to %s", step.Server)
	}
	return ""
}

// owedClause names database work that stays to be done.
func owedClause(state State) string {
	if len(state.Owed) == 0 {
		return ""
	}
	return "; still owed: " + strings.Join(state.Owed, ", ")
}

func reasonClause(state State) string {
	if state.Reason == "" {
		return ""
	}
	return "; " + state.Reason
}

// remedy says what to do about a mixed end.
func remedy(state State) string {
	switch {
	case state.Fleet.Maintenance:
		return "the maintenance page may be up still: deploy again to end it"
	case state.Mirror.ID != 0:
		return fmt.Sprintf("requests may be copied to %s still: deploy again to end it", state.Mirror.Instance)
	case state.Closed != "":
		return fmt.Sprintf("deploy %s again, or a release after it: %s cannot come back", state.Candidate.Name, state.Stable.Name)
	case state.Stable.Name == "":
		return fmt.Sprintf("deploy %s again to bring up what is missing", state.Candidate.Name)
	case state.Goal == segue.GoalBack:
		return fmt.Sprintf("deploy %s again to bring every server to it", state.Stable.Name)
	default:
		return fmt.Sprintf("deploy %s or %s again to bring every server to one release", state.Candidate.Name, state.Stable.Name)
	}
}

// runsOn lists what runs where: releases with their servers first, then every server with an ailment.
func runsOn(state State) string {
	where := map[segue.ReleaseName][]segue.ServerName{}
	var order []segue.ReleaseName
	var ailing []string
	members := members(&state)
	for _, slot := range state.Fleet.Slots {
		if !members[slot.Server.Name] && slot.Instance.ID == "" && slot.Beside == nil {
			continue
		}
		if what := ailment(slot, state.Settings.Balanced); what != "" || slot.Beside != nil {
			ailing = append(ailing, ailingClause(slot, what))
			continue
		}
		release := slot.Instance.Release
		if !slices.Contains(order, release) {
			order = append(order, release)
		}
		where[release] = append(where[release], slot.Server.Name)
	}
	slices.Sort(order)
	if len(order) == 1 && len(ailing) == 0 {
		return fmt.Sprintf("%s runs on %s", order[0], allOf(len(where[order[0]])))
	}
	if len(order) == 0 && !slices.ContainsFunc(state.Fleet.Slots, func(s segue.Slot) bool { return !vacant(s) }) {
		return "nothing runs"
	}
	var clauses []string
	for _, release := range order {
		clauses = append(clauses, fmt.Sprintf("%s runs on %s", release, list(where[release])))
	}
	return strings.Join(append(clauses, shorten(ailing)...), "; ")
}

func ailingClause(slot segue.Slot, what string) string {
	text := string(slot.Server.Name)
	if slot.Instance.ID != "" {
		text += fmt.Sprintf(" has %s", slot.Instance.Release)
	}
	if slot.Beside != nil {
		text += fmt.Sprintf(" and %s beside it", slot.Beside.Instance.Release)
	}
	if what == "" {
		return text
	}
	return text + ": " + what
}

// shorten bounds the number of clauses; the count of the rest is told.
func shorten(clauses []string) []string {
	const most = 12
	if len(clauses) <= most {
		return clauses
	}
	return append(clauses[:most:most], fmt.Sprintf("%d servers more are not in service (segue status lists them)", len(clauses)-most))
}

func strayClause(state State) string {
	var text string
	for _, slot := range state.Fleet.Slots {
		for _, stray := range slot.Strays {
			if text != "" {
				return text + ", and there are more of that kind"
			}
			text = fmt.Sprintf("; on %s runs %s, which is nobody's", slot.Server.Name, stray.ID)
		}
	}
	return text
}

// list names servers: all of a few, the first and the last of many.
func list(servers []segue.ServerName) string {
	const most = 8
	if len(servers) > most {
		return fmt.Sprintf("%d servers (%s to %s)", len(servers), servers[0], servers[len(servers)-1])
	}
	names := make([]string, len(servers))
	for i, server := range servers {
		names[i] = string(server)
	}
	return strings.Join(names, ", ")
}

func allOf(servers int) string {
	switch servers {
	case 0:
		return "no server"
	case 1:
		return "its one server"
	default:
		return fmt.Sprintf("all %d servers", servers)
	}
}

// backReason is the reason of a rollout that is held after some of its servers were rolled back.
func (m *machine) backReason() string {
	clauses := []string{list(m.Scope) + " rolled back: the fleet is mixed"}
	for _, server := range m.Scope {
		if slot, ok := m.Slot(server); ok && !isAt(slot, m.Stable.Name, m.Settings.Balanced) {
			clauses = append(clauses, ailingClause(slot, ailment(slot, m.Settings.Balanced)))
		}
	}
	return strings.Join(shorten(clauses), "; ")
}
