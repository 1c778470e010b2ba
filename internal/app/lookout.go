package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
)

// newLookout watches what the judges of a service go by, and keeps the last hour of it in a folder.
func newLookout(folder string, logger *slog.Logger) func(segue.Service, workload.Driver) *lookout.Lookout {
	return func(settings segue.Service, driver workload.Driver) *lookout.Lookout {
		options := lookout.Options{Logger: logger}
		judging := settings.Judging
		if judging.Budget <= 0 {
			return lookout.New(options)
		}
		options.File = filepath.Join(folder, string(settings.Name)+".jsonl.gz")
		if judging.Logs {
			options.Logs = func(ctx context.Context, id segue.InstanceID, tail int) (io.ReadCloser, error) {
				return driver.Logs(ctx, id, tail, true)
			}
			options.Written = func(ctx context.Context, id segue.InstanceID, tail int) (io.ReadCloser, error) {
				return driver.Logs(ctx, id, tail, false)
			}
		}
		if judging.Metrics && judging.Scrape != nil {
			options.Gauges = newScrapers(*judging.Scrape).gauges
		}
		if judging.Metrics && judging.Queries != nil {
			options.Fleet = func(ctx context.Context) (map[segue.ServerName]map[string]float64, error) {
				return ask(ctx, settings.Name, *judging.Queries)
			}
		}
		return lookout.New(options)
	}
}

// metricsClient follows no redirect: metrics are where the file says.
func metricsClient() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// scrapers has one for each instance: rates are taken between two readings of the same process.
type scrapers struct {
	scrape segue.Scrape
	client *http.Client

	mu sync.Mutex
	of map[segue.InstanceID]*scraper
}

type scraper struct {
	mu   sync.Mutex
	from *metrics.Scraper
	used time.Time
}

// forgotten is after how long an instance that is asked no more is forgotten.
const forgotten = 10 * time.Minute

func newScrapers(scrape segue.Scrape) *scrapers {
	return &scrapers{scrape: scrape, client: metricsClient(), of: map[segue.InstanceID]*scraper{}}
}

func (s *scrapers) gauges(ctx context.Context, instance lookout.Watched) (map[string]float64, error) {
	host, port, err := net.SplitHostPort(instance.Address)
	if err != nil {
		return nil, fmt.Errorf("scrape metrics of %s: %w", instance.Instance, err)
	}
	if s.scrape.Port != 0 {
		port = strconv.Itoa(s.scrape.Port)
	}
	one := s.one(instance.Instance, "http://"+net.JoinHostPort(host, port)+s.scrape.Path)
	one.mu.Lock()
	defer one.mu.Unlock()
	scraped, err := one.from.Scrape(ctx, time.Now())
	return scraped.Gauges, err
}

func (s *scrapers) one(id segue.InstanceID, address string) *scraper {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for other, known := range s.of {
		if now.Sub(known.used) > forgotten {
			delete(s.of, other)
		}
	}
	if s.of[id] == nil {
		s.of[id] = &scraper{from: metrics.NewScraper(s.client, address)}
	}
	s.of[id].used = now
	return s.of[id]
}

// ask asks a Prometheus server for what every server of a service says.
func ask(ctx context.Context, service segue.ServiceName, queries segue.Queries) (map[segue.ServerName]map[string]float64, error) {
	server := metrics.PromQL{Client: metricsClient(), URL: queries.URL, Label: queries.Label}
	if queries.TokenFile != "" {
		server.Token = metrics.FileToken(queries.TokenFile)
	}
	all := map[segue.ServerName]map[string]float64{}
	var failed error
	for name, query := range queries.Queries {
		text, err := metrics.Names{Service: service}.Fill(query)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		values, err := server.Query(ctx, text, time.Now())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		for at, value := range values {
			if all[at] == nil {
				all[at] = map[string]float64{}
			}
			all[at][name] = value
		}
	}
	return all, failed
}

// caveatsName is the file of caveats beside segue.yaml, where that names no other.
const caveatsName = "caveats.yaml"

// readCaveats reads what a service's team knows of and lives with. A file that segue.yaml names has to be there.
func readCaveats(project *spec.Project, service spec.Service) ([]segue.Caveat, error) {
	path := service.CaveatsFile
	if path == "" {
		path = filepath.Join(project.Dir, caveatsName)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && service.CaveatsFile == "" {
		return nil, nil
	}
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read caveats: %w", err)
	}
	shown := path
	if relative, err := filepath.Rel(project.Dir, path); err == nil && filepath.IsLocal(relative) {
		shown = relative
	}
	known, err := logs.ReadCaveats(bytes.NewReader(text), shown)
	if err != nil {
		return nil, err
	}
	var caveats []segue.Caveat
	for _, c := range known {
		if c.Service != "" && c.Service != service.Name {
			continue
		}
		caveats = append(caveats, segue.Caveat{
			ID: c.ID, Fingerprint: c.Fingerprint, Match: c.Match, Scope: c.Scope, Owner: c.Owner, Reason: c.Reason,
			Ceiling: c.Ceiling, Expires: c.Expires, Rate: c.Rate, Share: c.Share,
		})
	}
	return caveats, nil
}
