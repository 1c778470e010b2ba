package spec

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// Defaults of what a service does not say.
const (
	defaultBake           = 5 * time.Minute
	defaultDrain          = 60 * time.Second
	defaultReady          = 30 * time.Second
	defaultGrace          = 30 * time.Second
	defaultQuietWait      = 60 * time.Second
	defaultRollbackWindow = 24 * time.Hour
	defaultErrorShare     = 0.01
	defaultLatencyRatio   = 2
	defaultLatencyFloor   = 100 * time.Millisecond
	defaultMinSamples     = 100
	defaultWarm           = time.Minute
	defaultFalseAlarms    = 0.05
	defaultMetricsPath    = "/metrics"
	defaultMetricsLabel   = "instance"
	defaultMirrorShare    = 0.1
	defaultMirrorFor      = time.Minute
)

// service resolves one service.
func (r *resolver) service(path string, block *serviceBlock, s *Service) {
	s.CanSurge = block.Workload.Driver == driverProcess
	s.Timing = segue.Timing{Ready: defaultReady, Drain: defaultDrain, Grace: defaultGrace}
	s.Balanced = block.Balancer != nil
	r.fleet(path+".workload", &block.Workload, s)
	s.WorkloadDriver = string(block.Workload.Driver)
	if block.Workload.Driver == driverProcess {
		r.process(path+".workload", &block.Workload.ProcessWorkload, s)
	}
	if block.Balancer != nil {
		s.BalancerDriver = string(block.Balancer.Driver)
		if block.Balancer.Driver == driverEmbedded {
			r.embedded(path+".balancer", &block.Balancer.EmbeddedBalancer, s)
		}
		if block.Workload.Worker {
			r.add(r.keyAt[path+".balancer"], "remove one of them", "a worker serves no requests, and %s has a balancer", path)
		}
	}
	r.strategy(path+".strategy", &block.Strategy, s)
	r.capacity(path, block, s)
	r.judges(path+".judges", &block.Judges, s)
	s.RollbackWindow = pick(block.RollbackWindow, defaultRollbackWindow)
	r.releases(path, block, s)
}

// pick gives what was set, or the default.
func pick[T any](set *T, fallback T) T {
	if set == nil {
		return fallback
	}
	return *set
}

// fleet resolves the servers, in the order in which they are rolled.
func (r *resolver) fleet(path string, block *workloadBlock, s *Service) {
	switch {
	case r.has(path+".servers") && r.has(path+".partitions"):
		r.add(r.keyAt[path+".partitions"], "name the servers within the partitions", "%s has both servers and partitions", path)
	case !r.has(path+".servers") && !r.has(path+".partitions"):
		if r.has(path) {
			r.missing(path, "servers", "write servers: 4, or a list of names")
		}
	case r.has(path + ".servers"):
		r.place(path+".servers", block.Servers, "", string(s.Name), s)
	case len(block.Partitions) == 0:
		r.fault(path+".partitions", "a service needs at least one server", "%s.partitions is empty", path)
	}
	names := map[string]bool{}
	for i, p := range block.Partitions {
		at := item(path+".partitions", i)
		if !r.has(at + ".name") {
			continue
		}
		partition := namer(r.decoder, at+".name", p.Name, segue.ParsePartitionName)
		if names[p.Name] {
			r.fault(at+".name", "", "partition %q stands twice", p.Name)
		}
		names[p.Name] = true
		r.place(at+".servers", p.Servers, partition, fmt.Sprintf("%s-%s", s.Name, partition), s)
	}
	if len(s.Servers) > serverLimit {
		r.fault(path, "", "%s has %d servers, of %d at most", path, len(s.Servers), serverLimit)
	}
	r.together(path, s)
}

// place adds servers to a service: numbered after the prefix, or by name.
func (r *resolver) place(path string, from servers, partition segue.PartitionName, prefix string, s *Service) {
	for i := range from.count {
		name := segue.ServerName(cutName(prefix, fmt.Sprintf("-%d", i+1)))
		s.Servers = append(s.Servers, segue.Server{Name: name, Partition: partition})
	}
	for i, one := range from.list {
		at := item(path, i)
		if one.Name == "" && !r.has(at) {
			continue
		}
		server := segue.Server{Name: namer(r.decoder, at, one.Name, segue.ParseServerName), Partition: partition}
		if slices.ContainsFunc(s.Servers, func(other segue.Server) bool { return other.Name == server.Name }) {
			r.fault(at, "", "server %q stands twice", one.Name)
		}
		switch {
		case one.Partition == "":
		case partition != "":
			r.fault(at+".partition", "remove it", "server %q is within partition %q already", one.Name, partition)
		default:
			server.Partition = namer(r.decoder, at+".partition", one.Partition, segue.ParsePartitionName)
		}
		s.Servers = append(s.Servers, server)
	}
}

// together reports a fleet of which only some servers have a partition: rolled in order, the others would be one without a name.
func (r *resolver) together(path string, s *Service) {
	without := slices.IndexFunc(s.Servers, func(server segue.Server) bool { return server.Partition == "" })
	if without >= 0 && slices.ContainsFunc(s.Servers, func(server segue.Server) bool { return server.Partition != "" }) {
		r.fault(item(path+".servers", without), "give all servers a partition, or none", "server %q has no partition", s.Servers[without].Name)
	}
}

// capacity resolves the servers that must stay ready.
func (r *resolver) capacity(path string, block *serviceBlock, s *Service) {
	n := len(s.Servers)
	if s.Strategy.Kind == segue.AllAtOnce {
		if block.MinReady != nil && *block.MinReady > 0 {
			r.fault(path+".min_ready", "remove it, or choose rolling", "all-at-once stops every server: min_ready cannot be kept")
		}
		return
	}
	s.MinReady = max(0, n-s.Strategy.MaxUnavailable)
	if s.Strategy.Surge {
		s.MinReady = n
	}
	if block.MinReady == nil || n == 0 {
		return
	}
	s.MinReady = *block.MinReady
	switch {
	case s.MinReady < 0:
		r.fault(path+".min_ready", "", "min_ready is negative")
	case s.MinReady > n:
		r.fault(path+".min_ready", "", "min_ready is %d, and there are %d servers", s.MinReady, n)
	case !s.Strategy.Surge && s.MinReady == n:
		r.fault(path+".min_ready", "lower it, add a server, or set surge: true", "min_ready is %d of %d servers: none could ever be upgraded", s.MinReady, n)
	case !s.Strategy.Surge && n-s.MinReady < s.Strategy.MaxUnavailable:
		if r.has(path + ".strategy.max_unavailable") {
			r.fault(path+".strategy.max_unavailable", fmt.Sprintf("lower it to %d, or lower min_ready", n-s.MinReady),
				"max_unavailable is %d, but of %d servers %d must stay ready", s.Strategy.MaxUnavailable, n, s.MinReady)
		}
	}
}

// releases resolves what the file says of single releases.
func (r *resolver) releases(path string, block *serviceBlock, s *Service) {
	for _, name := range slices.Sorted(maps.Keys(block.Releases)) {
		release, at := block.Releases[name], path+".releases."+name
		parsed, err := segue.ParseReleaseName(name)
		if err != nil {
			r.add(r.keyAt[at], segue.HintOf(err), "%s", r.hide(err.Error()))
		}
		if s.Releases == nil {
			s.Releases = map[segue.ReleaseName]Release{}
		}
		s.Releases[parsed] = release
	}
}
