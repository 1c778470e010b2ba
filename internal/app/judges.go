package app

import (
	"bytes"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/limits"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/judge/responses"
	"github.com/segue-deploy/segue/internal/spec"
)

// Panel seats the judges of one rollout: plain limits, and those that weigh evidence within one budget of false alarms.
func Panel(settings segue.Service, _ segue.ReleaseName) []judge.Judge {
	all := []judge.Judge{limits.New(settings.Limits, settings.Judging.Warm)}
	judging := settings.Judging
	if judging.Budget <= 0 {
		return all
	}
	share := evidence.DefaultBudget(judging.Budget)
	caveats := caveatsOf(settings)
	if judging.Logs {
		config := logs.Config{Alpha: share.Logs, Caveats: caveats}
		for _, text := range judging.Expected {
			config.Expected = append(config.Expected, logs.Expectation{Match: text})
		}
		all = append(all, logs.New(config))
	}
	if judging.Metrics {
		all = append(all, metrics.New(metrics.Config{Budget: share, Warm: judging.Warm}))
	}
	if judging.Kayenta {
		all = append(all, metrics.NewKayenta())
	}
	if judging.Mirror != nil {
		all = append(all, responses.New(share.Responses))
	}
	return []judge.Judge{&panel{judges: all, caveats: caveats}}
}

// panelFor seats the judges of a service for a rehearsal.
func panelFor(project *spec.Project, service spec.Service) (func() []judge.Judge, error) {
	caveats, err := readCaveats(project, service)
	if err != nil {
		return nil, err
	}
	settings := service.Service
	settings.Judging.Caveats = caveats
	return func() []judge.Judge { return Panel(settings, rehearsal.Candidate) }, nil
}

func caveatsOf(settings segue.Service) []logs.Caveat {
	caveats := make([]logs.Caveat, 0, len(settings.Judging.Caveats))
	for _, c := range settings.Judging.Caveats {
		caveats = append(caveats, logs.Caveat{
			ID: c.ID, Fingerprint: c.Fingerprint, Match: c.Match, Service: settings.Name, Scope: c.Scope, Owner: c.Owner, Reason: c.Reason,
			Ceiling: c.Ceiling, Expires: c.Expires, Rate: c.Rate, Share: c.Share,
		})
	}
	return caveats
}

// panel is judges who sit together: what the team knows of already excuses findings of all.
type panel struct {
	judges  []judge.Judge
	caveats []logs.Caveat
}

// Name implements judge.Judge.
func (p *panel) Name() string { return "panel" }

// Weigh implements judge.Judge.
func (p *panel) Weigh(window judge.Evidence) []segue.Finding {
	findings := make([]segue.Finding, 0, len(p.judges))
	for _, j := range p.judges {
		findings = append(findings, j.Weigh(window)...)
	}
	logs.Excuse(p.caveats, window.Service, window.Until, findings)
	return findings
}

// comparing counts what differs in the answers to mirrored requests. A release that says its own name differs in nothing by that.
type comparing struct {
	tally             *responses.Tally
	stable, candidate segue.ReleaseName
}

func newAnswers(stable, candidate segue.ReleaseName) controller.Answers {
	return comparing{tally: responses.NewTally(), stable: stable, candidate: candidate}
}

// Record implements controller.Answers.
func (a comparing) Record(r balancer.MirrorRecord) {
	a.tally.Add(responses.Triple{
		Method: r.Method, Path: r.Path, Primary: a.unnamed(responses.Answer(r.Primary)), Candidate: a.unnamed(responses.Answer(r.Candidate)),
		Secondaries: []responses.Answer{a.unnamed(responses.Answer(r.Secondary))}, Raced: r.Raced,
	})
}

// unnamed writes the same word where an answer says the name of either release: as a header, or as a word in a body. What else is called so is called
// so by all.
func (a comparing) unnamed(answer responses.Answer) responses.Answer {
	header := make(map[string][]string, len(answer.Header))
	for name, values := range answer.Header {
		values = slices.Clone(values)
		for i := range values {
			values[i] = string(a.nameless([]byte(values[i])))
		}
		header[name] = values
	}
	answer.Header, answer.Body = header, a.nameless(answer.Body)
	return answer
}

func (a comparing) nameless(text []byte) []byte {
	for _, name := range []segue.ReleaseName{a.stable, a.candidate} {
		const least = 2 // a letter is no name
		if len(name) >= least {
			text = replaceWord(text, []byte(name), []byte("RELEASE"))
		}
	}
	return text
}

// replaceWord puts another word in place of one that stands by itself.
func replaceWord(text, word, by []byte) []byte {
	var out []byte
	done := 0
	for from := 0; ; {
		i := bytes.Index(text[from:], word)
		if i < 0 {
			break
		}
		begin, end := from+i, from+i+len(word)
		from = end
		if begin > 0 && inWord(text[begin-1]) || end < len(text) && inWord(text[end]) {
			continue
		}
		out, done = append(append(out, text[done:begin]...), by...), end
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

func inWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// Take implements controller.Answers.
func (a comparing) Take() []judge.AnswerCount { return a.tally.Window() }
