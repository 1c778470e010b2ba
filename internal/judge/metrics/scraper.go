package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/segue-deploy/segue"
)

// mostBytes is how much of an answer is read.
const mostBytes = 4 << 20

// Scraper reads the metrics of one instance, scrape by scrape. It is for one goroutine.
type Scraper struct {
	client *http.Client
	url    string
	// last is the scrape before, taken at.
	last *reading
	at   time.Time
}

// NewScraper makes one for the address of an instance's metrics. The client brings the time limit.
func NewScraper(client *http.Client, address string) *Scraper {
	return &Scraper{client: client, url: address}
}

// Scraped is what one scrape tells.
type Scraped struct {
	// Gauges are values by series: "name{label="value"}". A gauge gives its value, a counter its rate per second since the scrape before, a
	// histogram or summary the rate of its observations (name_count) and their mean (name_mean). What is no number is not there.
	Gauges map[string]float64
	// LeftOut counts series beyond the limit of 2,000.
	LeftOut int
}

// Scrape reads the endpoint. The first scrape gives gauges alone. An answer that is too large (4 MiB) or none of metrics is an error, and
// leaves what the next rates are taken from.
func (s *Scraper) Scrape(ctx context.Context, now time.Time) (Scraped, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return Scraped{}, segue.Errorf(segue.KindInvalid, "scrape metrics: the address is none").WithHint("see scrape in segue.yaml")
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4;q=1,*/*;q=0.1")
	body, err := answer(s.client, request)
	if err != nil {
		return Scraped{}, segue.Errorf(segue.KindUnavailable, "scrape metrics: %w", err)
	}
	defer body.Close()
	bounded := &boundedReader{from: body, left: mostBytes}
	current, err := read(bounded)
	switch {
	case bounded.over:
		return Scraped{}, segue.Errorf(segue.KindInvalid, "scrape metrics: the answer is larger than 4 MiB").
			WithHint("name a path with fewer series in scrape of segue.yaml")
	case err != nil:
		return Scraped{}, segue.Errorf(segue.KindInvalid, "scrape metrics: %w", err).
			WithHint("the path must answer in Prometheus' text format: see scrape in segue.yaml")
	}
	scraped := Scraped{Gauges: current.since(s.last, now.Sub(s.at).Seconds()), LeftOut: current.leftOut}
	s.last, s.at = &current, now
	return scraped, nil
}

// since turns counts into rates. A counter that fell began anew at 0, as has one that was not there when all were.
func (r *reading) since(last *reading, seconds float64) map[string]float64 {
	gauges := make(map[string]float64, len(r.gauges)+len(r.counters)+2*len(r.totals))
	put := func(key string, value float64) {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			gauges[key] = value
		}
	}
	for key, a := range r.gauges {
		put(key, a.sum/a.n)
	}
	if last == nil || !(seconds > 0) {
		return gauges
	}
	for key, value := range r.counters {
		before, there := last.counters[key]
		if !there && last.leftOut > 0 {
			continue
		}
		if value >= before {
			value -= before
		}
		put(key, value/seconds)
	}
	for key, t := range r.totals {
		before, there := last.totals[key]
		if !there && last.leftOut > 0 {
			continue
		}
		if t.count >= before.count {
			t = total{t.count - before.count, t.sum - before.sum}
		}
		name, labels := cut(key)
		put(name+"_count"+labels, t.count/seconds)
		if t.count > 0 {
			put(name+"_mean"+labels, t.sum/t.count)
		}
	}
	return gauges
}

// cut parts a series into its name and its labels.
func cut(key string) (name, labels string) {
	for i := range key {
		if key[i] == '{' {
			return key[:i], key[i:]
		}
	}
	return key, ""
}

// answer does a request and gives the body of its answer if that is a good one. Errors name no address: it may hold a password.
func answer(client *http.Client, request *http.Request) (io.ReadCloser, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, bare(err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	}
	return response.Body, nil
}

// bare takes the address out of a client's error.
func bare(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

// boundedReader ends a body that is too large with an error, and says so.
type boundedReader struct {
	from io.Reader
	left int
	over bool
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= n; b.left < 0 {
		b.over = true
		return 0, errors.New("too large")
	}
	return n, err
}
