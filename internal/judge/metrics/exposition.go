package metrics

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// mostSeries is how many series of one instance are read.
const mostSeries = 2000

// reading is what one scrape gave, by series.
type reading struct {
	gauges   map[string]average
	counters map[string]float64
	totals   map[string]total
	leftOut  int
}

// average is of gauges that differ only in labels that are dropped.
type average struct{ sum, n float64 }

// total is a histogram or summary.
type total struct{ count, sum float64 }

// read parses Prometheus' text format. Of a text that is too much, the first series in order of their names are kept.
func read(body io.Reader) (reading, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	// The format ends with a line feed, some programs do not.
	families, err := parser.TextToMetricFamilies(io.MultiReader(body, strings.NewReader("\n")))
	if err != nil {
		return reading{}, fmt.Errorf("parse metrics: %w", err)
	}
	r := reading{gauges: map[string]average{}, counters: map[string]float64{}, totals: map[string]total{}}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		family := families[name]
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			return reading{}, fmt.Errorf("read metric %q: %w", name, err)
		}
		if pointless(name) {
			continue
		}
		slices.SortFunc(samples, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
		for _, s := range samples {
			r.take(name, family.GetType().String(), s)
		}
	}
	return r, nil
}

// take sorts one sample in.
func (r *reading) take(family, kind string, s *model.Sample) {
	value, name := float64(s.Value), string(s.Metric[model.MetricNameLabel])
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	labels := labelsOf(s.Metric)
	switch {
	case kind == "HISTOGRAM" || kind == "SUMMARY":
		r.takePart(family+labels, strings.TrimPrefix(name, family), value)
	case kind == "COUNTER" || kind == "UNTYPED" && strings.HasSuffix(name, "_total"):
		if _, there := r.counters[name+labels]; there || !r.full() {
			r.counters[name+labels] += value
		}
	case kind == "GAUGE" || kind == "UNTYPED":
		if a, there := r.gauges[name+labels]; there || !r.full() {
			r.gauges[name+labels] = average{a.sum + value, a.n + 1}
		}
	}
}

// takePart takes the count or the sum of a histogram or summary; of buckets and quantiles the mean says enough.
func (r *reading) takePart(key, part string, value float64) {
	if part != "_count" && part != "_sum" {
		return
	}
	t, there := r.totals[key]
	if !there && r.full() {
		return
	}
	if part == "_count" {
		t.count += value
	} else {
		t.sum += value
	}
	r.totals[key] = t
}

// full says that no other series is taken, and counts it as left out. A total makes two.
func (r *reading) full() bool {
	if len(r.gauges)+len(r.counters)+2*len(r.totals) < mostSeries-1 {
		return false
	}
	r.leftOut++
	return true
}

// pointless are metrics that tell of the process's start or build: they differ from server to server and always change with a release.
func pointless(name string) bool {
	return slices.ContainsFunc([]string{"_info", "_created", "_timestamp", "_timestamp_seconds", "_start_time_seconds", "_uptime_seconds", "_uptime"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}

// labelsOf writes labels in order, without those that name the server, the instance or the release: a series must be called the same everywhere.
func labelsOf(metric model.Metric) string {
	parts := make([]string, 0, len(metric))
	for name, value := range metric {
		switch strings.ToLower(string(name)) {
		case model.MetricNameLabel, "instance", "instance_id", "pod", "pod_name", "pod_ip", "pod_uid", "container_id", "host", "hostname", "host_name", "host_ip",
			"node", "node_name", "server", "replica", "ip", "pid", "version", "app_version", "service_version", "release", "revision", "commit",
			"git_commit", "git_sha", "build", "build_id", "image", "image_id", "image_tag", "tag", "deployment", "replicaset", "pod_template_hash":
			continue
		}
		parts = append(parts, string(name)+"="+strconv.Quote(string(value)))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}
