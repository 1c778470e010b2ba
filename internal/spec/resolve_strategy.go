package spec

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

// strategy resolves how a service is rolled.
func (r *resolver) strategy(path string, block *strategyBlock, s *Service) {
	kind := segue.StrategyKind(block.Kind)
	if kind == "" {
		kind = segue.Rolling
	}
	onFailure := segue.FailurePolicy(block.OnFailure)
	if onFailure == "" {
		onFailure = segue.FailRollback
	}
	n := len(s.Servers)
	s.Strategy = segue.Strategy{
		Kind: kind, Bake: pick(block.Bake, defaultBake), BakeEach: block.BakeEach, Surge: block.Surge,
		MaxUnavailable: block.MaxUnavailable.of(n), Approve: block.Approve, OnFailure: onFailure,
	}
	if kind == segue.Parallel {
		r.parallel(path, block, s)
	} else if at := path + ".mirror"; r.has(at) {
		r.add(r.keyAt[at], "set kind: parallel, or remove it", "mirror has no meaning in %s, which copies no requests", kind)
	}
	if kind == segue.AllAtOnce {
		s.Strategy.MaxUnavailable = max(1, n)
		r.allAtOnce(path)
		return
	}
	r.batches(path+".batches", block.Batches, s)
	if n > 0 && s.Strategy.MaxUnavailable > n {
		r.fault(path+".max_unavailable", "", "max_unavailable is %d, and there are %d servers", s.Strategy.MaxUnavailable, n)
	}
	if s.Strategy.Surge && kind != segue.Parallel && s.WorkloadDriver != "" && !s.CanSurge {
		r.fault(path+".surge", "remove it", "the workload driver %q cannot run two instances on one server", s.WorkloadDriver)
	}
}

// parallel resolves which requests are copied. The candidate starts beside stable: that is a surge.
func (r *resolver) parallel(path string, block *strategyBlock, s *Service) {
	switch {
	case r.has(path+".surge") && !block.Surge:
		r.fault(path+".surge", "remove it, or choose rolling", "surge cannot be off in parallel, which starts the candidate beside stable")
	case !s.Balanced:
		r.fault(path+".kind", "choose rolling", "parallel copies requests, and the service has no balancer")
	case s.WorkloadDriver != "" && !s.CanSurge:
		r.fault(path+".kind", "choose rolling", "the workload driver %q cannot run two instances on one server", s.WorkloadDriver)
	}
	s.Strategy.Surge = true
	if block.Mirror == nil {
		block.Mirror = &mirrorBlock{}
	}
	s.Judging.Mirror = r.mirror(path+".mirror", block.Mirror)
}

// method is what may stand in a request line, in capitals.
var method = regexp.MustCompile(`^[A-Z][A-Z-]*$`)

func (r *resolver) mirror(path string, block *mirrorBlock) *segue.Mirror {
	mirror := &segue.Mirror{
		Share: float64(pick(block.Share, defaultMirrorShare)), For: pick(block.For, defaultMirrorFor), Methods: block.Methods, Paths: block.Paths,
	}
	if r.has(path+".share") && mirror.Share == 0 {
		r.fault(path+".share", "write 10%, or choose rolling", "a share of 0%% copies nothing")
	}
	if r.has(path+".for") && mirror.For == 0 {
		r.fault(path+".for", "write 1m, or choose rolling", "for is 0: no answer would be compared")
	}
	for i, name := range mirror.Methods {
		switch at := item(path+".methods", i); {
		case !method.MatchString(name):
			r.fault(at, "write it in capitals, like POST", "%q is no method", name)
		case name == http.MethodGet || name == http.MethodHead:
			r.fault(at, "remove it", "%s is copied anyway, on every path", name)
		}
	}
	for i, text := range mirror.Paths {
		if !strings.HasPrefix(text, "/") {
			r.fault(item(path+".paths", i), "write /"+text, "%q is no path", text)
		}
	}
	switch {
	case len(mirror.Methods) > 0 && len(mirror.Paths) == 0:
		r.fault(path+".methods", "add paths: those where doing it more than once does no harm", "methods without paths: what they do would be done again for every copy")
	case len(mirror.Paths) > 0 && len(mirror.Methods) == 0:
		r.fault(path+".paths", "add methods, like [POST], or remove it: GET and HEAD are copied on every path", "paths without methods have no meaning")
	}
	return mirror
}

// allAtOnce reports what has no meaning when every server is stopped at the same time.
func (r *resolver) allAtOnce(path string) {
	for _, key := range []string{"batches", "bake_each", "surge", "max_unavailable"} {
		if at := path + "." + key; r.has(at) {
			r.add(r.keyAt[at], "remove it, or choose rolling", "%s has no meaning in all-at-once, which stops every server at the same time", key)
		}
	}
}

// batches resolves the stages. Targets are cumulative and per partition.
func (r *resolver) batches(path string, blocks []batch, s *Service) {
	if r.has(path) && len(blocks) == 0 {
		r.fault(path, "write [1, 100%]", "batches is an empty list")
	}
	if len(blocks) == 0 {
		s.Strategy.Batches = []segue.Batch{{Servers: 1}, {Percent: 100}}
		return
	}
	largest := largestPartition(s.Servers)
	before := 0
	for i, block := range blocks {
		b := segue.Batch(block)
		s.Strategy.Batches = append(s.Strategy.Batches, b)
		if b == (segue.Batch{}) || largest == 0 {
			continue
		}
		at := item(path, i)
		if b.Servers > largest {
			r.fault(at, "write 100% for all", "this batch has %d servers, and there are %s", b.Servers, among(s, largest))
			continue
		}
		if b.Of(largest) < before {
			r.fault(at, "each is the number that runs the new release by then, those before included",
				"batches may not get smaller: this one means %d of %d servers, the one before %d", b.Of(largest), largest, before)
		}
		before = max(before, b.Of(largest))
	}
}

// among says how many servers a batch is counted against.
func among(s *Service, largest int) string {
	if largest == len(s.Servers) {
		return strconv.Itoa(largest)
	}
	return fmt.Sprintf("%d in the largest partition", largest)
}

func largestPartition(servers []segue.Server) int {
	counts := map[segue.PartitionName]int{}
	largest := 0
	for _, server := range servers {
		counts[server.Partition]++
		largest = max(largest, counts[server.Partition])
	}
	return largest
}
