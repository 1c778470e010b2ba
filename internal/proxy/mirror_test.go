package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// named answers with the backend's name in a field.
func named(name string, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Set-Cookie", "s=1")
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprintf(w, `{"path":%q,"name":%q,"body":%q}`, r.URL.RequestURI(), name, body)
}

func TestMirrorTellsThreeAnswers(t *testing.T) {
	for protocol, config := range map[string]Config{"http/1.1": {Sticky: StickyConfig{On: true}}, "h2c": {BackendH2C: true}} {
		t.Run(protocol, func(t *testing.T) {
			h := newHouse(t, config, named)
			h.mirror()
			a := h.get("/items?q=1", "Cookie", "user=7", mirrorHeader, "candidate")
			if a.err != nil || a.StatusCode != http.StatusAccepted || !strings.Contains(a.text, `"name":"stable-`) {
				t.Fatalf("user's answer: %+v", a)
			}
			r := h.record("/items")
			if got, want := string(r.Candidate.Body), `{"path":"/items?q=1","name":"candidate","body":""}`; got != want {
				t.Errorf("candidate answered %s, want %s", got, want)
			}
			if string(r.Primary.Body) != a.text || string(r.Secondary.Body) == a.text || r.Stable == r.Second {
				t.Errorf("primary %s and secondary %s", r.Primary.Body, r.Secondary.Body)
			}
			for _, answer := range []MirrorAnswer{r.Primary, r.Candidate, r.Secondary} {
				if answer.Status != http.StatusAccepted || answer.Failure != "" || answer.Truncated || answer.Took <= 0 || answer.At.IsZero() {
					t.Errorf("answer: %+v", answer)
				}
				if diff := cmp.Diff([]string{"s=1"}, answer.Header["Set-Cookie"]); diff != "" {
					t.Errorf("cookies: %s", diff)
				}
			}
			eventually(t, "every copy is told", func() bool {
				counts := h.snapshot().Mirror
				return counts.Told == counts.Picked
			})
			h.wantCopies(r)
		})
	}
}

// wantCopies checks that each backend was told what its request is, and counted none of the copies.
func (h *house) wantCopies(r MirrorRecord) {
	h.t.Helper()
	kinds := map[segue.InstanceID]string{h.candidate.ID: mirrorCandidate, r.Second: mirrorSecondary, r.Stable: ""}
	copies := int64(0)
	for _, a := range []*app{h.stable[0], h.stable[1], h.candidate} {
		for _, seen := range a.requests() {
			if seen.URL.Path == r.Path && (seen.Header.Get(mirrorHeader) != kinds[a.ID] || seen.Header.Get("Cookie") != "user=7" ||
				seen.Header.Get("X-Request-Id") != r.RequestID) {
				h.t.Errorf("%s got %v", a.ID, seen.Header)
			}
		}
		status := h.status(a.ID)
		copies += status.Mirrored
		if int64(len(a.requests())) != status.Counters.Requests+status.Mirrored {
			h.t.Errorf("%s had %d requests, and counted %d and %d copies", a.ID, len(a.requests()), status.Counters.Requests, status.Mirrored)
		}
	}
	if counts := h.snapshot().Mirror; copies != 2*counts.Told || counts.Dropped+counts.Skipped != 0 {
		h.t.Errorf("%d copies, counted %+v", copies, counts)
	}
}

func TestMirrorCopiesNoWritesUnlessAllowed(t *testing.T) {
	h := newHouse(t, Config{}, named)
	h.mirror(func(m *Mirror) { m.Paths = []string{"POST /search", "PUT /drafts/"} })
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		for _, path := range []string{"/orders", "/searches", "/search", "/search/deep", "/drafts"} {
			h.send(method, path, "the body").want(t, http.StatusAccepted,
				fmt.Sprintf(`{"path":%q,"name":%q,"body":"the body"}`, path, h.last(path, method)))
		}
	}
	for _, path := range []string{"/search", "/search/deep", "/drafts"} {
		if r := h.record(path); !strings.Contains(string(r.Candidate.Body), `"body":"the body"`) {
			t.Errorf("copy of %s has another body: %s", path, r.Candidate.Body)
		}
	}
	h.endMirror()
	for _, r := range h.candidate.requests() {
		switch r.Method + " " + r.URL.Path {
		case "POST /search", "POST /search/deep", "PUT /drafts", "GET /warm-up":
		default:
			t.Errorf("%s %s was copied", r.Method, r.URL.Path)
		}
	}
	h.send(http.MethodPost, "/search", strings.Repeat("x", defaultBuffer+1)) // too long to be kept
}

