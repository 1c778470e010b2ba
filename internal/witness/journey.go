package witness

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Journey declares what synthetic users do. Its names are those of segue.yaml's `witness` block, which calls Steps `journey`.
//
// Templates ({session}, {n}, ...) may stand in paths, form values, JSON string values, raw bodies and headers:
//
//	{session}  the user's number, from 1
//	{visit}    how often this user has begun a session, from 1
//	{run}      a random word of this run of the witness, the same for all users
//	{n}        a number that no other request of this run has
//	{uuid}     a random UUID, the same throughout one step
//	{NAME}     what an earlier step captured as NAME
type Journey struct {
	// Sessions is the number of users.
	Sessions int `json:"sessions"`
	// Rate is the number of steps per second over all users together, "50/s".
	Rate Rate `json:"rate"`
	// Before and After say how long the witness works before a rollout begins and after it ended.
	Before time.Duration `json:"before,omitempty"`
	After  time.Duration `json:"after,omitempty"`
	// Base is the URL that paths are relative to; a path in it is put in front of every step's path.
	Base string `json:"base"`
	// ReleaseHeader and ServerHeader are the answer headers that name the release and the server that answered; "" when there is none.
	ReleaseHeader string `json:"release_header,omitempty"`
	ServerHeader  string `json:"server_header,omitempty"`
	// Timeout bounds one request, to the end of its answer; 0 means 30 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// SessionCheck says how to tell that a user was logged out.
	SessionCheck SessionCheck `json:"session_check,omitzero"`
	// Steps are done in order, those with Once at the start of a session only, the others over and over.
	Steps []Step `json:"steps"`
	// WebSocket, if set, is held open by some of the users.
	WebSocket *WebSocket `json:"websocket,omitempty"`
}

// SessionCheck tells a lost session. It is applied to every step but those with Once.
type SessionCheck struct {
	// Status lists answers that mean "not logged in"; empty means 401 and 403. One that the step expects does not count.
	Status Statuses `json:"status,omitempty"`
	// Login is the path of the login page: being redirected there is being logged out. "" means the paths of the steps with Once, "/" excepted.
	Login string `json:"login,omitempty"`
	// Text stands on the page that is shown to those who are not logged in, and on no other.
	Text string `json:"text,omitempty"`
	// Cookie is the session cookie: when an answer removes it, or gives it another value, the session is lost.
	Cookie string `json:"cookie,omitempty"`
	// Rotates allows the site to give Cookie a new value within a session.
	Rotates bool `json:"rotates,omitempty"`
}

// Step is one thing a user does: one request, its redirects followed as a browser does unless their status is expected.
type Step struct {
	Name string `json:"name"`
	// Method is GET when empty, POST when there is a body.
	Method string `json:"method,omitempty"`
	Path   string `json:"path"`
	// At most one of Form, JSON and Body is set.
	Form    map[string]string `json:"form,omitempty"`
	JSON    any               `json:"json,omitempty"`
	Body    string            `json:"body,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Expect  Expect            `json:"expect,omitzero"`
	// Capture keeps values out of the answer for later steps, by name. A value that is not there fails the step.
	Capture map[string]Extract `json:"capture,omitempty"`
	// Once makes it a step of the start of a session (register, log in).
	Once bool `json:"once,omitempty"`
	// Write declares that the step changes something that can be read back.
	Write *Write `json:"write,omitempty"`
}

// Expect is what an answer must be.
type Expect struct {
	// Status lists the allowed ones; empty allows 200 to 299.
	Status Statuses `json:"status,omitempty"`
	// Text must occur in the body. It may hold templates.
	Text string `json:"text,omitempty"`
	// JSON gives values by path ("items.0.price") into the body.
	JSON map[string]any `json:"json,omitempty"`
}

// Extract says where in an answer a value is. Exactly one field is set.
type Extract struct {
	// JSON is a path into the body ("items.0.id").
	JSON   string `json:"json,omitempty"`
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	// Regexp is matched against the body; its first group, or the whole match when it has none, is the value.
	Regexp string `json:"regexp,omitempty"`
}

// Write tells lost writes from kept ones, and those from writes that were applied twice.
type Write struct {
	// ID names the write, "{order_id}". For a write that got no answer to be looked for too, take an ID that the user chose ("{uuid}").
	ID     string `json:"id"`
	Verify Verify `json:"verify"`
}

// Verify reads a write back: soon after it was made, again from time to time, and at the end.
type Verify struct {
	// Path may use {id}, the write's ID, besides the other templates.
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	// Count says how often the write is there: by JSON (a number, a list's length, or 1 for anything that is there), header (a number)
	// or Regexp ({id} may be used in it; the number of its matches). When it is not set, a 200 whose body has the ID is 1. 404 is always 0.
	Count *Extract `json:"count,omitempty"`
}

// WebSocket is a connection that some users hold open all the time.
type WebSocket struct {
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	// Every is K in "one connection for every K users"; 0 means 1.
	Every int `json:"every,omitempty"`
}

// Rate is a number of events per second, written as "50/s", "300/m" or "10/h".
type Rate float64

// ParseRate reads a rate as it is written; a bare number is per second.
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(s), "/")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(value > 0) || value > 1e9 {
		return 0, fmt.Errorf("rate %q: want a number above 0 and a unit, as in 50/s", s)
	}
	switch strings.TrimSpace(unit) {
	case "s", "":
		return Rate(value), nil
	case "m", "min":
		return Rate(value / 60), nil
	case "h":
		return Rate(value / 3600), nil
	}
	return 0, fmt.Errorf("rate %q: the unit is /s, /m or /h", s)
}

// String writes it per second.
func (r Rate) String() string { return strconv.FormatFloat(float64(r), 'g', -1, 64) + "/s" }

// MarshalText writes it per second.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRate does.
func (r *Rate) UnmarshalText(text []byte) error {
	rate, err := ParseRate(string(text))
	if err != nil {
		return err
	}
	*r = rate
	return nil
}

// Statuses is a list of HTTP statuses, written as one number or as a list.
type Statuses []int

// MarshalJSON writes a single status as a number.
func (s Statuses) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]int(s))
}

// UnmarshalJSON reads a number or a list of numbers.
func (s *Statuses) UnmarshalJSON(data []byte) error {
	var one int
	if err := json.Unmarshal(data, &one); err == nil {
		*s = Statuses{one}
		return nil
	}
	var list []int
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("read status: want a number or a list of numbers")
	}
	*s = list
	return nil
}
