package witness

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing gives the findings that accuse a release.
func failing(w *Witness) []segue.Finding {
	var list []segue.Finding
	for _, f := range w.Findings(time.Time{}) {
		if f.Ruling == segue.RulingFail {
			list = append(list, f)
		}
	}
	return list
}

func TestUsersKeepTheirLoginThroughADeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(20, 50), "v1", "v2")
		<-s.Ready()
		<-time.After(10 * time.Second)
		s.Mark("during")
		opened := s.Snapshot()
		s.deploy("v2", "web-2")
		<-time.After(20 * time.Second)
		// The rate is of turns; a turn of the journey is one request.
		if per := float64(s.Snapshot().Since(opened).Requests) / 20; per < 45 || per > 56 {
			t.Errorf("%.1f requests/s, want about 50", per)
		}
		s.stop()
		r := s.Snapshot()
		if found := failing(s.Witness); len(found) > 0 || r.Failed > 0 || r.Problem != "" || r.Unproven > 0 {
			t.Fatalf("failed %d (%v), problem %q, findings %v", r.Failed, r.Failures, r.Problem, found)
		}
		if r.LoggedIn != 20 || r.Lost() != 0 {
			t.Errorf("%d logged in, %d lost; want 20 and 0", r.LoggedIn, r.Lost())
		}
		since := r.Since(opened)
		for user, moves := range since.Moves {
			if moves != 1 {
				t.Errorf("user %d moved %d times, want 1", user+1, moves)
			}
		}
		if since.Releases["v1"] != 0 || since.Releases["v2"] == 0 {
			t.Errorf("answers by release since the deploy: %v", since.Releases)
		}
		if r.Writes.Made == 0 || r.Writes.Verified != r.Writes.Made-r.Writes.Unverified || r.Writes.Lost+r.Writes.Doubled != 0 {
			t.Errorf("writes: %+v", r.Writes)
		}
		if len(r.Periods) != 1 || r.Periods[0].Name != "during" || r.Periods[0].Requests < 900 {
			t.Errorf("periods: %+v", r.Periods)
		}
	})
}

func TestADeployThatForgetsSessionsIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(10, 50), "v1", "v2")
		<-s.Ready()
		<-time.After(5 * time.Second)
		s.set(func() { s.sessions = map[string]string{} })
		s.deploy("v2", "web-3")
		<-time.After(5 * time.Second)
		s.stop()
		r := s.Snapshot()
		if r.Lost() != 10 || r.Failures[CauseSession] != 10 {
			t.Fatalf("%d sessions lost, failures %v; want 10 of each", r.Lost(), r.Failures)
		}
		if r.LoggedIn != 10 {
			t.Errorf("%d logged in again, want 10", r.LoggedIn)
		}
		f := failing(s.Witness)[0]
		if f.Server != "web-3" || f.Release != "v2" || !strings.Contains(f.Text, "logged out: redirected to the login page") ||
			!strings.Contains(f.Text, "of user") || f.Judge != "witness" || f.At.IsZero() {
			t.Errorf("finding: %+v", f)
		}
	})
}

func TestSessionCookieRemovedOrChangedIsALostSession(t *testing.T) {
	for name, cookie := range map[string]*http.Cookie{
		"removed": {Name: "sid", Value: "", MaxAge: -1}, "changed": {Name: "sid", Value: "another"}, "other": {Name: "theme", Value: "dark"},
	} {
		u := &user{w: &Witness{}, cookie: "mine", inSession: true}
		rule := SessionCheck{Cookie: "sid"}
		lost := u.cookieLost(rule, &answer{cookies: []*http.Cookie{cookie}}) != ""
		if want := name != "other"; lost != want {
			t.Errorf("%s: lost %v, want %v", name, lost, want)
		}
	}
	u := &user{w: &Witness{}, cookie: "mine", inSession: true}
	if what := u.cookieLost(SessionCheck{Cookie: "sid", Rotates: true}, &answer{cookies: []*http.Cookie{{Name: "sid", Value: "new"}}}); what != "" {
		t.Errorf("a cookie that may rotate: %s", what)
	}
}

func TestWritesAppliedTwiceAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(5, 20), "v1")
		<-s.Ready()
		<-time.After(5 * time.Second)
		s.set(func() { s.double = true })
		<-time.After(5 * time.Second)
		s.set(func() { s.double = false })
		s.stop()
		r := s.Snapshot()
		doubled := 0
		s.set(func() {
			for _, n := range s.orders {
				if n > 1 {
					doubled++
				}
			}
		})
		if doubled == 0 || r.Writes.Doubled != int64(doubled) || r.Writes.Lost != 0 {
			t.Fatalf("writes %+v; the site applied %d twice", r.Writes, doubled)
		}
		if f := failing(s.Witness); len(f) != doubled || !strings.Contains(f[0].Text, "was applied 2 times") {
			t.Errorf("%d findings for %d writes: %v", len(f), doubled, f)
		}
	})
}

func TestLostWritesAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(5, 20), "v1")
		<-s.Ready()
		<-time.After(5 * time.Second)
		s.set(func() { s.lose = true })
		<-time.After(3 * time.Second)
		s.set(func() { s.lose = false })
		s.stop()
		r := s.Snapshot()
		lost := int64(0)
		s.set(func() { lost = int64(s.attempts - len(s.orders)) })
		if lost == 0 || r.Writes.Lost != lost || r.Writes.Doubled != 0 {
			t.Fatalf("writes %+v; the site lost %d", r.Writes, lost)
		}
		if f := failing(s.Witness)[0]; !strings.Contains(f.Text, "was acknowledged and is not there") || !strings.Contains(f.Text, "by web-1") {
			t.Errorf("finding: %s", f.Text)
		}
	})
}

func TestAWriteLostLaterIsFoundByLookingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(2, 20), "v1")
		<-s.Ready()
		<-time.After(5 * time.Second)
		s.set(func() { s.orders = map[string]int{} })
		<-time.After(30 * time.Second)
		during := s.Snapshot().Writes.Lost
		s.stop()
		if total := s.Snapshot().Writes.Lost; during == 0 || total < during {
			t.Errorf("%d lost while running, %d in all; want some while running", during, total)
		}
	})
}

func TestAThirdReleaseIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(3, 30), "v1", "v2")
		<-s.Ready()
		s.deploy("v0", "web-9")
		<-time.After(2 * time.Second)
		s.set(func() { s.nameless = true })
		<-time.After(2 * time.Second)
		s.stop()
		found := failing(s.Witness)
		if len(found) == 0 || found[0].Release != "v0" || found[0].Server != "web-9" || !strings.Contains(found[0].Text, "release v0, which is none of v1, v2") {
			t.Fatalf("findings: %v", found)
		}
		if last := found[len(found)-1]; !strings.Contains(last.Text, "names no release") {
			t.Errorf("last finding: %s", last.Text)
		}
		if r := s.Snapshot(); r.Failures[CauseRelease] != r.Failed || r.Lost() != 0 {
			t.Errorf("failures %v of %d, %d sessions lost", r.Failures, r.Failed, r.Lost())
		}
	})
}

func TestFailuresHaveTheirCause(t *testing.T) {
	for cause, fault := range map[string]func(s *site){
		CauseStatus:    func(s *site) { s.fail = true },
		CauseTruncated: func(s *site) { s.truncate = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := play(t, journey(3, 30), "v1")
			<-s.Ready()
			s.set(func() { fault(s.site) })
			<-time.After(2 * time.Second)
			s.stop()
			if r := s.Snapshot(); r.Failures[cause] == 0 || r.Failures[cause] != r.Failed {
				t.Errorf("%s: failures %v of %d", cause, r.Failures, r.Failed)
			}
		})
	}
}

func TestServerDownBeforeTheRolloutIsTheWitnessesProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, journey(3, 30), "v1")
		s.set(func() { s.down = true })
		<-time.After(3 * time.Second)
		r := s.Snapshot()
		if len(failing(s.Witness)) > 0 || r.Failed > 0 || r.Unproven == 0 || !strings.Contains(r.Problem, `step "login" has never worked: `) {
			t.Fatalf("failed %d, unproven %d, problem %q, findings %v", r.Failed, r.Unproven, r.Problem, failing(s.Witness))
		}
		if f := s.Findings(time.Time{}); len(f) != 1 || f[0].Ruling != segue.RulingInconclusive || !strings.Contains(f[0].Text, "check the journey") {
			t.Errorf("findings: %v", f)
		}
		// It recovers by itself, and from then on a failure counts.
		s.set(func() { s.down = false })
		<-s.Ready()
		<-time.After(time.Second)
		if r := s.Snapshot(); r.Problem != "" {
			t.Errorf("problem after it works: %q", r.Problem)
		}
	})
}

func TestAGETOnAConnectionThatClosesIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journey(1, 10)
		j.Steps = j.Steps[:2]
		s := play(t, j, "v1")
		<-s.Ready()
		for range 5 {
			s.set(func() { s.drop = true })
			<-time.After(time.Second)
		}
		s.stop()
		if r := s.Snapshot(); r.Retries != 5 || r.Failed != 0 {
			t.Errorf("%d retries, %d failed (%v); want 5 and 0", r.Retries, r.Failed, r.Failures)
		}
	})
}

// The order carries an Idempotency-Key, for which net/http would send it again if it noticed.
func TestAPOSTIsNeverSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journey(1, 10)
		order := j.Steps[2]
		order.Form = map[string]string{"key": "{uuid}"}
		j.Steps = []Step{j.Steps[0], order}
		s := play(t, j, "v1")
		<-s.Ready()
		<-time.After(time.Second)
		for range 5 {
			s.set(func() { s.drop = true })
			<-time.After(time.Second)
		}
		s.stop()
		r := s.Snapshot()
		keys, attempts := 0, 0
		s.set(func() { keys, attempts = len(s.orders), s.attempts })
		if r.Writes.Unsure != 5 || attempts != keys+5 || r.Failures[CauseReset] != 5 {
			t.Errorf("%d POSTs arrived for %d orders; %d unsure, failures %v; want 5 dropped ones", attempts, keys, r.Writes.Unsure, r.Failures)
		}
		if r.Writes.Lost+r.Writes.Doubled > 0 || r.Writes.Made != int64(keys) {
			t.Errorf("writes %+v for %d orders", r.Writes, keys)
		}
	})
}

func TestWebSocketsAreHeldAndTheirEndIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journey(6, 30)
		j.WebSocket = &WebSocket{Path: "/stock", Every: 2}
		s := play(t, j, "v1")
		<-s.Ready()
		<-time.After(time.Second)
		if r := s.Snapshot(); r.Sockets.Open != 3 || r.Sockets.Messages != 3 {
			t.Fatalf("sockets: %+v, want 3 open and 3 messages", r.Sockets)
		}
		s.closeSockets(websocket.StatusServiceRestart)
		<-time.After(5 * time.Second)
		r := s.Snapshot()
		if r.Sockets.Closed["1012"] != 3 || r.Sockets.Open != 3 || r.Sockets.Opened != 6 || len(failing(s.Witness)) != 0 {
			t.Fatalf("sockets: %+v, findings %v; want 3 closed with 1012 and opened again", r.Sockets, failing(s.Witness))
		}
		s.closeSockets(0)
		<-time.After(5 * time.Second)
		s.stop()
		r = s.Snapshot()
		found := failing(s.Witness)
		if r.Sockets.Cut != 3 || len(found) != 3 || !strings.Contains(found[0].Text, "broke without a close frame") || found[0].Server != "web-1" {
			t.Errorf("sockets: %+v, findings %v; want 3 cut", r.Sockets, found)
		}
	})
}

func TestFindingsAreBounded(t *testing.T) {
	tally := newTally("r", 1)
	start := time.Unix(0, 0)
	for i := range 3 * findingLimit {
		tally.find(segue.Finding{At: start.Add(time.Duration(i))})
	}
	if n, r := len(tally.since(start)), tally.snapshot(start); n != findingLimit || r.Dropped != 2*findingLimit {
		t.Errorf("%d kept, %d dropped", n, r.Dropped)
	}
	for i := range 3 * nameLimit {
		countName(tally.report.Servers, strings.Repeat("x", i))
	}
	if n := len(tally.report.Servers); n > nameLimit+1 {
		t.Errorf("%d server names kept", n)
	}
}

// TestOverRealSockets runs for as long as 600 requests take.
func TestOverRealSockets(t *testing.T) {
	s := newSite()
	var requests atomic.Int64
	enough := make(chan struct{})
	base := overTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		switch requests.Add(1) {
		case 200:
			s.deploy("v2", "web-2")
		case 600:
			close(enough)
		}
	}))
	j := journey(10, 400)
	j.Base = base
	w, err := New(j, Options{Known: func() []segue.ReleaseName { return []segue.ReleaseName{"v1", "v2"} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("600 requests took longer than a minute")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := w.Snapshot()
	if r.Failed+r.Unproven > 0 || r.Lost() > 0 || r.Writes.Lost+r.Writes.Doubled+r.Writes.Unverified > 0 || r.Writes.Made == 0 {
		t.Errorf("failed %d, lost %d, writes %+v, findings %v", r.Failed, r.Lost(), r.Writes, w.Findings(time.Time{}))
	}
}
