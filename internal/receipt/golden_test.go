package receipt

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", path, diff)
	}
}

func scenarios(t *testing.T) map[string]Receipt {
	t.Helper()
	return map[string]Receipt{"clean": Build(clean(t)), "broken": Build(broken(t)), "awkward": Build(awkward(t))}
}

func TestGolden(t *testing.T) {
	for name, r := range scenarios(t) {
		golden(t, name+".txt", []byte(Text(r, TextOptions{Width: 100})))
		golden(t, name+".ascii.txt", []byte(Text(r, TextOptions{Width: 80, ASCII: true})))
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", append(text, '\n'))
		var page bytes.Buffer
		if err := HTML(&page, r); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".html", page.Bytes())
	}
}

func TestJSONRoundTripKeepsEverything(t *testing.T) {
	for name, r := range scenarios(t) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Receipt
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if a, b := Text(r, TextOptions{}), Text(again, TextOptions{}); a != b {
			t.Errorf("%s: text after a round trip (-before +after):\n%s", name, cmp.Diff(a, b))
		}
		second, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, second) {
			t.Errorf("%s: JSON changes in a round trip", name)
		}
	}
}

func TestASCIIHasNothingElse(t *testing.T) {
	for name, r := range scenarios(t) {
		for _, c := range Text(r, TextOptions{ASCII: true}) {
			if c > 126 {
				t.Fatalf("%s: %q in ASCII text", name, c)
			}
		}
	}
}

func TestNothingHostileGetsThrough(t *testing.T) {
	r := Build(awkward(t))
	if text := Text(r, TextOptions{}); strings.ContainsRune(text, '\x1b') {
		t.Error("an escape sequence from outside reaches the terminal")
	}
	var page bytes.Buffer
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, hostile := range []string{"<script", "<b>", "http://", "https://", "url(", "@import"} {
		if strings.Contains(page.String(), hostile) {
			t.Errorf("the page has %q", hostile)
		}
	}
	if !strings.Contains(page.String(), "&lt;script&gt;") {
		t.Error("the hostile note is not shown, escaped")
	}
}
