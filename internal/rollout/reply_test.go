package rollout_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// matches says whether words ("stop", "web-1", "plan") all describe a command.
func matches(command rollout.Command, words []string) bool {
	for _, word := range words {
		if word != string(command.Step.Kind) && word != string(command.Step.Server) && (command.Kind != rollout.CommandPlan || word != "plan") {
			return false
		}
	}
	return true
}

// options cuts words into bare ones, key=value ones and the text after "--".
func options(words []string) (bare []string, keys map[string]string, text string) {
	keys = map[string]string{}
	for i, word := range words {
		key, value, found := strings.Cut(word, "=")
		switch {
		case word == "--":
			return bare, keys, strings.Join(words[i+1:], " ")
		case found:
			keys[key] = value
		default:
			bare = append(bare, word)
		}
	}
	return bare, keys, ""
}

// reply answers one outstanding command: done KIND SERVER; fail KIND SERVER kind=timeout [times=20] -- text; verdict RULING [final] [any] -- text.
func (s *scenario) reply(verb string, words []string) error {
	bare, keys, text := options(words)
	if verb == "verdict" {
		return s.judge(bare, text)
	}
	if times, _ := strconv.Atoi(keys["times"]); times > 1 {
		words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "times=") })
		for range times {
			if err := s.reply(verb, words); err != nil {
				return err
			}
		}
		return nil
	}
	i := slices.IndexFunc(s.pending, func(c rollout.Command) bool { return matches(c, bare) })
	if i < 0 {
		return segue.Errorf(segue.KindNotFound, "nothing of that kind is outstanding: %v", bare)
	}
	command := s.take(i)
	if verb == "done" {
		commands := s.answer(command)
		s.last = s.entries[len(s.entries)-1].Event
		s.show(commands)
		return nil
	}
	var kind segue.Kind
	if err := kind.UnmarshalText([]byte(keys["kind"])); err != nil {
		return err
	}
	s.last = command.Failed("web", &segue.Error{Kind: kind, Message: text})
	s.show(s.feed(s.last))
	return nil
}

func (s *scenario) judge(bare []string, text string) error {
	verdict := segue.Verdict{Ruling: segue.Ruling(bare[0]), Final: slices.Contains(bare, "final"), At: s.now}
	verdict.Findings = []segue.Finding{{Judge: "errors", Ruling: verdict.Ruling, Text: text}}
	s.last = segue.Event{Kind: segue.EventVerdict, Service: "web", Rollout: s.ledger.Next() - 1, Verdict: &verdict}
	if !slices.Contains(bare, "any") {
		i := slices.IndexFunc(s.pending, func(c rollout.Command) bool { return c.Step.Kind == segue.StepObserve })
		if i < 0 {
			return segue.Errorf(segue.KindNotFound, "nothing is observed")
		}
		command := s.pending[i]
		if verdict.Final {
			s.take(i)
		}
		s.last = command.Judged("web", verdict)
	}
	s.show(s.feed(s.last))
	return nil
}

// runOn answers commands well, oldest first, until only observations are left or the next one matches the words.
func (s *scenario) runOn(until []string) {
	for range 10_000 {
		i := slices.IndexFunc(s.pending, func(c rollout.Command) bool { return c.Step.Kind != segue.StepObserve })
		if i < 0 || len(until) > 0 && matches(s.pending[i], until) {
			return
		}
		s.show(s.answer(s.take(i)))
	}
}

// give gives an operator's order: order VERB [all] [servers=web-1,web-2] [by=ann] [rollout=2] -- why.
func (s *scenario) give(words []string) error {
	bare, keys, text := options(words)
	order := segue.Order{Verb: segue.Verb(bare[0]), All: slices.Contains(bare, "all"), By: keys["by"], Why: text}
	for name := range strings.SplitSeq(keys["servers"], ",") {
		if name != "" {
			order.Servers = append(order.Servers, segue.ServerName(name))
		}
	}
	id := s.ledger.Next() - 1
	if keys["rollout"] != "" {
		_, _ = fmt.Sscan(keys["rollout"], &id)
	}
	state, ok := s.ledger.Rollout(id)
	if !ok {
		return segue.Errorf(segue.KindNotFound, "rollout %s is not open", id)
	}
	err := rollout.Accepts(*state, order)
	s.last = segue.Event{Kind: segue.EventOrder, Service: "web", Rollout: id, Order: &order}
	s.show(s.feed(s.last))
	return err
}

