package template_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/judge/template"
	"github.com/segue-deploy/segue/internal/judge/template/templatetest"
)

// told counts how lines were judged: flagged and new, flagged though known, new but not flagged.
type told struct{ right, false, missed, births, falseBirths int }

func (n *told) add(o told) {
	n.right += o.right
	n.false += o.false
	n.missed += o.missed
	n.births += o.births
	n.falseBirths += o.falseBirths
}

func (n told) precision() float64 {
	return float64(n.right) / float64(max(1, n.right+n.false))
}

func (n told) recall() float64 {
	return float64(n.right) / float64(max(1, n.right+n.missed))
}

// learner trains on most events and then sees all.
func judge(style templatetest.Style, seed uint64) (n told, templates int, wrong []string) {
	unseen := func(event int) bool { return event%5 == int(seed%5) }
	parser, tree := template.NewParser(), template.NewTree(template.Options{})
	var line template.Line
	at := time.Unix(1_700_000_000, 0)
	learn := func(text string) template.Match {
		var match template.Match
		var lines template.Assembler
		lines.Write([]byte(text+"\n"), at, func(e template.Event) {
			parser.Parse(e.Text, &line)
			match = tree.Learn(&line, e.Text, at)
		})
		lines.Close(at, func(e template.Event) {
			parser.Parse(e.Text, &line)
			match = tree.Learn(&line, e.Text, at)
		})
		return match
	}
	for _, l := range style.Generate(seed, 800, func(event int) bool { return !unseen(event) }) {
		learn(l.Text)
	}
	known := map[template.ID]bool{}
	for _, t := range tree.Templates() {
		known[t.ID] = true
	}
	type judged struct {
		id     template.ID
		unseen bool
		text   string
	}
	var all []judged
	for _, l := range style.Generate(seed+1000, 600, func(int) bool { return true }) {
		match := learn(l.Text)
		all = append(all, judged{match.ID, unseen(l.Event), l.Text})
		if match.New {
			n.births++
			if !unseen(l.Event) {
				n.falseBirths++
			}
		}
	}
	for _, j := range all {
		switch flagged := !known[tree.Resolve(j.id)]; {
		case flagged && j.unseen:
			n.right++
		case flagged:
			n.false++
			wrong = append(wrong, "false: "+j.text)
		case j.unseen:
			n.missed++
			t, _ := tree.Get(j.id)
			wrong = append(wrong, "missed: "+j.text+"   => "+t.Text)
		}
	}
	return n, len(tree.Templates()), wrong
}

func TestUnseenEventsAreToldFromKnownOnes(t *testing.T) {
	t.Parallel()
	styles := templatetest.Styles()
	if len(styles) < 16 {
		t.Fatalf("%d styles", len(styles))
	}
	all, table := judgeEach(t, styles)
	table += fmt.Sprintf("%-12s %6s %9s %9.4f %7.4f %7d %13d\n", "all", "", "", all.precision(), all.recall(), all.births, all.falseBirths)
	t.Log("\n" + table)
	if all.precision() < 0.95 || all.recall() < 0.96 {
		t.Errorf("all: precision %.4f, recall %.4f", all.precision(), all.recall())
	}
}

// judgeEach tells, of each style, unseen events from known ones over five seeds; each must do well enough by itself.
func judgeEach(t *testing.T, styles []templatetest.Style) (all told, table string) {
	t.Helper()
	table = fmt.Sprintf("%-12s %6s %9s %9s %7s %7s %13s\n", "style", "events", "templates", "precision", "recall", "births", "false births")
	for _, style := range styles {
		var n told
		var templates int
		for seed := uint64(1); seed <= 5; seed++ {
			got, k, wrong := judge(style, seed)
			n.add(got)
			templates += k
			if testing.Verbose() {
				for _, w := range wrong[:min(len(wrong), 3)] {
					t.Log(style.Name, w)
				}
			}
		}
		all.add(n)
		table += fmt.Sprintf("%-12s %6d %9.1f %9.4f %7.4f %7d %13d\n", style.Name, style.Events(), float64(templates)/5, n.precision(), n.recall(), n.births, n.falseBirths)
		if n.precision() < 0.95 || n.recall() < 0.96 {
			t.Errorf("%s: precision %.4f, recall %.4f; want 0.95 and 0.96", style.Name, n.precision(), n.recall())
		}
	}
	return all, table
}
