package spec

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// judges resolves the limits. Requests are counted by the balancer: without one there is nothing to say of errors and latency.
func (r *resolver) judges(path string, block *judgesBlock, s *Service) {
	limits := segue.Limits{Crashes: block.Crashes.Limit, MinSamples: pick(block.MinSamples, defaultMinSamples), Wait: pick(block.Wait, 0)}
	if s.Balanced {
		r.traffic(path, block, &limits)
	} else {
		for _, key := range []string{"errors", "latency"} {
			if at := path + "." + key; r.has(at) {
				r.add(r.keyAt[at], "remove it", "%s without a balancer: nothing counts the requests", at)
			}
		}
	}
	if limits.Crashes < 0 {
		r.fault(path+".crashes.limit", "", "crashes.limit is negative")
	}
	if limits.MinSamples < 1 {
		r.fault(path+".min_samples", "silence is never a pass", "min_samples is less than 1")
	}
	// The witness works with the first service that has a balancer.
	first := !slices.ContainsFunc(r.project.Services, func(other Service) bool { return other.Balanced })
	works := s.Balanced && first && r.has("witness")
	if limits.Witness = pick(block.Witness, works); limits.Witness && !works {
		r.fault(path+".witness", "add a witness block, or remove this", "%s.witness is true, and there is no witness that works with this service", path)
	}
	s.Limits = limits
	r.evidence(path, block, s)
}

// traffic resolves the limits of what the balancer counts.
func (r *resolver) traffic(path string, block *judgesBlock, limits *segue.Limits) {
	if !block.Errors.off {
		limits.ErrorShare = float64(pick(block.Errors.Limit, defaultErrorShare))
		if limits.ErrorShare == 0 && r.has(path+".errors.limit") {
			r.fault(path+".errors.limit", "write a small one like 0.01%, or errors: off", "a limit of 0%% would let nothing pass, or switch the judge off")
		}
	}
	if !block.Latency.off {
		limits.LatencyRatio = pick(block.Latency.Ratio, defaultLatencyRatio)
		limits.LatencyFloor = pick(block.Latency.Floor, defaultLatencyFloor)
		if limits.LatencyRatio < 1 {
			r.fault(path+".latency.ratio", "write 1.5 for half as slow again", "latency.ratio is %g: below 1, a candidate as fast as stable would fail", limits.LatencyRatio)
		}
	}
}

// evidence resolves what the judges of evidence go by.
func (r *resolver) evidence(path string, block *judgesBlock, s *Service) {
	j := &s.Judging
	j.Budget = float64(pick(block.Budget, defaultFalseAlarms))
	j.Logs, j.Expected = !block.Logs.off, block.Logs.Expected
	j.Kayenta = bool(pick(block.Kayenta, false))
	if j.Warm = pick(block.Warm, defaultWarm); j.Warm < 0 {
		r.fault(path+".warm", "write 30s, or 0s where nothing is slow at first", "warm is %s: a process has no age below 0s", j.Warm)
	}
	j.Warm = max(j.Warm, time.Nanosecond) // 0 is the judges' own default
	j.Second, j.Placebo = bool(pick(block.Second, true)), bool(pick(block.Placebo, true))
	for i, text := range j.Expected {
		if at := item(path+".logs.expected", i); strings.TrimSpace(text) == "" {
			r.fault(at, "write some text of the lines", "%s is empty: every line has that", at)
		}
	}
	if !block.Metrics.off {
		r.metrics(path+".metrics", &block.Metrics.metricsBlock, s)
	}
	if r.has(path+".caveats") && block.Caveats == "" {
		r.fault(path+".caveats", "remove it, or name a file", "caveats is empty")
	}
	s.CaveatsFile = r.absolute(block.Caveats)
}

// metrics resolves where metrics come from. Requests are counted by the balancer alone.
func (r *resolver) metrics(path string, block *metricsBlock, s *Service) {
	j := &s.Judging
	j.Metrics = s.Balanced || block.Scrape != nil || block.Prometheus != nil
	if r.has(path) && !j.Metrics {
		r.fault(path, "give it scrape or prometheus, or remove it", "%s without a balancer: nothing counts the requests", path)
	}
	if block.Scrape != nil {
		j.Scrape = r.scrape(path+".scrape", block.Scrape, s)
	}
	if block.Prometheus != nil {
		j.Queries = r.prometheus(path+".prometheus", block.Prometheus)
	}
}

func (r *resolver) scrape(path string, block *scrapeBlock, s *Service) *segue.Scrape {
	scrape := &segue.Scrape{Path: block.Path, Port: block.Port}
	if scrape.Path == "" {
		scrape.Path = defaultMetricsPath
	}
	if s.Process != nil && s.Process.Worker {
		r.add(r.keyAt[path], "ask a Prometheus server for them: metrics: {prometheus: ...}", "a worker has no address that its metrics could be read at")
	}
	if !strings.HasPrefix(scrape.Path, "/") {
		r.fault(path+".path", "write /"+scrape.Path, "%q is no path", scrape.Path)
	}
	if r.has(path+".port") && (block.Port < 1 || block.Port > 65535) {
		r.fault(path+".port", "write 1 to 65535, or leave it out for the instance's own port", "%d is no port", block.Port)
	}
	return scrape
}

// labelName is what Prometheus takes for the name of a label.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (r *resolver) prometheus(path string, block *prometheusBlock) *segue.Queries {
	queries := &segue.Queries{URL: block.URL, TokenFile: r.absolute(block.TokenFile), Label: block.Label, Queries: block.Queries}
	if queries.Label == "" {
		queries.Label = defaultMetricsLabel
	}
	if !labelName.MatchString(queries.Label) {
		r.fault(path+".label", "use letters, digits and _", "%q cannot be the name of a label", queries.Label)
	}
	if r.has(path + ".url") {
		r.prometheusURL(path+".url", block.URL)
	}
	if r.has(path+".queries") && len(block.Queries) == 0 {
		r.fault(path+".queries", "name at least one, or remove prometheus", "queries is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(block.Queries)) {
		if at := join(path+".queries", name); strings.TrimSpace(block.Queries[name]) == "" {
			r.fault(at, "write PromQL that gives one series per server", "query %q is empty", name)
		}
	}
	return queries
}

// prometheusURL refuses what is no URL, and one with a password in it: settings are no place for secrets.
func (r *resolver) prometheusURL(at, text string) {
	server, err := url.Parse(text)
	switch {
	case err != nil || server.Host == "" || server.Scheme != "http" && server.Scheme != "https":
		r.fault(at, "write it like http://127.0.0.1:9090", "%s is no URL", at)
	case server.User != nil:
		r.fault(at, "write a bearer token into a file, and name that as token_file", "%s has a name or password in it", at)
	}
}
