package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// slow is how late in milliseconds the generator may send before the table says so.
const slow = 50

// String renders the report as a small table.
func (r *Report) String() string {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "kind\trequests\tper s\tfailed\tp50 ms\tp99 ms\tmax ms\t")
	for _, kind := range kinds() {
		k, sent := r.Kinds[kind]
		if !sent {
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.0f\t%d\t%.2f\t%.2f\t%.2f\t\n",
			kind, k.Requests, float64(k.Requests)/max(r.ElapsedSeconds, 0.001), k.Failed, k.P50MS, k.P99MS, k.MaxMS)
	}
	_ = table.Flush()
	fmt.Fprintf(&out, "%d requests in %.1f s, %d failed", r.Requests, r.ElapsedSeconds, r.Failed)
	writeCounts(&out, ": ", r.Causes)
	fmt.Fprintf(&out, "\n%d connections, %d idle closes seen", r.Connections.Dialed, r.Connections.IdleCloses)
	writeCounts(&out, "; releases ", r.Releases)
	writeCounts(&out, "; servers ", r.Servers)
	out.WriteByte('\n')
	if ws := r.WebSockets; ws.Opened > 0 {
		fmt.Fprintf(&out, "%d WebSockets opened, %d cut", ws.Opened, ws.Cut)
		writeCounts(&out, "; closed by code ", ws.Codes)
		out.WriteByte('\n')
	}
	if r.LatestMS > slow {
		fmt.Fprintf(&out, "the generator itself was up to %.0f ms late: do not trust the latencies\n", r.LatestMS)
	}
	if o := r.Orders; o != nil {
		fmt.Fprintf(&out, "%d POSTs acknowledged, %d failed: %d lost, %d applied twice, %d applied unacknowledged\n",
			o.Acknowledged, o.Failed, len(o.Lost), len(o.Twice), o.Unacknowledged)
	}
	return out.String()
}

// writeCounts writes "before" and the counts in order of their names, nothing without counts.
func writeCounts[K string | Cause | int](out *strings.Builder, before string, counts map[K]int64) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(out, "%s%v %d", before, name, counts[name])
		before = ", "
	}
}