// last is the stable backend that had a user's request.
func (h *house) last(path, method string) string {
	for _, a := range h.stable {
		for _, r := range a.requests() {
			if r.URL.Path == path && r.Method == method && r.Header.Get(mirrorHeader) == "" {
				return string(a.ID)
			}
		}
	}
	return ""
}

// A candidate that never answers costs users nothing: all their requests end while every one of its own hangs.
func TestMirrorNeverDelaysUsers(t *testing.T) {
	release := make(chan struct{})
	h := newHouse(t, Config{}, func(name string, w http.ResponseWriter, r *http.Request) {
		if name == "candidate" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		named(name, w, r)
	})
	defer close(release)
	h.mirror(func(m *Mirror) { m.Concurrency, m.Timeout = 2, 300*time.Millisecond })
	const users, each = 8, 40
	var work sync.WaitGroup
	for range users {
		work.Go(func() {
			for range each {
				if a := h.get("/items"); a.err != nil || a.StatusCode != http.StatusAccepted {
					t.Errorf("user's answer: %+v", a)
				}
			}
		})
	}
	work.Wait()
	r := h.record("/items")
	if r.Candidate.Failure != causeTimeout || r.Candidate.Took < 300*time.Millisecond || r.Secondary.Failure != "" {
		t.Errorf("record: %+v", r)
	}
	counts := h.snapshot().Mirror
	if counts.Dropped < users*each/2 {
		t.Errorf("counts are %+v, want most dropped", counts)
	}
	eventually(t, "what was dropped is told with records", func() bool {
		h.get("/items")
		return h.lost.Load() >= counts.Dropped
	})
}

func TestMirrorEndsAtADrain(t *testing.T) {
	h := newHouse(t, Config{}, func(name string, w http.ResponseWriter, r *http.Request) {
		if name == "candidate" && r.Header.Get(mirrorHeader) != "" {
			<-r.Context().Done()
			return
		}
		named(name, w, r)
	})
	h.must(h.client.Admit(t.Context(), web, h.candidate.ID, 0))
	h.mirror()
	eventually(t, "the candidate has a copy in flight", func() bool {
		h.get("/items")
		return h.candidate.conns.Load() > 0 && len(h.candidate.requests()) > 0
	})
	h.drain(h.candidate.ID)
	n, err := h.client.InFlight(t.Context(), web, h.candidate.ID)
	h.must(err)
	if n.Requests != 0 || n.Long != 0 {
		t.Errorf("copies hold up the drain: %+v", n)
	}
	h.must(h.client.Settle(t.Context(), web, h.candidate.ID))
	eventually(t, "no connection to the candidate is open", func() bool { return h.candidate.conns.Load() == 0 })
	seen := len(h.candidate.requests())
	before := h.snapshot().Mirror.Skipped
	eventually(t, "requests are skipped", func() bool {
		if a := h.get("/items"); a.err != nil || a.StatusCode != http.StatusAccepted {
			t.Errorf("user's answer: %+v", a)
		}
		return h.snapshot().Mirror.Skipped > before
	})
	if now := len(h.candidate.requests()); now != seen {
		t.Errorf("%d copies were sent to a drained backend", now-seen)
	}
	h.must(h.client.Remove(t.Context(), web, h.candidate.ID))
	h.get("/items")
}

