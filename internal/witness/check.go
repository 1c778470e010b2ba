package witness

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// check compares an answer with what the step expects and takes the captures out of it. The first thing that is wrong is the mishap.
func (u *user) check(step Step, a *answer, v values) *mishap {
	if !step.allows(a.status) {
		return &mishap{cause: CauseStatus, what: fmt.Sprintf("status %d, want %s", a.status, step.statusText())}
	}
	if m := u.checkRelease(a); m != nil {
		return m
	}
	text, err := parseTemplate(step.Expect.Text).fill(v, nil)
	if err != nil {
		return &mishap{cause: CauseCapture, what: err.Error()}
	}
	if !bytes.Contains(a.body, []byte(text)) {
		return &mishap{cause: CauseText, what: fmt.Sprintf("the answer does not contain %q", clip(text, 80))}
	}
	if m := step.checkJSON(a, v); m != nil {
		return m
	}
	for _, name := range slices.Sorted(maps.Keys(step.Capture)) {
		value, err := step.Capture[name].value(a)
		if err != nil {
			return &mishap{cause: CauseCapture, what: fmt.Sprintf("capture %s: %v", name, err)}
		}
		u.captured[name] = value
	}
	return nil
}

func (s Step) allows(status int) bool {
	if len(s.Expect.Status) == 0 {
		return status >= 200 && status < 300
	}
	return slices.Contains(s.Expect.Status, status)
}

func (s Step) statusText() string {
	if len(s.Expect.Status) == 0 {
		return "200 to 299"
	}
	texts := make([]string, len(s.Expect.Status))
	for i, status := range s.Expect.Status {
		texts[i] = fmt.Sprint(status)
	}
	return strings.Join(texts, " or ")
}

func (s Step) checkJSON(a *answer, v values) *mishap {
	for _, path := range slices.Sorted(maps.Keys(s.Expect.JSON)) {
		want, err := fillJSON(s.Expect.JSON[path], v)
		if err != nil {
			return &mishap{cause: CauseCapture, what: err.Error()}
		}
		got, ok, err := a.lookup(path)
		switch {
		case err != nil:
			return &mishap{cause: CauseJSON, what: err.Error()}
		case !ok:
			return &mishap{cause: CauseJSON, what: fmt.Sprintf("JSON %q is missing, want %v", path, want)}
		case !equalJSON(want, got):
			return &mishap{cause: CauseJSON, what: fmt.Sprintf("JSON %q is %s, want %v", path, clip(scalar(got), 80), want)}
		}
	}
	return nil
}

// checkRelease finds answers from a release that should not be there.
func (u *user) checkRelease(a *answer) *mishap {
	if u.w.journey.ReleaseHeader == "" {
		return nil
	}
	known, ok := u.w.allowed(a.release)
	if ok {
		return nil
	}
	if a.release == "" {
		return &mishap{cause: CauseRelease, what: fmt.Sprintf("the answer names no release in %s", u.w.journey.ReleaseHeader)}
	}
	return &mishap{cause: CauseRelease, what: fmt.Sprintf("an answer from release %s, which is none of %s", a.release, join(known))}
}

func join(names []segue.ReleaseName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

// lostSession finds out whether an answer says that the user is not logged in any more.
func (u *user) lostSession(step Step, a *answer) *mishap {
	rule := u.w.journey.SessionCheck
	what := u.cookieLost(rule, a)
	switch {
	case step.Once || what != "":
	case slices.Contains(rule.Status, a.status) && !slices.Contains(step.Expect.Status, a.status):
		what = fmt.Sprintf("status %d", a.status)
	case rule.Text != "" && bytes.Contains(a.body, []byte(rule.Text)):
		what = "the login page was shown"
	case a.status >= 300 && a.status < 400:
		next, err := a.url.Parse(a.header.Get("Location"))
		if err == nil && u.w.sameSite(next) && slices.Contains(u.w.login, next.Path) {
			what = "redirected to the login page"
		}
	}
	if what == "" {
		return nil
	}
	return &mishap{cause: CauseSession, what: "logged out: " + what, lost: true}
}

// cookieLost keeps an eye on the session cookie. While a session begins it only takes note of the value.
func (u *user) cookieLost(rule SessionCheck, a *answer) string {
	if rule.Cookie == "" {
		return ""
	}
	for _, c := range a.cookies {
		if c.Name != rule.Cookie {
			continue
		}
		before := u.cookie
		u.cookie = c.Value
		switch {
		case !u.inSession || before == "":
		case removed(c):
			return fmt.Sprintf("cookie %s was removed", rule.Cookie)
		case c.Value != before && !rule.Rotates:
			return fmt.Sprintf("cookie %s was given another value", rule.Cookie)
		}
	}
	return ""
}

func removed(c *http.Cookie) bool {
	return c.Value == "" || c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now())
}
