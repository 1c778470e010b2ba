package simtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// Scenario is all that a run depends on.
type Scenario struct {
	Seed uint64
	// Servers and Partitions, and how they are rolled: the fields become a segue.yaml.
	Servers    int
	Partitions int
	Strategy   segue.Strategy
	MinReady   int
	Worker     bool
	Crashes    int
	Wait       time.Duration
	Window     time.Duration
	// Releases says how the releases behave; v1 is deployed first, without disturbance.
	Releases map[segue.ReleaseName]workloadtest.Behaviour
	Breaking bool
	// Schema is what the releases need of a database; Long is how long a backfill of it takes.
	Schema Schema
	Long   time.Duration
	// Verdicts says from which look on the judges fail a release, or that they never have enough data (-1); 0 passes.
	Verdicts map[segue.ReleaseName]int
	// Faults is the share of driver calls that fail, in [0,1], while the disturbance lasts; half of them after their effect.
	Faults float64
	// Latency is the longest that a driver call takes.
	Latency time.Duration
	// Acts happen in order, each so long after v2 was ordered.
	Acts []Act
	// Kills are journal indices right after which the controller is killed.
	Kills []int64
	// Steer lets whoever plays decide what becomes of a held rollout at the end: promote, abort or both in turn.
	Steer segue.Verb
}

// Act is something that somebody or something does.
type Act struct {
	At   time.Duration
	Kind string
	// Order is for "order"; Server picks one (modulo their number); Release is for "deploy".
	Order   segue.Order
	Server  int
	Release segue.ReleaseName
	// For is how long an outage lasts.
	For time.Duration
}

// String tells an act in a line.
func (a Act) String() string {
	return fmt.Sprintf("%s %s %s%s%v server %d", a.At, a.Kind, a.Order.Verb, a.Release, a.Order.Servers, a.Server)
}

// Draw makes the scenario of a seed.
func Draw(seed uint64) Scenario {
	d := dice{rand.New(rand.NewPCG(seed, 0x5e90e))}
	s := Scenario{
		Seed: seed, Servers: 1 + d.IntN(6), Partitions: 1, Latency: time.Duration(d.IntN(400)) * time.Millisecond,
		Worker: d.one(6), Crashes: d.pick(0, 0, 0, 1, 3), Window: time.Duration(d.pick(0, 20, 3600)) * time.Second,
		Steer: []segue.Verb{segue.VerbPromote, segue.VerbAbort, ""}[d.IntN(3)],
	}
	if s.Servers > 2 && d.one(4) {
		s.Partitions = 2
	}
	if d.one(4) {
		s.Wait = 3 * time.Second
	}
	d.strategy(&s)
	d.releases(&s)
	if d.one(2) {
		s.Schema = []Schema{SchemaSplit, SchemaCascade, SchemaCascade, SchemaBreaks, SchemaUnknown}[d.IntN(5)]
		s.Long = d.seconds(20)
	}
	if d.one(2) {
		s.Faults = []float64{0.01, 0.05, 0.2}[d.IntN(3)]
	}
	for range d.pick(0, 0, 1, 2, 4, 6) {
		s.Acts = append(s.Acts, d.act(s))
	}
	for range d.pick(0, 0, 1, 1, 3) {
		s.Kills = append(s.Kills, int64(20+d.IntN(80)))
	}
	return s
}

// dice draws.
type dice struct{ *rand.Rand }

func (d dice) one(in int) bool      { return d.IntN(in) == 0 }
func (d dice) pick(from ...int) int { return from[d.IntN(len(from))] }
func (d dice) seconds(most int) time.Duration {
	return time.Duration(d.IntN(most*1000)) * time.Millisecond
}

func (d dice) strategy(s *Scenario) {
	st := &s.Strategy
	st.Kind, st.OnFailure = segue.Rolling, segue.FailRollback
	st.Bake = time.Duration(d.pick(0, 3, 8)) * time.Second
	st.MaxUnavailable = 1
	if d.one(4) {
		st.OnFailure = segue.FailHold
	}
	st.Approve = d.one(6)
	if d.one(6) {
		st.Kind = segue.AllAtOnce
		s.Breaking = d.one(2)
		return
	}
	st.BakeEach, st.Surge = d.one(4), d.one(3) && !s.Worker
	smallest := s.Servers / s.Partitions
	for _, percent := range [][]int{nil, {30, 60}, {1}, {50}}[d.IntN(4)] {
		st.Batches = append(st.Batches, segue.Batch{Percent: percent})
	}
	st.MaxUnavailable = 1 + d.IntN(max(1, smallest-1))
	s.MinReady = d.IntN(s.Servers - min(st.MaxUnavailable, s.Servers) + 1)
	if st.Surge {
		s.MinReady = d.IntN(s.Servers + 1)
	}
}

func (d dice) releases(s *Scenario) {
	s.Releases = map[segue.ReleaseName]workloadtest.Behaviour{
		"v1": {Boot: d.seconds(2), StopTakes: d.seconds(2)},
		"v2": d.behaviour(),
		"v3": d.behaviour(),
	}
	s.Verdicts = map[segue.ReleaseName]int{"v2": d.pick(0, 0, 0, 0, 1, 5, -1), "v3": d.pick(0, 0, 3)}
}

