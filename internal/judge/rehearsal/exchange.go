package rehearsal

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/responses"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Answer is what one server answered to a mirrored request.
type Answer struct {
	Server  segue.ServerName    `json:"server"`
	Release segue.ReleaseName   `json:"release"`
	Status  int                 `json:"status,omitempty"`
	TookMS  float64             `json:"took_ms"`
	Header  map[string][]string `json:"header,omitempty"`
	Body    json.RawMessage     `json:"body,omitempty"`
	// Failure is set when there was no answer: "timeout".
	Failure string `json:"failure,omitempty"`
}

// Exchange is a mirrored request with the answers to it: that of the stable server that a user got, and those to its copies.
type Exchange struct {
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Primary   Answer    `json:"primary"`
	Secondary Answer    `json:"secondary"`
	Candidate Answer    `json:"candidate"`
}

// Triple is the exchange as answers are compared.
func (x Exchange) Triple() responses.Triple {
	answer := func(a Answer) responses.Answer {
		took := time.Duration(a.TookMS * float64(time.Millisecond))
		return responses.Answer{Status: a.Status, Header: a.Header, Body: a.Body, Took: took, Failure: a.Failure, At: x.At}
	}
	return responses.Triple{
		Method: x.Method, Path: x.Path, Primary: answer(x.Primary), Candidate: answer(x.Candidate), Secondaries: []responses.Answer{answer(x.Secondary)},
	}
}

// Compared is how often one place of the answers of a route differed in a look.
type Compared struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	judge.AnswerCount
}

// Compared gives what comparing the Exchanges finds, look by look: what judges are given.
func (w World) Compared() iter.Seq[Compared] {
	full := w.defaults()
	return func(yield func(Compared) bool) {
		tally, since := responses.NewTally(), full.Start
		tell := func() bool {
			for _, row := range tally.Window() {
				if !yield(Compared{since, since.Add(full.Look), row}) {
					return false
				}
			}
			since = since.Add(full.Look)
			return true
		}
		for x := range w.Exchanges() {
			for !x.At.Before(since.Add(full.Look)) {
				if !tell() {
					return
				}
			}
			tally.Add(x.Triple())
		}
		tell()
	}
}

// Exchanges gives the mirrored requests in the order of time, of routes that are read only. Without two stable servers there are none.
func (w World) Exchanges() iter.Seq[Exchange] {
	w = w.defaults()
	return func(yield func(Exchange) bool) {
		if w.Mirror <= 0 || w.Servers-w.Candidates < 2 {
			return
		}
		m := newMirrored(w)
		for at := w.Start; at.Before(w.Start.Add(w.Length)); at = at.Add(step) {
			for _, x := range m.step(at) {
				if !yield(x) {
					return
				}
			}
		}
	}
}

// mirrored answers requests in words.
type mirrored struct {
	World
	lots
	values
	servers []*traffic
	effects [][]effect
}

func newMirrored(w World) *mirrored {
	r, l := w.random("exchanges", 0), newLadder()
	m := &mirrored{World: w, lots: lots{r}, values: values{Rand: r}}
	for i := range w.Servers {
		m.servers = append(m.servers, newTraffic(w, newProcess(w, i), l))
	}
	return m
}