func TestMirrorLeavesStreamsAndGiantsAlone(t *testing.T) {
	giant := bytes.Repeat([]byte("0123456789abcdef"), (longestMirrored+1<<20)/16)
	h := newHouse(t, Config{}, func(name string, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
		case "/giant":
			_, _ = w.Write(giant)
		case "/long":
			_, _ = w.Write(giant[:1<<20])
		case "/longer-there":
			_, _ = w.Write(map[bool][]byte{true: giant, false: giant[:4]}[name == "candidate"])
		default:
			named(name, w, r)
		}
	})
	h.mirror(func(m *Mirror) { m.MaxBody = 1000 })
	h.get("/events").want(t, http.StatusOK, "data: 1\n\n")
	h.get("/giant").want(t, http.StatusOK, string(giant))
	h.get("/long").want(t, http.StatusOK, string(giant[:1<<20]))
	r := h.record("/long")
	for _, a := range []MirrorAnswer{r.Primary, r.Candidate, r.Secondary} {
		if len(a.Body) != 1000 || !a.Truncated || a.Failure != "" {
			t.Errorf("answer has %d bytes, truncated %v, failure %q", len(a.Body), a.Truncated, a.Failure)
		}
	}
	h.get("/longer-there").want(t, http.StatusOK, "0123")
	if r := h.record("/longer-there"); !r.Candidate.Truncated || r.Candidate.Failure != "" || r.Candidate.Status != http.StatusOK {
		t.Errorf("candidate's endless answer: truncated %v, failure %q", r.Candidate.Truncated, r.Candidate.Failure)
	}
	if counts := h.snapshot().Mirror; counts.Skipped != 2 {
		t.Errorf("counts are %+v, want two skipped", counts)
	}
}

func TestMirrorTellsFailures(t *testing.T) {
	h := newHouse(t, Config{}, func(name string, w http.ResponseWriter, r *http.Request) {
		if name == "candidate" {
			panic(http.ErrAbortHandler)
		}
		named(name, w, r)
	})
	h.mirror()
	h.get("/cut")
	if r := h.record("/cut"); r.Candidate.Failure != causeReset || r.Secondary.Failure != "" {
		t.Errorf("candidate failed by %q, secondary by %q", r.Candidate.Failure, r.Secondary.Failure)
	}
	h.candidate.server.Close()
	h.get("/away")
	if r := h.record("/away"); r.Candidate.Failure != causeDial {
		t.Errorf("candidate failed by %q, want %q", r.Candidate.Failure, causeDial)
	}
}

func TestMirrorTellsRaces(t *testing.T) {
	h := newHouse(t, Config{}, named)
	h.mirror()
	h.get("/api/v1/items/7")
	if h.record("/api/v1/items/7").Raced {
		t.Error("raced without a write")
	}
	h.send(http.MethodPut, "/api/v1/items/7", "x")
	for path, want := range map[string]bool{
		"/api/v1/items/7": true, "/api/v1/items/7/reviews": true, "/api/v1/items": true, "/api/v1/items/8": false, "/orders": false,
	} {
		h.get(path)
		if r := h.record(path); r.Raced != want {
			t.Errorf("%s raced: %v, want %v", path, r.Raced, want)
		}
	}
}

func TestMirrorIsOnePerService(t *testing.T) {
	h := newHouse(t, Config{}, named)
	h.mirror()
	first, over := h.cancel, h.over
	h.over = make(chan error, 1)
	h.mirror()
	defer first()
	if err := <-over; segue.KindOf(err) != segue.KindConflict {
		t.Errorf("first mirror ended with %v, want a conflict", err)
	}
	h.get("/items")
	h.record("/items")
	h.endMirror()
	picked := func() bool { return h.snapshot().Mirror.Picked > 0 }
	if !picked() {
		t.Error("counts are gone with the mirror")
	}
	eventually(t, "nothing is picked after the end", func() bool {
		before := h.snapshot().Mirror.Picked
		h.get("/items")
		return h.snapshot().Mirror.Picked == before
	})
}

func TestMirrorEndsWithTheProxy(t *testing.T) {
	h := newHouse(t, Config{}, named)
	h.mirror()
	h.stop()
	if err := <-h.over; segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("Mirror: %v, want unavailable", err)
	}
	h.cancel()
	h.cancel = nil
	h.start()
	if counts := h.snapshot().Mirror; counts != nil {
		t.Errorf("a new process goes on with %+v", counts)
	}
}

