package metrics_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// pages serves texts one after the other, the last one again and again.
func pages(t *testing.T, texts ...string) *metrics.Scraper {
	t.Helper()
	at := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := texts[min(at, len(texts)-1)]
		at++
		io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return metrics.NewScraper(server.Client(), server.URL+"/metrics")
}

// scrapes reads a page every 10 s, and gives the last one's values.
func scrapes(t *testing.T, texts ...string) (metrics.Scraped, error) {
	t.Helper()
	scraper, now := pages(t, texts...), begun()
	var got metrics.Scraped
	var err error
	for range texts {
		got, err = scraper.Scrape(t.Context(), now)
		now = now.Add(10 * time.Second)
	}
	return got, err
}

func TestScrape(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		texts []string
		want  map[string]float64
	}{
		{"gauge", []string{"# TYPE queue gauge\nqueue 3\n"}, map[string]float64{"queue": 3}},
		{"first counter has no rate", []string{"# TYPE hits_total counter\nhits_total 5\n"}, map[string]float64{}},
		{"counter", []string{"# TYPE hits counter\nhits 5\n", "# TYPE hits counter\nhits 25\n"}, map[string]float64{"hits": 2}},
		{"counter without type", []string{"hits_total 5\n", "hits_total 25\n"}, map[string]float64{"hits_total": 2}},
		{"counter began anew", []string{"# TYPE hits counter\nhits 500\n", "# TYPE hits counter\nhits 30\n"}, map[string]float64{"hits": 3}},
		{"counter was born", []string{"up 1\n", "up 1\nhits_total 20\n"}, map[string]float64{"up": 1, "hits_total": 2}},
		{"counter came back", []string{"hits_total 5\n", "up 1\n", "hits_total 25\n"}, map[string]float64{"hits_total": 2.5}},
		{"no numbers", []string{"a NaN\nb +Inf\nc -Inf\nd 1\n"}, map[string]float64{"d": 1}},
		{"counter was no number", []string{"hits_total NaN\n", "hits_total 20\n"}, map[string]float64{"hits_total": 2}},
		{"no line feed at the end", []string{"a 1\nb 2"}, map[string]float64{"a": 1, "b": 2}},
		{"nothing", []string{""}, map[string]float64{}},
		{"comments alone", []string{"# hello\n# EOF\n"}, map[string]float64{}},
		{"labels in order, without those of the place", []string{`q{z="1",version="v2",a="x\"y",instance="web-1:80",pod="p"} 7` + "\n"}, map[string]float64{`q{a="x\"y",z="1"}`: 7}},
		{"what differs only in the place", []string{"q{pod=\"a\"} 1\nq{pod=\"b\"} 3\n# TYPE c counter\nc{pod=\"a\"} 0\nc{pod=\"b\"} 0\n", "# TYPE c counter\nc{pod=\"a\"} 10\nc{pod=\"b\"} 10\n"}, map[string]float64{"c": 2}},
		{"mean of gauges of one name", []string{"q{pod=\"a\"} 1\nq{pod=\"b\"} 3\n"}, map[string]float64{"q": 2}},
		{"start and build tell nothing", []string{"process_start_time_seconds 1.7e9\ngo_info{version=\"go1\"} 1\njob_last_timestamp_seconds 5\n"}, map[string]float64{}},
		{
			"histogram",
			[]string{histogram(10, 5), histogram(30, 25)},
			map[string]float64{`wait_count{path="/"}`: 2, `wait_mean{path="/"}`: 1},
		},
		{"histogram began anew", []string{histogram(100, 50), histogram(10, 5)}, map[string]float64{`wait_count{path="/"}`: 1, `wait_mean{path="/"}`: 0.5}},
		{"histogram that rests has no mean", []string{histogram(10, 5), histogram(10, 5)}, map[string]float64{`wait_count{path="/"}`: 0}},
		{
			"summary",
			[]string{
				"# TYPE gc summary\ngc{quantile=\"0.5\"} 9\ngc_sum 1\ngc_count 1\n",
				"# TYPE gc summary\ngc{quantile=\"0.5\"} 9\ngc_sum 4\ngc_count 11\n",
			},
			map[string]float64{"gc_count": 1, "gc_mean": 0.3},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := scrapes(t, test.texts...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Gauges); diff != "" {
				t.Errorf("gauges (-want +got):\n%s", diff)
			}
		})
	}
}

func histogram(count int, sum float64) string {
	return fmt.Sprintf("# TYPE wait histogram\nwait_bucket{path=\"/\",le=\"1\"} %d\nwait_bucket{path=\"/\",le=\"+Inf\"} %d\nwait_sum{path=\"/\"} %v\nwait_count{path=\"/\"} %d\n",
		count, count, sum, count)
}

func TestScrapeOfWhatIsNone(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("x", 100)
	for _, test := range []struct{ name, text, want string }{
		{"a web page", "<!doctype html><p>hello", "parse metrics"},
		{"a value that is none", "a b\n", "parse metrics"},
		{"half a label", "a{b=\"", "parse metrics"},
		{"bytes", "\x00\xff\xfe{}\n", "parse metrics"},
		{"two types", "# TYPE a gauge\n# TYPE a counter\na 1\n", "parse metrics"},
		{"huge", strings.Repeat("a{b=\""+deep+"\"} 1\n", 50_000), "larger than 4 MiB"},
		{"one huge line", strings.Repeat("a", 5<<20), "larger than 4 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := scrapes(t, test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one of %q; got %v", err, test.want, got)
			}
		})
	}
}

func TestScrapeKeepsTheBaseWhenAScrapeFails(t *testing.T) {
	t.Parallel()
	got, err := scrapes(t, "hits_total 0\n", "rubbish", "hits_total 40\n")
	if err != nil || got.Gauges["hits_total"] != 2 {
		t.Errorf("%v, %v; want a rate of 2 over 20 s", got, err)
	}
}

func TestScrapeOfTooManySeries(t *testing.T) {
	t.Parallel()
	lines := make([]string, 3000)
	for i := range lines {
		lines[i] = fmt.Sprintf("a{n=\"%04d\"} %d\n", i, i)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	got, err := scrapes(t, strings.Join(lines, ""))
	if err != nil || len(got.Gauges) > 2000 || len(got.Gauges)+got.LeftOut != 3000 {
		t.Fatalf("%d series, %d left out, %v", len(got.Gauges), got.LeftOut, err)
	}
	if last := slices.Sorted(maps.Keys(got.Gauges))[len(got.Gauges)-1]; last != fmt.Sprintf("a{n=\"%04d\"}", len(got.Gauges)-1) {
		t.Errorf("the last one is %s: not the first in order", last)
	}
}

func TestScrapeOfAServerThatDoesNot(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := strings.Replace(server.URL, "http://", "http://user:hush@", 1)
	scraper := metrics.NewScraper(server.Client(), address)
	if _, err := scraper.Scrape(t.Context(), begun()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one with 404", err)
	}
	server.Close()
	_, err := scraper.Scrape(t.Context(), begun())
	if segue.KindOf(err) != segue.KindUnavailable || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "user") {
		t.Errorf("error %v (%v)", err, segue.KindOf(err))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scraper.Scrape(canceled, begun()); err == nil {
		t.Error("a canceled scrape gives no error")
	}
}
