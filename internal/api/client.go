package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Client talks to a controller; it implements Controller itself, so that whoever uses one does not see the wire.
type Client struct {
	http  *http.Client
	base  string
	token string
}

var _ Controller = (*Client)(nil)

// NewUnixClient makes a client of the controller behind a unix socket.
func NewUnixClient(socket string) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return unixsock.Dial(ctx, socket)
	}}
	return &Client{http: &http.Client{Transport: transport}, base: "http://segue"}
}

// NewTCPClient makes a client of the controller at a base URL ("http://127.0.0.1:7070").
func NewTCPClient(base, token string) *Client {
	return &Client{http: &http.Client{}, base: strings.TrimRight(base, "/"), token: token}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Plan says what Deploy would do.
func (c *Client) Plan(ctx context.Context, req DeployRequest) (reply PlanReply, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/plan", req, &reply)
}

// Deploy opens rollouts.
func (c *Client) Deploy(ctx context.Context, req DeployRequest) (reply DeployReply, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/deploy", req, &reply)
}

// Order gives an order to a rollout.
func (c *Client) Order(ctx context.Context, req OrderRequest) (reply Rollout, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/order", req, &reply)
}

// Rotate drains or admits a server by hand.
func (c *Client) Rotate(ctx context.Context, req RotationRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/rotation", req, nil)
}

// Databases says how every database stands.
func (c *Client) Databases(ctx context.Context) (reply operator.DatabasesReply, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/databases", nil, &reply)
}

// CheckDatabases says what releases would do to their databases.
func (c *Client) CheckDatabases(ctx context.Context, req operator.PrepareRequest) (reply []operator.DatabaseCheck, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/databases/check", req, &reply)
}

// Prepare begins the long work that a release will need.
func (c *Client) Prepare(ctx context.Context, req operator.PrepareRequest) (reply operator.DatabasesReply, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/databases/prepare", req, &reply)
}

// OrderDatabase gives an operator's order to the work on a database.
func (c *Client) OrderDatabase(ctx context.Context, order operator.DatabaseOrder) (reply operator.DatabasesReply, err error) {
	return reply, c.call(ctx, http.MethodPost, "/v1/databases/order", order, &reply)
}

// Status reports everything.
func (c *Client) Status(ctx context.Context) (reply Status, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/status", nil, &reply)
}

// Rollout reports one rollout.
func (c *Client) Rollout(ctx context.Context, id segue.RolloutID) (reply Rollout, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/rollouts/"+id.String(), nil, &reply)
}

// History lists the latest rollouts.
func (c *Client) History(ctx context.Context, limit int) (reply []HistoryEntry, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/history?limit="+strconv.Itoa(limit), nil, &reply)
}

// Receipt gives a rollout's receipt.
func (c *Client) Receipt(ctx context.Context, id segue.RolloutID) (json.RawMessage, error) {
	var reply ReceiptReply
	err := c.call(ctx, http.MethodGet, "/v1/rollouts/"+id.String()+"/receipt", nil, &reply)
	return reply.Receipt, err
}

// Compare says what the judges say by now.
func (c *Client) Compare(ctx context.Context) (reply []operator.Comparison, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/compare", nil, &reply)
}

// Replay judges a rollout again.
func (c *Client) Replay(ctx context.Context, id segue.RolloutID) (reply operator.Replay, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/rollouts/"+id.String()+"/replay", nil, &reply)
}

// LogDiff says what the releases of a rollout logged.
func (c *Client) LogDiff(ctx context.Context, id segue.RolloutID) (reply []operator.LogDifference, err error) {
	return reply, c.call(ctx, http.MethodGet, "/v1/rollouts/"+id.String()+"/logs", nil, &reply)
}

// Logs streams an instance's output.
func (c *Client) Logs(ctx context.Context, server segue.ServerName, tail int, follow bool) (io.ReadCloser, error) {
	path := fmt.Sprintf("/v1/servers/%s/logs?tail=%d&follow=%t", url.PathEscape(string(server)), tail, follow)
	answer, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Shutdown asks the controller to end.
func (c *Client) Shutdown(ctx context.Context, force bool) error {
	return c.call(ctx, http.MethodPost, "/v1/shutdown", map[string]bool{"force": force}, nil)
}

// Watch gives the journal's entries from an index on. A connection that breaks ends it with an error of KindUnavailable; the caller goes on from
// the last index it saw.
func (c *Client) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		answer, err := c.send(ctx, http.MethodGet, "/v1/events?from="+strconv.FormatInt(from, 10), nil)
		if err != nil {
			yield(segue.Entry{}, err)
			return
		}
		defer answer.Body.Close()
		lines := bufio.NewReader(answer.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				if ctx.Err() == nil {
					yield(segue.Entry{}, segue.Errorf(segue.KindUnavailable, "follow events: %w", err))
				}
				return
			}
			data, ok := bytes.CutPrefix(line, []byte("data:"))
			if !ok {
				continue
			}
			var entry segue.Entry
			if err := json.Unmarshal(data, &entry); err != nil {
				yield(segue.Entry{}, fmt.Errorf("read event: %w", err))
				return
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return fmt.Errorf("read answer of controller: %w", err)
	}
	return nil
}

// send gives an answer with a good status, or the error that it stood for.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, segue.Errorf(segue.KindCanceled, "call controller: %w", err)
		}
		return nil, segue.Errorf(segue.KindUnavailable, "call controller: %w", err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p problem
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return nil, segue.Errorf(segue.KindFault, "controller answered %s", answer.Status)
	}
	return nil, withDetails(p, text).err()
}

// withDetails adds what the server's own validation found to the sentence.
func withDetails(p problem, text []byte) *problem {
	var extra struct {
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	if json.Unmarshal(text, &extra) == nil {
		for _, e := range extra.Errors {
			p.Detail += fmt.Sprintf("; %s: %s", e.Location, e.Message)
		}
		if len(extra.Errors) > 0 {
			p.Kind = segue.KindInvalid
		}
	}
	return &p
}