func TestMirrorRefuses(t *testing.T) {
	h := newHouse(t, Config{}, named)
	for what, test := range map[string]struct {
		change func(*Mirror)
		kind   segue.Kind
	}{
		"one stable backend":    {func(m *Mirror) { m.Stable = append(m.Stable[:1], m.Stable[0]) }, segue.KindInvalid},
		"candidate is stable":   {func(m *Mirror) { m.Candidate = m.Stable[0] }, segue.KindInvalid},
		"no share":              {func(m *Mirror) { m.Share = 0 }, segue.KindInvalid},
		"POST everywhere":       {func(m *Mirror) { m.Methods = []string{"POST"} }, segue.KindInvalid},
		"a path alone":          {func(m *Mirror) { m.Paths = []string{"/search"} }, segue.KindInvalid},
		"giant bodies":          {func(m *Mirror) { m.MaxBody = 1 << 30 }, segue.KindInvalid},
		"too much at one time":  {func(m *Mirror) { m.Concurrency = 1000 }, segue.KindInvalid},
		"a negative time":       {func(m *Mirror) { m.Timeout = -1 }, segue.KindInvalid},
		"an unknown candidate":  {func(m *Mirror) { m.Candidate = "who" }, segue.KindNotFound},
		"an unknown stable one": {func(m *Mirror) { m.Stable[1] = "who" }, segue.KindNotFound},
	} {
		m := Mirror{Candidate: h.candidate.ID, Stable: []segue.InstanceID{h.stable[0].ID, h.stable[1].ID}, Share: 0.5}
		test.change(&m)
		err := h.client.Mirror(t.Context(), web, m, func(MirrorRecord) {})
		if segue.KindOf(err) != test.kind {
			t.Errorf("%s: %v (%v), want %v", what, err, segue.KindOf(err), test.kind)
		}
	}
	if err := h.client.Mirror(t.Context(), "nobody", Mirror{Candidate: "c", Stable: []segue.InstanceID{"a", "b"}, Share: 1}, nil); segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("unknown service: %v", err)
	}
}

// Whatever is mirrored, users get the bytes that their backend sent.
func TestMirrorChangesNoBytes(t *testing.T) {
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(rand.Uint32()) //nolint:gosec // noise
	}
	h := newHouse(t, Config{}, func(_ string, w http.ResponseWriter, r *http.Request) {
		var size, piece int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d/%d", &size, &piece)
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		for at := 0; at < size; at += piece {
			_, _ = w.Write(content[at:min(size, at+piece)])
			if r.URL.RawQuery == "flush" {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	h.mirror(func(m *Mirror) { m.MaxBody = 10_000 })
	rapid.Check(t, func(rt *rapid.T) {
		size, piece := rapid.IntRange(0, 100_000).Draw(rt, "size"), rapid.IntRange(1000, 50_000).Draw(rt, "piece")
		path := fmt.Sprintf("/%d/%d", size, piece)
		a := h.get(path + "?" + rapid.SampledFrom([]string{"length", "flush", ""}).Draw(rt, "how"))
		if a.err != nil || a.text != string(content[:size]) {
			rt.Fatalf("user got %d bytes of %d, %v", len(a.text), size, a.err)
		}
		if r := h.record(path); !bytes.Equal(r.Primary.Body, content[:min(size, 10_000)]) || !bytes.Equal(r.Candidate.Body, r.Primary.Body) {
			rt.Fatalf("record has %d and %d bytes", len(r.Primary.Body), len(r.Candidate.Body))
		}
	})
}

// nothing is an Upstream without connections.
type nothing struct{ upstream.Upstream }

func (nothing) CloseIdle() {}

func TestEchoesWaitForThoseADrainEnded(t *testing.T) {
	t.Parallel()
	var e echoes
	b := &backend{}
	b.up.Store(&carrier{Upstream: nothing{}})
	e.settled(t.Context()) // nobody is there
	ctx, cancel := context.WithCancelCause(t.Context())
	leave, ok := e.enter(cancel)
	if !ok {
		t.Fatal("not let in")
	}
	e.admit(false)
	if !errors.Is(context.Cause(ctx), errDrained) {
		t.Errorf("copy ended by %v", context.Cause(ctx))
	}
	if _, ok := e.enter(cancel); ok {
		t.Error("let in while drained")
	}
	over := make(chan struct{})
	go func() {
		e.settled(context.WithoutCancel(t.Context()))
		close(over)
	}()
	leave(b)
	<-over
	e.admit(true)
	if leave, ok = e.enter(cancel); !ok {
		t.Error("not let in after it was admitted again")
	}
	leave(b)
}