// happen is what happens without anybody's plan.
func (s *scenario) happen(what string, words []string) {
	bare, keys, text := options(words)
	server := segue.ServerName(bare[0])
	event := segue.Event{Service: "web", Server: server, Partition: segue.PartitionName(keys["partition"])}
	if slot, ok := s.ledger.Services["web"].Fleet.Slot(server); ok {
		event.Instance = slot.Instance.ID
	}
	if len(bare) > 1 {
		event.Instance = segue.InstanceID(bare[1])
	}
	switch what {
	case "down":
		event.Kind, event.Failure = segue.EventInstanceDown, &segue.Failure{Kind: segue.KindUnhealthy, Message: text}
	case "up":
		event.Kind = segue.EventInstanceUp
	case "join":
		event.Kind = segue.EventServerJoined
	case "leave":
		event.Kind = segue.EventServerLeft
	case "stray":
		event.Kind = segue.EventStray
	case "rotation":
		event.Kind, event.Rotation = segue.EventRotation, segue.Rotation(keys["to"])
	}
	s.befall(event)
	s.last = event
	s.show(s.feed(event))
}

// show prints the commands, and the phase where it changed.
func (s *scenario) show(commands []rollout.Command) {
	for _, command := range commands {
		fmt.Fprintln(&s.out, s.line(command))
	}
	service := s.ledger.Services["web"]
	if service == nil {
		return
	}
	now := "none"
	if open := service.Open; open != nil {
		now = fmt.Sprintf("rollout %s %s", open.ID, open.Phase)
		if open.Reason != "" {
			now += ": " + open.Reason
		}
		for i, step := range open.Steps {
			if step.Waiting != "" {
				now += fmt.Sprintf(" [step %d waits: %s]", i+1, step.Waiting)
			}
		}
	} else if n := len(service.History); n > 0 {
		now = "over: " + service.History[n-1].Sentence + fmt.Sprintf(" (exit %d)", service.History[n-1].Phase.ExitCode())
	}
	if now != s.was {
		fmt.Fprintf(&s.out, "= %s\n", now)
		s.was = now
	}
}

func (s *scenario) line(c rollout.Command) string {
	line := string(c.Kind)
	if c.Kind == rollout.CommandPlan {
		line += fmt.Sprintf(" %d: %s %v", c.Plan, c.Goal, c.Servers)
		if c.Observed > 0 || c.Hurry {
			line += fmt.Sprintf(" observed=%d hurry=%v", c.Observed, c.Hurry)
		}
		if c.Mirroring.ID != 0 {
			line += fmt.Sprintf(" mirroring %s", c.Mirroring.Instance)
		}
	} else {
		line += fmt.Sprintf(" %d.%d %s %s", c.Plan, c.Step.ID, c.Step.Kind, c.Step.Instance)
	}
	if c.Step.Kind == segue.StepMirror {
		line += map[bool]string{true: " on", false: " off"}[c.Step.On]
	}
	if c.Attempt > 1 {
		line += fmt.Sprintf(" attempt %d", c.Attempt)
	}
	if !c.NotBefore.IsZero() {
		line += fmt.Sprintf(" in %s", c.NotBefore.Sub(s.now))
	}
	if !c.Since.IsZero() && !c.Since.Equal(s.now) {
		line += fmt.Sprintf(" since %s ago", s.now.Sub(c.Since))
	}
	return strings.TrimRight(line, " ")
}

func (s *scenario) showFleet() {
	for _, slot := range s.ledger.Services["web"].Fleet.Slots {
		fmt.Fprintf(&s.out, "%s: %s %s ready=%v", slot.Server.Name, slot.Instance.ID, slot.Rotation, slot.Ready)
		if slot.Beside != nil {
			fmt.Fprintf(&s.out, " beside %s %s ready=%v", slot.Beside.Instance.ID, slot.Beside.Rotation, slot.Beside.Ready)
		}
		for _, stray := range slot.Strays {
			fmt.Fprintf(&s.out, " stray %s", stray.ID)
		}
		fmt.Fprintln(&s.out)
	}
}

func (s *scenario) showSentence() {
	service := s.ledger.Services["web"]
	if service.Open != nil {
		fmt.Fprintln(&s.out, rollout.EndSentence(*service.Open))
		return
	}
	past := service.History[len(service.History)-1]
	fmt.Fprintf(&s.out, "%s (stable %s, previous %s, mixed for %s)\n", past.Sentence, service.Stable.Name, service.Previous.Name, past.MixedFor)
}

// differ compares two ledgers by all that they tell and by all that they would do next.
func differ(a, b rollout.Ledger) string {
	text := func(l rollout.Ledger) string {
		out, err := json.MarshalIndent(struct {
			Ledger      rollout.Ledger
			Outstanding []rollout.Command
		}{l, l.Outstanding()}, "", " ")
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	return cmp.Diff(text(a), text(b))
}
