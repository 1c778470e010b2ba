package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Client speaks to the shim of one instance. It may be used by several goroutines at once.
type Client struct {
	http http.Client
}

// NewClient makes a client for the instance whose folder is dir. It connects anew for each call, as the shim may be another one by then.
func NewClient(dir string) *Client {
	socket := filepath.Join(dir, socketFile)
	return &Client{http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return unixsock.Dial(ctx, socket)
		},
	}}}
}

// answerLimit bounds what a shim may answer, in bytes.
const answerLimit = 64 << 10

// answerWait bounds the wait for an answer that a shim gives at once.
const answerWait = 3 * time.Second

// State asks for the present state. KindUnavailable when no shim answers within seconds.
func (c *Client) State(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return c.state(ctx, http.MethodGet, "/v1/state")
}

// First gives the first state after starting: whether the command runs, or was refused. KindUnavailable when no shim answers.
func (c *Client) First(ctx context.Context) (State, error) {
	state, err := c.State(ctx)
	for err == nil && state.Phase == segue.InstanceStarting {
		state, err = c.Next(ctx, state.Cursor)
	}
	return state, err
}

// Next waits for a state other than the one known. KindUnavailable as soon as the shim is gone.
func (c *Client) Next(ctx context.Context, known Cursor) (State, error) {
	query := url.Values{"epoch": {known.Epoch}, "version": {strconv.FormatUint(known.Version, 10)}}
	return c.state(ctx, http.MethodGet, "/v1/watch?"+query.Encode())
}

// Stop gives the stop order and waits for the last state. The order holds even if ctx ends before. KindUnavailable when no shim answers,
// or when it died before it was done.
func (c *Client) Stop(ctx context.Context) (State, error) {
	return c.state(ctx, http.MethodPost, "/v1/stop")
}

func (c *Client) state(ctx context.Context, method, path string) (State, error) {
	var state State
	err := c.call(ctx, method, path, &state)
	return state, err
}

func (c *Client) call(ctx context.Context, method, path string, into *State) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://shim"+path, nil)
	if err != nil {
		return fmt.Errorf("ask shim: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return segue.Errorf(segue.KindUnavailable, "ask shim: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return segue.Errorf(segue.KindUnavailable, "read shim's answer: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return segue.Errorf(segue.KindFault, "ask shim: it answers %s", response.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return segue.Errorf(segue.KindFault, "read shim's answer: %w", err)
	}
	return nil
}
