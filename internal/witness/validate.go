package witness

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Bounds of a journey.
const (
	maxSessions = 10_000
	maxSteps    = 100
	maxRate     = 10_000
)

// Fault is one thing that is wrong with a journey.
type Fault struct {
	// Path leads to the value, in segue.yaml's names, where Steps are `journey`: "journey[2].expect.status".
	Path    string
	Message string
}

// String gives path and message.
func (f Fault) String() string { return f.Path + ": " + f.Message }

// Validate says everything that is wrong at once, as one error of KindInvalid, or nil.
func (j Journey) Validate() error {
	faults := j.Faults()
	if len(faults) == 0 {
		return nil
	}
	lines := make([]string, len(faults))
	for i, fault := range faults {
		lines[i] = "witness." + fault.String()
	}
	return segue.Errorf(segue.KindInvalid, "%s", strings.Join(lines, "\n"))
}

// Faults lists everything that is wrong, in the order of the file.
func (j Journey) Faults() []Fault {
	v := validator{known: builtins()}
	v.journey(j)
	return v.faults
}

func builtins() map[string]bool {
	return map[string]bool{"session": true, "visit": true, "run": true, "n": true, "uuid": true}
}

// validator collects faults and the names that are captured so far.
type validator struct {
	faults []Fault
	known  map[string]bool
}

func (v *validator) add(path, format string, args ...any) {
	v.faults = append(v.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) journey(j Journey) {
	if j.Sessions < 1 || j.Sessions > maxSessions {
		v.add("sessions", "%d: want 1 to %d", j.Sessions, maxSessions)
	}
	if !(j.Rate > 0) || j.Rate > maxRate {
		v.add("rate", "%s: want more than 0/s and at most %d/s", j.Rate, maxRate)
	}
	v.duration("before", j.Before)
	v.duration("after", j.After)
	v.duration("timeout", j.Timeout)
	base, err := url.Parse(j.Base)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		v.add("base", "%q: want http://HOST:PORT or https://HOST:PORT, without user and query", j.Base)
	}
	v.statuses("session_check.status", j.SessionCheck.Status)
	if login := j.SessionCheck.Login; login != "" && !strings.HasPrefix(login, "/") {
		v.add("session_check.login", "%q: want a path that begins with /", login)
	}
	v.steps(j.Steps)
	if socket := j.WebSocket; socket != nil {
		v.path("websocket.path", socket.Path)
		v.headers("websocket.headers", socket.Headers)
		if socket.Every < 0 {
			v.add("websocket.every", "%d is negative", socket.Every)
		}
	}
}

func (v *validator) duration(at string, d time.Duration) {
	if d < 0 {
		v.add(at, "%s is negative", d)
	}
}

func (v *validator) steps(steps []Step) {
	if len(steps) > maxSteps {
		v.add("journey", "%d steps: at most %d", len(steps), maxSteps)
		return
	}
	if !slices.ContainsFunc(steps, func(s Step) bool { return !s.Once }) {
		v.add("journey", "none is without `once`: there is nothing to do over and over")
	}
	// What steps with Once capture is there for all others, wherever they stand.
	names := map[string]bool{}
	for _, once := range []bool{true, false} {
		for i, step := range steps {
			if step.Once != once {
				continue
			}
			at := fmt.Sprintf("journey[%d]", i)
			switch {
			case step.Name == "":
				v.add(at+".name", "is empty: findings name the step")
			case names[step.Name]:
				v.add(at+".name", "%q is taken", step.Name)
			}
			names[step.Name] = true
			v.step(at, step)
		}
	}
	slices.SortStableFunc(v.faults, func(a, b Fault) int { return stepOf(a.Path) - stepOf(b.Path) })
}

// stepOf orders faults of steps by step; others stay in front.
func stepOf(path string) int {
	var i int
	if n, err := fmt.Sscanf(path, "journey[%d]", &i); n == 1 && err == nil {
		return i
	}
	return -1
}

