package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// Witness is the `witness` block: synthetic users and what they do. Its fields are those of witness.Journey; JSON converts it.
type Witness struct {
	Sessions      int           `json:"sessions" jsonschema:"number of users"`
	Rate          Rate          `json:"rate" jsonschema:"steps over all users together, like 50/s"`
	Before        time.Duration `json:"before,omitempty" jsonschema:"how long the witness works before a rollout begins"`
	After         time.Duration `json:"after,omitempty" jsonschema:"how long it works on after a rollout ended"`
	Base          string        `json:"base,omitempty" jsonschema:"URL that paths are relative to; default: where the first service with a balancer listens"`
	ReleaseHeader string        `json:"release_header,omitempty" jsonschema:"answer header that names the release"`
	ServerHeader  string        `json:"server_header,omitempty" jsonschema:"answer header that names the server"`
	Timeout       time.Duration `json:"timeout,omitempty" jsonschema:"bound on one request; default 30s"`
	SessionCheck  SessionCheck  `json:"session_check,omitzero" jsonschema:"how to tell that a user was logged out"`
	Steps         []Step        `json:"journey" jsonschema:"what each user does, in order, over and over"`
	WebSocket     *WebSocket    `json:"websocket,omitempty" jsonschema:"a connection that some users hold open all the time"`
}

// JourneyJSON gives the JSON that witness.Journey is read from.
func (w Witness) JourneyJSON() ([]byte, error) {
	type plain Witness
	text, err := json.Marshal(struct {
		plain
		Rate  string `json:"rate"`
		Steps []Step `json:"steps"`
		Moved any    `json:"journey,omitempty"`
	}{plain: plain(w), Rate: strconv.FormatFloat(float64(w.Rate), 'g', -1, 64) + "/s", Steps: w.Steps})
	if err != nil {
		return nil, fmt.Errorf("encode witness: %w", err)
	}
	return text, nil
}

// SessionCheck tells a lost session.
type SessionCheck struct {
	Status  Statuses `json:"status,omitempty" jsonschema:"answers that mean not logged in; default [401, 403]"`
	Login   string   `json:"login,omitempty" jsonschema:"path of the login page: being redirected there is being logged out"`
	Text    string   `json:"text,omitempty" jsonschema:"stands on the page for those who are not logged in, and on no other"`
	Cookie  string   `json:"cookie,omitempty" jsonschema:"the session cookie"`
	Rotates bool     `json:"rotates,omitempty" jsonschema:"the site may give the cookie a new value within a session"`
}

// Step is one thing a user does.
type Step struct {
	Name    string             `json:"name" jsonschema:"findings name the step by it"`
	Method  string             `json:"method,omitempty" jsonschema:"default GET, or POST with a body"`
	Path    string             `json:"path" jsonschema:"path and query; {NAME} is replaced by what was captured, or by {session}, {visit}, {run}, {n}, {uuid}"`
	Form    map[string]string  `json:"form,omitempty" jsonschema:"form fields"`
	JSON    any                `json:"json,omitempty" jsonschema:"JSON body"`
	Body    string             `json:"body,omitempty" jsonschema:"raw body"`
	Headers map[string]string  `json:"headers,omitempty" jsonschema:"request headers"`
	Expect  Expect             `json:"expect,omitzero" jsonschema:"what the answer must be"`
	Capture map[string]Extract `json:"capture,omitempty" jsonschema:"values to keep for later steps, by name"`
	Once    bool               `json:"once,omitempty" jsonschema:"do it at the start of a session only (log in)"`
	Write   *Write             `json:"write,omitempty" jsonschema:"the step changes something that can be read back"`
}

// Expect is what an answer must be.
type Expect struct {
	Status Statuses       `json:"status,omitempty" jsonschema:"allowed statuses; default 200 to 299"`
	Text   string         `json:"text,omitempty" jsonschema:"must occur in the body"`
	JSON   map[string]any `json:"json,omitempty" jsonschema:"values by path into the body, like items.0.price"`
}

// Extract says where in an answer a value is.
type Extract struct {
	JSON   string `json:"json,omitempty" jsonschema:"path into the body, like items.0.id"`
	Header string `json:"header,omitempty" jsonschema:"name of an answer header"`
	Cookie string `json:"cookie,omitempty" jsonschema:"name of a cookie"`
	Regexp string `json:"regexp,omitempty" jsonschema:"pattern for the body; its first group is the value"`
}

// Write declares a change that can be read back.
type Write struct {
	ID     string `json:"id" jsonschema:"what the write is called, like {order_id}"`
	Verify Verify `json:"verify" jsonschema:"how it is read back"`
}

// Verify reads a write back.
type Verify struct {
	Path    string            `json:"path" jsonschema:"path and query; {id} is the write's"`
	Headers map[string]string `json:"headers,omitempty" jsonschema:"request headers"`
	Count   *Extract          `json:"count,omitempty" jsonschema:"how often the write is there"`
}

// WebSocket is a connection that some users hold open.
type WebSocket struct {
	Path    string            `json:"path" jsonschema:"path and query"`
	Headers map[string]string `json:"headers,omitempty" jsonschema:"request headers"`
	Every   int               `json:"every,omitempty" jsonschema:"one connection for every so many users; default 1"`
}

// Statuses are HTTP statuses, written as one number or as a list.
type Statuses []int

func (s *Statuses) readNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		*s = make(Statuses, 1)
		d.decode(n, path, reflect.ValueOf(&(*s)[0]).Elem())
		return
	}
	d.sequence(n, path, reflect.ValueOf((*[]int)(s)).Elem())
}
