package rollout_test

import "fmt"

// story tells what happened, one line per entry, for a test that failed.
func (w *world) story() string {
	text := ""
	for _, entry := range w.entries {
		e := entry.Event
		text += fmt.Sprintf("%d %s", entry.Index, e.Kind)
		if e.PlanNumber > 0 {
			text += fmt.Sprintf(" %d.%d/%d", e.PlanNumber, e.Step, e.Attempt)
		}
		text += fmt.Sprintf(" %s %s", e.Server, e.Instance)
		if e.Plan != nil {
			text += fmt.Sprintf(" goal=%s steps=%d", e.Plan.Goal, len(e.Plan.Steps))
			for _, s := range e.Plan.Steps {
				text += fmt.Sprintf("\n    %d %s %s %v", s.ID, s.Kind, s.Instance, s.After)
			}
		}
		if e.Order != nil {
			text += fmt.Sprintf(" %s %v all=%v", e.Order.Verb, e.Order.Servers, e.Order.All)
		}
		if e.Verdict != nil {
			text += fmt.Sprintf(" %s final=%v", e.Verdict.Ruling, e.Verdict.Final)
		}
		if e.Failure != nil {
			text += " " + e.Failure.Kind.String() + ": " + e.Failure.Message
		}
		text += "\n"
	}
	for i, fact := range w.facts {
		if fact.Kind != "written" {
			text += fmt.Sprintf("fact %d %s %s %s %d %+v\n", i, fact.Kind, fact.Server, fact.Instance, fact.Count, fact.End)
		}
	}
	return text
}
