package metrics

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// grows is the finding of a resource that is not given back. It holds: people know what is normal, and there is time.
func (v view) grows(s *subject, key string, with int) segue.Finding {
	r := s.growth[key]
	f := v.blank("gauges", evidence.Spend(v.config.Budget.Gauges, s.order))
	f.Ruling, f.Server, f.Fingerprint, f.Unit = segue.RulingHold, s.name, key, key
	f.Value, f.Baseline = r.value, r.others
	f.Samples = int64(len(r.runs[0].Values()))
	f.BaselineSamples = f.Samples
	f.Evidence, f.Threshold = exponent(r.logE()), min(s.book.Threshold(growthOf+key)/float64(with), mostE)
	perHour := r.perHour(lengths()[v.Judge.gauges.growing[key].span])
	f.Text = fmt.Sprintf("%s grows by %s an hour on %s, beside the others: it is %s now, on the others %s; evidence %s of %s needed",
		key, amount(key, perHour), s.name, amount(key, r.value), amount(key, r.others), thousands(f.Evidence), thousands(f.Threshold))
	if limit, named := v.limit(s, key); limit > r.value && perHour > 0 {
		f.Limit = limit
		left := time.Duration(min((limit-r.value)/perHour, 1e4) * float64(time.Hour))
		f.Text += fmt.Sprintf("; at this rate it meets %s of %s in %v", named, amount(key, limit), left.Round(time.Minute))
	}
	return f
}

// limits name the series that bound a resource, the most certain first.
func limits(name string) []string {
	switch name {
	case "process_open_fds":
		return []string{"process_max_fds"}
	case "process_resident_memory_bytes", "container_memory_working_set_bytes", "container_memory_usage_bytes":
		return []string{"container_spec_memory_limit_bytes", "go_gc_gomemlimit_bytes", "node_memory_MemTotal_bytes", "machine_memory_bytes"}
	case "go_memstats_heap_inuse_bytes", "go_memstats_alloc_bytes", "go_memstats_heap_alloc_bytes":
		return []string{"go_gc_gomemlimit_bytes", "container_spec_memory_limit_bytes"}
	case "jvm_memory_used_bytes", "jvm_memory_committed_bytes":
		return []string{"jvm_memory_max_bytes"}
	case "go_sql_open_connections", "go_sql_in_use_connections":
		return []string{"go_sql_max_open_connections"}
	case "hikaricp_connections", "hikaricp_connections_active", "hikaricp_connections_pending":
		return []string{"hikaricp_connections_max"}
	}
	return nil
}

// limit gives what bounds a resource, as far as the server tells; 0 if it does not.
func (v view) limit(s *subject, key string) (float64, string) {
	// More than this is how "no limit" is written.
	const unlimited = 1 << 50
	name, labels := cut(key)
	for _, row := range v.window.Servers {
		if row.Server != s.name {
			continue
		}
		for _, bound := range limits(name) {
			for _, series := range []string{bound + labels, bound} {
				if limit, there := row.Gauges[series]; there && limit > 0 && limit < unlimited {
					return limit, series
				}
			}
		}
	}
	return 0, ""
}

// amount writes a value of a series.
func amount(key string, value float64) string {
	name, _ := cut(key)
	if !strings.HasSuffix(name, "_bytes") || math.Abs(value) < 1000 {
		return fmt.Sprintf("%.3g", value)
	}
	for _, unit := range []string{"kB", "MB", "GB"} {
		if value /= 1000; math.Abs(value) < 999.5 {
			return fmt.Sprintf("%.3g %s", value, unit)
		}
	}
	return fmt.Sprintf("%.3g TB", value/1000)
}