// step gives the exchanges of the step that begins at a time.
func (m *mirrored) step(at time.Time) []Exchange {
	m.effects = m.effects[:0]
	var up []int
	for i, t := range m.servers {
		m.effects = append(m.effects, t.effects(at))
		if i >= m.Candidates && !t.down(at) {
			up = append(up, i)
		}
	}
	var all []Exchange
	for range m.poisson(m.Requests * float64(m.Servers) * m.load(at) * m.Mirror * step.Minutes()) {
		route := int(m.servers[0].asked[m.lots.Uint64()%drawn])
		from, second, third := m.lots.IntN(max(1, len(up))), m.lots.IntN(max(1, len(up)-1)), m.lots.IntN(m.Candidates)
		method, path, _ := strings.Cut(m.servers[0].all[route].name, " ")
		if len(up) < 2 || method != http.MethodGet || m.servers[third].down(at) {
			continue
		}
		if second >= from {
			second++
		}
		id := m.lots.IntN(100_000)
		x := Exchange{At: at.Add(time.Duration(m.lots.Int64N(int64(step)))), Method: method, Path: strings.ReplaceAll(path, telemetry.RouteID, fmt.Sprint(id))}
		x.Primary, x.Secondary = m.answer(up[from], route, id, x.At), m.answer(up[second], route, id, x.At)
		x.Candidate = m.answer(third, route, id, x.At)
		all = append(all, x)
	}
	slices.SortStableFunc(all, func(a, b Exchange) int { return a.At.Compare(b.At) })
	return all
}

// Noise of answers: how often one comes from a cache, is older than the others, or does not come.
const (
	cached  = 0.08
	stale   = 0.005
	timeout = 0.001
)

// answer is what a server says to a request of a route, about the thing with the number.
func (m *mirrored) answer(server, route, id int, at time.Time) Answer {
	t, e := m.servers[server], m.effects[server][route]
	draw := m.lots.Uint64()
	a := Answer{Server: serverName(server), Release: t.release(at), Status: http.StatusOK}
	a.TookMS = float64(t.micros[min(max(0, t.base[draw%drawn]+e.shift), rungs-1)]) / 1000
	cache, old, fails, late := m.lots.Float64() < cached, m.lots.Float64() < stale, m.lots.Float64() < e.errors, m.lots.Float64() < timeout
	document := m.document(id, old)
	document["request_id"], document["served_at"] = m.hex(16), at.Add(time.Duration(m.lots.Int64N(int64(time.Millisecond)))).Format(time.RFC3339Nano)
	m.change(t, route, at, &a, document)
	switch {
	case late:
		return Answer{Server: a.Server, Release: a.Release, TookMS: 30_000, Failure: "timeout"}
	case fails:
		a.Status = http.StatusInternalServerError
	}
	if a.Status != http.StatusOK {
		document = map[string]any{"error": strings.ToLower(http.StatusText(a.Status))}
	}
	a.Header = map[string][]string{"Content-Type": {"application/json"}, "Cache-Status": {"miss"}}
	if cache {
		a.Header["Cache-Status"] = []string{"hit"}
	}
	a.Body, _ = json.Marshal(document) // of words and numbers
	return a
}

// document is what is known of the thing with the number; all servers say the same, but for an old price.
func (m *mirrored) document(id int, old bool) map[string]any {
	random := rand.New(rand.NewPCG(m.Seed, uint64(id)))
	const most = 4
	total, items := 0.0, make([]map[string]any, 0, most)
	for range 1 + random.IntN(most) {
		price := math.Round(random.Float64()*10_000) / 100
		total += price
		if old {
			price++
		}
		items = append(items, map[string]any{"sku": fmt.Sprint("sku-", random.IntN(1000)), "price": price})
	}
	return map[string]any{"id": id, "items": items, "total": math.Round(total*100) / 100}
}

// change does to an answer what the release does differently.
func (m *mirrored) change(t *traffic, route int, at time.Time, a *Answer, document map[string]any) {
	for _, c := range m.Changes {
		switch drawn := m.lots.Float64(); {
		case !t.candidate || !t.active(c, at):
		case c.Kind == ExtraField:
			document["links"] = []string{"/next"}
		case c.Kind != WrongField || t.all[route].name != busyRoute || drawn >= c.Size:
		case c.Severity == "type":
			document["total"] = fmt.Sprint(document["total"])
		case c.Severity == "status":
			a.Status = http.StatusNotFound
		case c.Severity == "value":
			document["total"] = 0
		default:
			delete(document, "total")
		}
	}
}
