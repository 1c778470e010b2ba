package load

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReconcileFindsLostAndTwice(t *testing.T) {
	t.Parallel()
	r := &Report{acked: []string{"a", "b", "c", "d"}, failed: []string{"e", "f", "g"}}
	got := r.Reconcile(map[string]int{"a": 1, "b": 2, "d": 1, "e": 1, "g": 3, "stranger": 1})
	want := &Orders{
		Acknowledged: 4, Failed: 3, Applied: 8, Lost: []string{"c"}, Twice: []string{"b", "g"}, Unacknowledged: 2, Foreign: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if r.Orders != got {
		t.Error("the report does not keep the result")
	}
}

func TestFailuresAreAllCountedAndSomeListed(t *testing.T) {
	t.Parallel()
	tally := &tally{limit: 2}
	tally.start()
	for range 5 {
		tally.add(&exchange{kind: KindGet, due: time.Now(), stage: StageAwait, cause: CauseEOF, err: errors.New("EOF")})
	}
	r := tally.report()
	if r.Failed != 5 || r.Causes[CauseEOF] != 5 || len(r.Failures) != 2 || r.Unlisted != 3 {
		t.Errorf("failed %d, causes %v, listed %d, unlisted %d", r.Failed, r.Causes, len(r.Failures), r.Unlisted)
	}
}

func TestReportRendersAsTableAndJSON(t *testing.T) {
	t.Parallel()
	tally := &tally{limit: 10}
	tally.start()
	tally.add(&exchange{kind: KindPost, due: time.Now(), id: "p1", server: "web-1", release: "v1"})
	tally.add(&exchange{
		kind: KindGet, due: time.Now(), server: "web-2", release: "v2", stage: StageDone,
		cause: causeOfStatus(502), err: errors.New("502 Bad Gateway"),
	})
	tally.closed(Close{Code: -1, Reason: "EOF"}, false)
	tally.stop()
	r := tally.report()
	r.Reconcile(map[string]int{"p1": 1})
	for _, want := range []string{"post", "2 requests", "2 failed: cut 1, status_502 1", "releases v1 1, v2 1", "0 lost"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("table has no %q:\n%s", want, r)
		}
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var decoded Report
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	if decoded.Failed != 2 || decoded.Orders == nil || decoded.Failures[0].Cause != "status_502" {
		t.Errorf("decoded report: %s", encoded)
	}
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Target: "https://example.test", Gets: -1, PostBytes: 5})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"target", "negative", "post bytes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
}
