package template

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
)

// TestStoredGoesOn: a miner that goes on with what another one learnt does to the last detail as that would have, through merges and all.
func TestStoredGoesOn(t *testing.T) {
	t.Parallel()
	verbs, nouns := []string{"opened", "closed", "lost", "found", "moved"}, []string{"user", "queue", "table", "cart", "order", "mail"}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		options := Options{Templates: rapid.SampledFrom([]int{40, 5000}).Draw(t, "templates"), Slots: 12}
		m := NewMiner(options, nil)
		word := func(n int) string { return fmt.Sprintf("%c%c%c", 'a'+n%5, 'k'+n/5%7, 'p'+n/35%9) }
		line := func() (string, segue.ServerName) {
			at = at.Add(time.Duration(rapid.IntRange(0, 9000).Draw(t, "ms")) * time.Millisecond)
			n := rapid.IntRange(0, 200).Draw(t, "word")
			text := fmt.Sprintf("%s level=x the %s %s %s was %s by %s with %d of %s", at.Format(time.DateTime), nouns[n%6], word(n), nouns[n%4], verbs[n%5], word(n/3), n, word(n/2))
			switch n % 6 {
			case 0:
				text = fmt.Sprintf("ERROR worker %s for %s %s", word(n), word(n/2), verbs[n%2])
			case 1:
				text = fmt.Sprintf("an order was %s by %s today and again", verbs[n%2], word(n/6))
			case 2:
				text = fmt.Sprintf("all of these user %d are gone for good", n)
			case 3:
				text = fmt.Sprintf("all of these user %s %d are gone for good", word(n/6), n)
			}
			return text, segue.ServerName(fmt.Sprintf("web-%d", n%3))
		}
		for range rapid.IntRange(0, 300).Draw(t, "before") {
			text, server := line()
			m.Add([]byte(text), server, time.Time{}, at)
		}
		if rapid.Bool().Draw(t, "merge") {
			m.tree.Merge()
		}
		stored, err := json.Marshal(m.Stored())
		if err != nil {
			t.Fatal(err)
		}
		var read Stored
		if err := json.Unmarshal(stored, &read); err != nil {
			t.Fatal(err)
		}
		again := NewMiner(options, nil)
		if err := again.Restore(read); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 300).Draw(t, "after") {
			text, server := line()
			one, other := m.Add([]byte(text), server, time.Time{}, at), again.Add([]byte(text), server, time.Time{}, at)
			one.Returned, other.Returned = false, false
			if one != other {
				t.Fatalf("%s: %+v, and %+v after a restart", text, one, other)
			}
		}
		if differ := cmp.Diff(m.Stored(), again.Stored()); differ != "" {
			t.Fatalf("(-never stored +stored)\n%s", differ)
		}
	})
}

// TestStoredFormatStandsForIDs: whoever changes how lines are mined gives them other ids than are stored, and must count StoredFormat up.
func TestStoredFormatStandsForIDs(t *testing.T) {
	t.Parallel()
	m := NewMiner(Options{}, nil)
	all := uint64(0)
	for _, line := range []string{
		`{"time":"2026-01-02T03:04:05Z","level":"ERROR","logger":"shop.pay","msg":"bank did not answer within 3s","n":7}`,
		`ts=2026-01-02T03:04:05Z lvl=warn msg="cart 17 is stale" user=ana`,
		`2026-01-02 03:04:05,123 [http-8] INFO  c.e.Shop - GET /cart/1f8e2a7c91 took 12 ms`,
		`Jan  2 03:04:05 host-1 shop[12]: error: connection to 10.0.0.7:5432 lost`,
		"panic: runtime error: index out of range [5]\n\ngoroutine 7 [running]:\nmain.sell(0x1)\n\t/srv/shop/sell.go:12 +0x1",
		`E0102 03:04:05.000000       1 cart.go:17] "lost" id="ab12cd34"`,
	} {
		all = mix(all^uint64(m.Add([]byte(line), "web-1", time.Time{}, time.Unix(0, 1)).ID), 0x9e3779b97f4a7c15)
	}
	const want = "d85c016e835c9998"
	if got := ID(all).String(); got != want || StoredFormat != 1 {
		t.Errorf("lines have other ids, %s, than under format %d: count StoredFormat up, and put them here", got, StoredFormat)
	}
}
