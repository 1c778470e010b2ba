package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/segue-deploy/segue"
)

// PromQL asks a Prometheus server.
type PromQL struct {
	// Client brings the time limit.
	Client *http.Client
	// URL is the server's, without /api.
	URL string
	// Token gives the bearer token for each query; nil for none. It is in no error and no log.
	Token func() (string, error)
	// Label names the server in each series ("instance"; a port behind the name is cut off).
	Label string
}

// FileToken reads the token from a file, each time anew since tokens are changed.
func FileToken(path string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	}
}

// EnvToken takes the token from the environment.
func EnvToken(name string) func() (string, error) {
	return func() (string, error) {
		if text, ok := os.LookupEnv(name); ok {
			return strings.TrimSpace(text), nil
		}
		return "", fmt.Errorf("%s is not set", name)
	}
}

// reply is the API's answer to a query.
type reply struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// Query gives the value of each server at a time. Values that are no numbers are not there. Two series of one server are an error: nobody
// could tell which one was meant.
func (p *PromQL) Query(ctx context.Context, query string, at time.Time) (map[segue.ServerName]float64, error) {
	got, err := p.ask(ctx, query, at)
	if err != nil {
		return nil, err
	}
	if got.Status != "success" {
		return nil, segue.Errorf(segue.KindInvalid, "query Prometheus: %s: %s", got.ErrorType, short(got.Error)).WithHint("see queries in segue.yaml")
	}
	if got.Data.ResultType != model.ValVector.String() {
		return nil, segue.Errorf(segue.KindInvalid, "query Prometheus: the answer is a %s and no vector", short(got.Data.ResultType)).
			WithHint("a query must give one series per server")
	}
	var vector model.Vector
	if err := json.Unmarshal(got.Data.Result, &vector); err != nil {
		return nil, segue.Errorf(segue.KindUnavailable, "query Prometheus: read answer: %w", err)
	}
	return p.byServer(vector)
}

// ask sends the query.
func (p *PromQL) ask(ctx context.Context, query string, at time.Time) (got reply, err error) {
	form := url.Values{"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1e3, 'f', 3, 64)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(p.URL, "/")+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		return got, segue.Errorf(segue.KindInvalid, "query Prometheus: the address is none").WithHint("see queries in segue.yaml")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.Token != nil {
		token, err := p.Token()
		if err != nil || token == "" || strings.ContainsAny(token, "\r\n") {
			return got, segue.Errorf(segue.KindInvalid, "query Prometheus: the token cannot be read").WithHint("see queries in segue.yaml")
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := p.Client.Do(request)
	if err != nil {
		return got, segue.Errorf(segue.KindUnavailable, "query Prometheus: %w", bare(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(&boundedReader{from: response.Body, left: mostBytes})
	if err != nil {
		return got, segue.Errorf(segue.KindUnavailable, "query Prometheus: read answer: %w", err)
	}
	// Faults of the query come with a status of 400 or 422, and a reply that says more.
	if err := json.Unmarshal(body, &got); err != nil || got.Status == "" {
		return got, segue.Errorf(segue.KindUnavailable, "query Prometheus: answered %d, and not as Prometheus does", response.StatusCode).
			WithHint("see whether the address is that of a Prometheus server, and whether it wants a token")
	}
	return got, nil
}

// byServer finds the server of each series.
func (p *PromQL) byServer(vector model.Vector) (map[segue.ServerName]float64, error) {
	if len(vector) > mostSeries {
		return nil, segue.Errorf(segue.KindInvalid, "query Prometheus: %d series, %d at most", len(vector), mostSeries).WithHint("sum them up by %s", p.Label)
	}
	values, seen := map[segue.ServerName]float64{}, map[segue.ServerName]bool{}
	for _, s := range vector {
		name := string(s.Metric[model.LabelName(p.Label)])
		if host, port, ok := strings.Cut(name, ":"); ok && number(port) {
			name = host
		}
		server, value := segue.ServerName(name), float64(s.Value)
		switch {
		case name == "":
			return nil, segue.Errorf(segue.KindInvalid, "query Prometheus: a series has no label %q", p.Label).WithHint("sum by (%s) (...)", p.Label)
		case seen[server]:
			return nil, segue.Errorf(segue.KindInvalid, "query Prometheus: two series of %s", short(name)).WithHint("sum by (%s) (...)", p.Label)
		}
		if seen[server] = true; !math.IsNaN(value) && !math.IsInf(value, 0) {
			values[server] = value
		}
	}
	return values, nil
}

func number(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// short cuts a foreign text for an error.
func short(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
