package load

import (
	"time"
)

// Kind is a kind of traffic.
type Kind string

// The kinds of traffic, in the order of a report.
const (
	KindGet       Kind = "get"
	KindPost      Kind = "post"
	KindUpload    Kind = "upload"
	KindStream    Kind = "stream"
	KindWebSocket Kind = "websocket"
)

// kinds lists every kind in the order of a report.
func kinds() []Kind { return []Kind{KindGet, KindPost, KindUpload, KindStream, KindWebSocket} }

// Report is the account of a run.
type Report struct {
	Target  string    `json:"target"`
	Started time.Time `json:"started"`
	// ElapsedSeconds is how long requests were sent; those in flight at its end are counted too.
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	// Requests counts everything sent: GETs, POSTs, uploads, streams, and echoes on WebSockets. Failed is the part of it
	// (and of WebSockets opened or cut) that failed.
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// Causes counts the failures of all kinds by cause.
	Causes map[Cause]int64 `json:"causes"`
	// Kinds has one entry for each kind that was sent.
	Kinds map[Kind]KindReport `json:"kinds"`
	// Servers and Releases count the answers by who gave them.
	Servers     map[string]int64 `json:"servers"`
	Releases    map[string]int64 `json:"releases"`
	Connections Connections      `json:"connections"`
	WebSockets  WebSockets       `json:"websockets"`
	// Failures are the first of the failures, in the order they were noticed; Unlisted counts the rest.
	Failures []Failure `json:"failures,omitempty"`
	Unlisted int64     `json:"unlisted_failures,omitempty"`
	// LatestMS is the longest time in milliseconds by which the generator itself sent a request late: where it is not
	// small, the machine was too busy for the latencies to mean much.
	LatestMS float64 `json:"latest_ms"`
	// Orders is there after Reconcile.
	Orders *Orders `json:"orders,omitempty"`

	acked, failed []string // ids of POSTs
}

// KindReport is the account of one kind of traffic. Latencies are those of whole successful answers, in milliseconds.
type KindReport struct {
	Requests int64           `json:"requests"`
	Failed   int64           `json:"failed"`
	Causes   map[Cause]int64 `json:"causes,omitempty"`
	MeanMS   float64         `json:"mean_ms"`
	P50MS    float64         `json:"p50_ms"`
	P90MS    float64         `json:"p90_ms"`
	P99MS    float64         `json:"p99_ms"`
	P999MS   float64         `json:"p999_ms"`
	MaxMS    float64         `json:"max_ms"`
}

// Connections is the account of the keep-alive connections.
type Connections struct {
	// Dialed counts the connections opened or tried.
	Dialed int64 `json:"dialed"`
	// IdleCloses counts those that the peer had closed while they rested, noticed before anything was written.
	IdleCloses int64 `json:"idle_closes"`
}

// WebSockets is the account of the WebSockets' lives.
type WebSockets struct {
	Opened int64 `json:"opened"`
	// Codes counts the ends that the peer brought about, by close code; -1 is an end without a close frame.
	Codes map[int]int64 `json:"codes"`
	// Cut counts the ends without a close frame; each is a failure.
	Cut int64 `json:"cut"`
	// Unanswered counts the messages that were under way when the peer closed properly.
	Unanswered int64 `json:"unanswered"`
	// Closes are the first of the peer's closes.
	Closes []Close `json:"closes,omitempty"`
}

// Close is the end of one WebSocket.
type Close struct {
	At         time.Time `json:"at"`
	AgeSeconds float64   `json:"age_seconds"`
	// Code is the close code, -1 where no close frame came.
	Code     int    `json:"code"`
	Reason   string `json:"reason,omitempty"`
	Server   string `json:"server,omitempty"`
	Release  string `json:"release,omitempty"`
	ByClient bool   `json:"by_client,omitempty"`
}

// Failure is one failed request.
type Failure struct {
	// At is when the failure was noticed, Due when the request was released.
	At    time.Time `json:"at"`
	Due   time.Time `json:"due"`
	Kind  Kind      `json:"kind"`
	Cause Cause     `json:"cause"`
	Stage Stage     `json:"stage"`
	ID    string    `json:"id,omitempty"`
	// Reused says that the connection had carried a request before.
	Reused  bool   `json:"reused,omitempty"`
	Server  string `json:"server,omitempty"`
	Release string `json:"release,omitempty"`
	Detail  string `json:"detail"`
}

// Orders compares the POSTs sent with what the servers say they applied.
type Orders struct {
	Acknowledged int64 `json:"acknowledged"`
	Failed       int64 `json:"failed"`
	Applied      int64 `json:"applied"`
	// Lost are ids that were acknowledged and never applied, Twice ids that were applied more than once. Both are empty
	// where all is well.
	Lost  []string `json:"lost,omitempty"`
	Twice []string `json:"twice,omitempty"`
	// Unacknowledged counts those that were applied and whose answer failed: the client cannot know.
	Unacknowledged int64 `json:"unacknowledged"`
	// Foreign counts applied ids that this run did not send.
	Foreign int64 `json:"foreign"`
}

// Reconcile compares the POSTs of the run with how often each id was applied, and returns and keeps the result.
func (r *Report) Reconcile(applied map[string]int) *Orders {
	orders := &Orders{Acknowledged: int64(len(r.acked)), Failed: int64(len(r.failed))}
	for _, id := range r.acked {
		if applied[id] == 0 {
			orders.Lost = append(orders.Lost, id)
		}
	}
	own := int64(0)
	for _, ids := range [][]string{r.acked, r.failed} {
		for _, id := range ids {
			if n := applied[id]; n > 0 {
				own++
				orders.Applied += int64(n)
				if n > 1 {
					orders.Twice = append(orders.Twice, id)
				}
			}
		}
	}
	for _, id := range r.failed {
		if applied[id] > 0 {
			orders.Unacknowledged++
		}
	}
	orders.Foreign = int64(len(applied)) - own
	r.Orders = orders
	return orders
}
