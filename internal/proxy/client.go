package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Client speaks to a proxy's admin socket. All methods may be called at the same time, and again: doing a thing twice is doing it once.
// A method that changes something returns nil when the change is live and stored. Errors have the kind that the proxy gave;
// KindUnavailable when it does not answer: the change may or may not be live then.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client for the admin socket at a path. It connects when it is first used.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return unixsock.Dial(ctx, socket)
		},
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}}}
}

// Close lets idle connections go. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health is what a proxy says of itself.
type Health struct {
	// Epoch changes when the process is another one.
	Epoch    string   `json:"epoch"`
	Services []string `json:"services"`
	// Stopping is true while it takes its leave.
	Stopping bool `json:"stopping,omitempty"`
}

// Health asks whether the proxy is there.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.call(ctx, http.MethodGet, "/healthz", nil, &h)
}

// Services gives all services, without their failed requests.
func (c *Client) Services(ctx context.Context) (all []Snapshot, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/services", nil, &all)
}

// Snapshot gives one service.
func (c *Client) Snapshot(ctx context.Context, service string) (s Snapshot, err error) {
	return s, c.call(ctx, http.MethodGet, path(service), nil, &s)
}

// Configure brings a service into being, or changes it while it serves; its backends stay.
func (c *Client) Configure(ctx context.Context, service string, config Config) error {
	return c.call(ctx, http.MethodPut, path(service), config, nil)
}

// Forget removes a service; its clients are sent away politely first.
func (c *Client) Forget(ctx context.Context, service string) error {
	return c.call(ctx, http.MethodDelete, path(service), nil, nil)
}

// Add makes a backend known, out of rotation; KindConflict when it is known with another address.
func (c *Client) Add(ctx context.Context, service string, b Backend) error {
	return c.call(ctx, http.MethodPost, path(service, "backends"), b, nil)
}

// Admit puts a backend in rotation; its share grows over slowStart.
func (c *Client) Admit(ctx context.Context, service string, id segue.InstanceID, slowStart time.Duration) error {
	return c.call(ctx, http.MethodPost, path(service, "backends", string(id), "admit"), admitRequest{slowStart}, nil)
}

// Drain takes a backend out of rotation. Once it returns, no request begins there.
func (c *Client) Drain(ctx context.Context, service string, id segue.InstanceID) error {
	return c.call(ctx, http.MethodPost, path(service, "backends", string(id), "drain"), nil, nil)
}

// InFlight counts what a backend still has to do.
func (c *Client) InFlight(ctx context.Context, service string, id segue.InstanceID) (n InFlight, err error) {
	return n, c.call(ctx, http.MethodGet, path(service, "backends", string(id), "in-flight"), nil, &n)
}

// Backend reports one backend; KindNotFound when it is not known, or was removed.
func (c *Client) Backend(ctx context.Context, service string, id segue.InstanceID) (b BackendStatus, err error) {
	return b, c.call(ctx, http.MethodGet, path(service, "backends", string(id)), nil, &b)
}

// Settle closes the idle connections to a backend.
func (c *Client) Settle(ctx context.Context, service string, id segue.InstanceID) error {
	return c.call(ctx, http.MethodPost, path(service, "backends", string(id), "settle"), nil, nil)
}

// CloseLong ends a backend's long connections one by one over a time, and returns their number when all are closed.
func (c *Client) CloseLong(ctx context.Context, service string, id segue.InstanceID, spread time.Duration) (int, error) {
	var answer closeLongAnswer
	err := c.call(ctx, http.MethodPost, path(service, "backends", string(id), "close-long"), closeLongRequest{spread}, &answer)
	return answer.Closed, err
}

// Remove forgets a backend; KindConflict while it is in rotation.
func (c *Client) Remove(ctx context.Context, service string, id segue.InstanceID) error {
	return c.call(ctx, http.MethodDelete, path(service, "backends", string(id)), nil, nil)
}

// Weigh gives each release its share of new users; nil goes back to equal ones.
func (c *Client) Weigh(ctx context.Context, service string, shares map[segue.ReleaseName]float64) error {
	return c.call(ctx, http.MethodPut, path(service, "weights"), weighRequest{shares}, nil)
}

// Hold parks new requests, each for `most` at the longest.
func (c *Client) Hold(ctx context.Context, service string, most time.Duration) error {
	return c.call(ctx, http.MethodPut, path(service, "hold"), holdRequest{most}, nil)
}

// Unhold lets parked requests go.
func (c *Client) Unhold(ctx context.Context, service string) error {
	return c.call(ctx, http.MethodDelete, path(service, "hold"), nil, nil)
}

// Maintenance switches the maintenance page.
func (c *Client) Maintenance(ctx context.Context, service string, on bool, retryAfter time.Duration) error {
	if !on {
		return c.call(ctx, http.MethodDelete, path(service, "maintenance"), nil, nil)
	}
	return c.call(ctx, http.MethodPut, path(service, "maintenance"), maintenanceRequest{retryAfter}, nil)
}

// Metrics gives the metrics in Prometheus's text form.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	answer, err := c.send(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics of the proxy: %w", err)
	}
	return text, nil
}

func path(service string, rest ...string) string {
	parts := make([]string, 0, 2+len(rest))
	parts = append(parts, "/v1/services", url.PathEscape(service))
	for _, part := range rest {
		parts = append(parts, url.PathEscape(part))
	}
	return strings.Join(parts, "/")
}

// call sends a request and reads its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return refusal(answer)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return segue.Errorf(segue.KindUnavailable, "read answer of the proxy at %s: %w", c.socket, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request to the proxy: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, body)
	if err != nil {
		return nil, fmt.Errorf("build request to the proxy: %w", err)
	}
	answer, err := c.http.Do(req)
	if err == nil {
		return answer, nil
	}
	kind := segue.KindUnavailable
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		kind = segue.KindTimeout
	case errors.Is(err, context.Canceled):
		kind = segue.KindCanceled
	}
	return nil, segue.Errorf(kind, "ask the proxy at %s: %w", c.socket, err).
		WithHint("see whether `segue proxy` runs; it keeps serving its last configuration when it is started again")
}

// refusal reads a problem.
func refusal(answer *http.Response) error {
	var p problem
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAdminBody))
	if err := json.Unmarshal(text, &p); err != nil || p.Message == "" {
		if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusMethodNotAllowed {
			return segue.Errorf(segue.KindUnsupported, "the proxy does not know this request: it is of another version").
				WithHint("the next start of `segue proxy` brings it to this one; it keeps its configuration")
		}
		return segue.Errorf(segue.KindFault, "the proxy answered %s", answer.Status)
	}
	return &segue.Error{Kind: p.Kind, Message: p.Message, Hint: p.Hint}
}
