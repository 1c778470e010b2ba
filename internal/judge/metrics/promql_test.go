package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

func TestFill(t *testing.T) {
	t.Parallel()
	names := metrics.Names{Server: "web.1", Service: "shop", Release: `v"2'`}
	for _, test := range []struct{ name, query, want, fault string }{
		{name: "none", query: `sum by (server) (up)`, want: `sum by (server) (up)`},
		{name: "bare", query: `up{server={{server}}}`, want: `up{server="web.1"}`},
		{name: "in quotes", query: `up{server="{{ server }}:80"}`, want: `up{server="web.1:80"}`},
		{name: "in single quotes", query: `up{release='{{release}}'}`, want: `up{release='v"2\''}`},
		{name: "double quote escaped", query: `up{release="{{release}}"}`, want: `up{release="v\"2'"}`},
		{name: "pattern", query: `up{server=~"{{server}}.*", job!~ '{{server}}'}`, want: `up{server=~"web\\.1.*", job!~ 'web\\.1'}`},
		{name: "backticks", query: "up{a=`{{service}}`}", want: "up{a=`shop`}"},
		{name: "escaped quote before", query: `up{a="\"",b={{service}}}`, want: `up{a="\"",b="shop"}`},
		{name: "comment", query: "up # {{nobody}} \"\n+ {{service}}", want: "up \n+ \"shop\""},
		{name: "unknown", query: `up{a="{{pod}}"}`, fault: "pod"},
		{name: "open", query: `up{a="{{server"}`, fault: "without"},
		{name: "open string", query: `up{a="x}`, fault: "not closed"},
	} {
		got, err := names.Fill(test.query)
		if test.fault != "" {
			if err == nil || !strings.Contains(err.Error(), test.fault) || segue.KindOf(err) != segue.KindInvalid {
				t.Errorf("%s: %q, error %v", test.name, got, err)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	if got, err := (metrics.Names{Service: "a`b"}).Fill("up{a=`{{service}}`}"); err == nil {
		t.Errorf("a backtick between backticks: %q", got)
	}
}

// TestFillKeepsTheGrammar: whatever a name is, all that is outside of strings stays what it was.
func TestFillKeepsTheGrammar(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching("[\"'`\\\\{}a#\n]{0,8}")).Draw(t, "name")
		query := rapid.SampledFrom([]string{`a{s={{server}}} + 1`, `a{s="{{server}}"} + 1`, `a{s='{{server}}'} + 1`, `a{s=~"{{server}}"} + 1`}).Draw(t, "query")
		got, err := metrics.Names{Server: segue.ServerName(name)}.Fill(query)
		if err != nil {
			t.Fatal(err)
		}
		bare := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(got, `a{s=`), "~"), `} + 1`)
		quote := bare[0]
		if bare[len(bare)-1] != quote || len(bare) < 2 {
			t.Fatalf("%q is no string", bare)
		}
		for i := 1; i < len(bare)-1; i++ {
			switch bare[i] {
			case '\\':
				if i++; i == len(bare)-1 {
					t.Fatalf("%q escapes its end", bare)
				}
			case quote, '\n':
				t.Fatalf("%q ends at %d", bare, i)
			}
		}
	})
}

// asked runs a query against a server that always answers so.
func asked(t *testing.T, status int, answer string, p metrics.PromQL) (map[segue.ServerName]float64, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prom/api/v1/query" || r.FormValue("query") != `up{a="b+c"}` || r.FormValue("time") != "1772366400.000" {
			t.Errorf("asked %s %v", r.URL, r.Form)
		}
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(answer, "TOKEN", r.Header.Get("Authorization")))
	}))
	defer server.Close()
	p.Client, p.URL, p.Label = server.Client(), server.URL+"/prom/", "instance"
	return p.Query(t.Context(), `up{a="b+c"}`, begun())
}

func vector(series string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + series + `]}}`
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		answer string
		want   map[segue.ServerName]float64
		fault  string
	}{
		{"servers", 200, vector(`{"metric":{"instance":"web-1:9100"},"value":[1,"1.5"]},{"metric":{"instance":"web-2"},"value":[1,"2"]}`), map[segue.ServerName]float64{"web-1": 1.5, "web-2": 2}, ""},
		{"none", 200, vector(""), map[segue.ServerName]float64{}, ""},
		{"no number", 200, vector(`{"metric":{"instance":"a"},"value":[1,"NaN"]},{"metric":{"instance":"b"},"value":[1,"+Inf"]}`), map[segue.ServerName]float64{}, ""},
		{"twice", 200, vector(`{"metric":{"instance":"a:1"},"value":[1,"1"]},{"metric":{"instance":"a:2"},"value":[1,"2"]}`), nil, "two series of a"},
		{"no label", 200, vector(`{"metric":{"job":"a"},"value":[1,"1"]}`), nil, `no label "instance"`},
		{"a matrix", 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, nil, "no vector"},
		{"a fault of the query", 400, `{"status":"error","errorType":"bad_data","error":"parse error at 3"}`, nil, "bad_data: parse error at 3"},
		{"no such page", 404, "404 page not found", nil, "answered 404"},
		{"not allowed", 401, "who are you, TOKEN?", nil, "answered 401"},
		{"a web page", 200, "<html>", nil, "not as Prometheus does"},
		{"a vector that is none", 200, vector(`{"value":"x"}`), nil, "read answer"},
		{"huge", 200, vector(strings.Repeat(" ", 5<<20)), nil, "too large"},
		{"too many", 200, vector(strings.TrimSuffix(strings.Repeat(`{"metric":{"instance":"a"},"value":[1,"1"]},`, 2001), ",")), nil, "2001 series"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := asked(t, test.status, test.answer, metrics.PromQL{Token: func() (string, error) { return "hush", nil }})
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "hush") {
					t.Errorf("error %v, want %q", err, test.fault)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v; (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("METRICS_TOKEN", "hush")
	answer := vector(`{"metric":{"instance":"TOKEN"},"value":[1,"1"]}`)
	for name, token := range map[string]func() (string, error){"file": metrics.FileToken(path), "env": metrics.EnvToken("METRICS_TOKEN")} {
		if got, err := asked(t, 200, answer, metrics.PromQL{Token: token}); err != nil || got["Bearer hush"] != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, token := range map[string]func() (string, error){"no file": metrics.FileToken(path + "2"), "no env": metrics.EnvToken("METRICS_TOKEN_2")} {
		if _, err := asked(t, 200, answer, metrics.PromQL{Token: token}); segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
