package app_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/operator"
)

// TestE2EThePastOutlivesTheController ends a controller that has watched its servers: the next command's one knows what it did.
func TestE2EThePastOutlivesTheController(t *testing.T) {
	r := newRig(t, 2, "v1", "v2")
	r.must(0, "deploy", "v1", "--yes")
	stop := r.traffic(r.mixed(50, 0))
	past := func() operator.Past {
		var reply operator.PlanReply
		if err := json.Unmarshal([]byte(r.must(0, "plan", "v2", "--json")), &reply); err != nil {
			t.Fatal(err)
		}
		if len(reply.Plans) != 1 || reply.Plans[0].Forecast.Past == nil {
			t.Fatalf("the plan says nothing of the past: %+v", reply.Plans)
		}
		return *reply.Plans[0].Forecast.Past
	}
	known := past()
	client := r.client()
	for deadline := time.Now().Add(time.Minute); known.Answers < 10*time.Second && time.Now().Before(deadline); known = past() {
		r.nextEvent(t.Context(), client, math.MaxInt64) // none comes: it waits for a moment
	}
	if known.Answers < 10*time.Second || known.Logs < known.Answers || known.Enough == 0 {
		t.Fatalf("known of the past after a minute: %+v", known)
	}
	stop()
	r.must(0, "serve", "--stop")
	info, err := os.Stat(filepath.Join(string(r.state), "past", "web.jsonl.gz"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the past that is kept: %v, %v", info, err)
	}
	if again := past(); again.Answers < known.Answers || again.Logs < known.Logs {
		t.Errorf("known of the past: %+v, and %+v to the next controller", known, again)
	}
}