func (d dice) behaviour() workloadtest.Behaviour {
	b := workloadtest.Behaviour{Boot: d.seconds(4), StopTakes: d.seconds(3)}
	switch d.IntN(10) {
	case 0:
		b.NeverReady = true
	case 1:
		b.CrashAfter = time.Second + d.seconds(20)
	case 2:
		b.CrashAfter, b.CrashTimes = d.seconds(6), 1
	case 3:
		b.Refuse = segue.Errorf(segue.KindInvalid, "exec format error")
	case 4:
		b.IgnoreTerm = true
	}
	return b
}

// act draws one.
func (d dice) act(s Scenario) Act {
	act := Act{At: d.seconds(50), Server: d.IntN(100)}
	switch kinds := []string{"order", "order", "order", "crash", "crash", "sicken", "stray", "outage", "join", "leave", "deploy"}; kinds[d.IntN(len(kinds))] {
	case "order":
		verbs := []segue.Verb{
			segue.VerbPromote, segue.VerbPause, segue.VerbResume, segue.VerbAbort, segue.VerbRollback, segue.VerbRollback, segue.VerbApprove,
		}
		act.Kind, act.Order = "order", segue.Order{Verb: verbs[d.IntN(len(verbs))], All: d.one(4), By: "ann"}
		if act.Order.Verb == segue.VerbRollback && d.one(2) {
			act.Order.Servers = []segue.ServerName{s.server(act.Server)}
		}
	case "crash":
		act.Kind = "crash"
	case "sicken":
		act.Kind, act.For = "sicken", d.seconds(15)
	case "stray":
		act.Kind = "stray"
	case "outage":
		act.Kind, act.For = "outage", d.seconds(400)
	case "join":
		act.Kind = "join"
	case "leave":
		act.Kind = "leave"
	case "deploy":
		act.Kind, act.Release = []string{"deploy", "queue", "replace"}[d.IntN(3)], "v3"
	}
	return act
}

// server names one of the scenario's servers.
func (s Scenario) server(i int) segue.ServerName {
	return segue.ServerName(fmt.Sprintf("web-%d", i%s.Servers+1))
}

// partition is the partition of a server, "" when there is only one.
func (s Scenario) partition(i int) string {
	if s.Partitions == 1 {
		return ""
	}
	return string(rune('a' + i*s.Partitions/s.Servers))
}

// File is the scenario's segue.yaml, with so many servers more at the end, and without one (-1: none).
func (s Scenario) File(more, without int) string {
	var servers []string
	for i := range s.Servers + more {
		if i == without {
			continue
		}
		partition := s.partition(min(i, s.Servers-1))
		if partition != "" {
			partition = ", partition: " + partition
		}
		servers = append(servers, fmt.Sprintf("{name: web-%d%s}", i+1, partition))
	}
	n := len(servers)
	lines := []string{
		"project: sim", "services:", "  web:",
		fmt.Sprintf("    workload: {driver: process, servers: [%s], command: [./releases/{release}/web], worker: %v, ready: {within: 10s}, stop: {grace: 5s}}", strings.Join(servers, ", "), s.Worker),
		fmt.Sprintf("    rollback_window: %s", s.Window),
		fmt.Sprintf("    judges: {crashes: {limit: %d}, wait: %s}", s.Crashes, s.Wait),
	}
	if !s.Worker {
		lines = append(lines, `    balancer: {driver: embedded, listen: "127.0.0.1:8080", drain: {within: 5s}}`)
	}
	if s.Breaking {
		lines = append(lines, "    releases: {v2: {breaking: true}}")
	}
	return strings.Join(append(lines, s.strategyLines(n)...), "\n") + "\n"
}

func (s Scenario) strategyLines(servers int) []string {
	st := s.Strategy
	options := []string{
		fmt.Sprintf("kind: %s", st.Kind), fmt.Sprintf("bake: %s", st.Bake), fmt.Sprintf("approve: %v", st.Approve), fmt.Sprintf("on_failure: %s", st.OnFailure),
	}
	if st.Kind == segue.AllAtOnce {
		return []string{"    strategy: {" + strings.Join(options, ", ") + "}"}
	}
	most := min(st.MaxUnavailable, servers)
	minReady := min(s.MinReady, servers-most)
	if st.Surge {
		minReady = min(s.MinReady, servers)
	}
	options = append(options, fmt.Sprintf("bake_each: %v", st.BakeEach), fmt.Sprintf("surge: %v", st.Surge), fmt.Sprintf("max_unavailable: %d", most))
	if len(st.Batches) > 0 {
		var batches []string
		for _, batch := range st.Batches {
			batches = append(batches, fmt.Sprintf("%d%%", batch.Percent))
		}
		options = append(options, "batches: ["+strings.Join(batches, ", ")+", 100%]")
	}
	return []string{"    strategy: {" + strings.Join(options, ", ") + "}", fmt.Sprintf("    min_ready: %d", minReady)}
}