func (v *validator) step(at string, step Step) {
	if m := step.Method; m != "" && (m != strings.ToUpper(m) || !regexp.MustCompile(`^[A-Z]{1,16}$`).MatchString(m) || m == http.MethodConnect) {
		v.add(at+".method", "%q is no method; write it in capitals", m)
	}
	v.path(at+".path", step.Path)
	bodies := 0
	for _, set := range []bool{len(step.Form) > 0, step.JSON != nil, step.Body != ""} {
		if set {
			bodies++
		}
	}
	if bodies > 1 {
		v.add(at, "has more than one of form, json and body")
	}
	if bodies > 0 && (step.Method == http.MethodGet || step.Method == http.MethodHead) {
		v.add(at+".method", "%s has no body", step.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(step.Form)) {
		v.template(at+".form."+name, step.Form[name])
	}
	v.json(at+".json", step.JSON)
	v.template(at+".body", step.Body)
	v.headers(at+".headers", step.Headers)
	v.statuses(at+".expect.status", step.Expect.Status)
	v.template(at+".expect.text", step.Expect.Text)
	for _, path := range slices.Sorted(maps.Keys(step.Expect.JSON)) {
		v.json(at+".expect.json."+path, step.Expect.JSON[path])
	}
	for _, name := range slices.Sorted(maps.Keys(step.Capture)) {
		v.capture(at+".capture."+name, name, step.Capture[name])
	}
	if step.Write != nil {
		v.write(at+".write", *step.Write)
	}
}

func (v *validator) write(at string, write Write) {
	if write.ID == "" {
		v.add(at+".id", "is empty: a write is looked for by its id")
	}
	v.template(at+".id", write.ID)
	// Only here does {id} mean something.
	had := v.known["id"]
	v.known["id"] = true
	v.path(at+".verify.path", write.Verify.Path)
	v.headers(at+".verify.headers", write.Verify.Headers)
	v.known["id"] = had
	if count := write.Verify.Count; count != nil {
		v.extract(at+".verify.count", *count)
		if count.Cookie != "" {
			v.add(at+".verify.count", "a cookie counts nothing; take json, header or regexp")
		}
	}
}

func (v *validator) capture(at, name string, e Extract) {
	if builtins()[name] || name == "id" || !slices.Equal(parseTemplate("{"+name+"}").names(), []string{name}) {
		v.add(at, "%q cannot be a captured name; use letters, digits and _, and none of session, visit, run, n, uuid, id", name)
	}
	v.extract(at, e)
	v.known[name] = true
}

func (v *validator) extract(at string, e Extract) {
	set := 0
	for _, text := range []string{e.JSON, e.Header, e.Cookie, e.Regexp} {
		if text != "" {
			set++
		}
	}
	if set != 1 {
		v.add(at, "want exactly one of json, header, cookie and regexp")
	}
	if _, err := regexp.Compile(strings.ReplaceAll(e.Regexp, "{id}", "id")); err != nil {
		v.add(at+".regexp", "%v", err)
	}
}

func (v *validator) path(at, path string) {
	t := parseTemplate(path)
	if whole := len(t) == 1 && t[0].name != ""; !whole && !strings.HasPrefix(path, "/") {
		v.add(at, "%q: want a path that begins with /", path)
	}
	if _, err := url.Parse(t.sample()); err != nil {
		v.add(at, "%v", err)
	}
	v.template(at, path)
}

func (v *validator) headers(at string, headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if strings.ContainsAny(name, " :\r\n\t") || name == "" || strings.ContainsAny(headers[name], "\r\n") {
			v.add(at+"."+name, "is no header")
		}
		v.template(at+"."+name, headers[name])
	}
}

func (v *validator) statuses(at string, statuses Statuses) {
	for _, status := range statuses {
		if status < 200 || status > 599 {
			v.add(at, "%d: want 200 to 599", status)
		}
	}
}

func (v *validator) template(at, text string) {
	for _, name := range parseTemplate(text).names() {
		if !v.known[name] {
			v.add(at, "{%s} is captured by no earlier step", name)
		}
	}
}

func (v *validator) json(at string, value any) {
	switch value := value.(type) {
	case string:
		v.template(at, value)
	case []any:
		for i, item := range value {
			v.json(fmt.Sprintf("%s.%d", at, i), item)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			v.json(at+"."+key, value[key])
		}
	}
}
