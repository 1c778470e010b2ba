package spec

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond,
		"1.5h": 90 * time.Minute, "2d": 48 * time.Hour, "1m1s1ms": time.Minute + time.Second + time.Millisecond, "3650d": durationLimit,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{
		"": "write it like", "10": "lacks a unit", "-5s": "negative", "5 s": "write it like", "s": "write it like", "1e3s": "write it like",
		"1w": "write it like", "5S": "write it like", "3651d": "", "99999999999999999999h": "", "1us": "write it like", "٣s": "write it like",
	} {
		wantInvalid(t, "ParseDuration", text, hint, func() error { _, err := ParseDuration(text); return err })
	}
}

func TestParsePercent(t *testing.T) {
	for text, want := range map[string]float64{"0%": 0, "1%": 0.01, "0.5%": 0.005, "100%": 1, "50 %": 0.5} {
		if got, err := ParsePercent(text); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("ParsePercent(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{"1": "write 1%", "": "write it like", "-1%": "write it like", "101%": "", "x%": "write it like", "%": "write it like"} {
		wantInvalid(t, "ParsePercent", text, hint, func() error { _, err := ParsePercent(text); return err })
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"50/s": 50, "300/m": 5, "36/h": 0.01, "0.5 / s": 0.5, "0/s": 0} {
		if got, err := ParseRate(text); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{"50": "write 50/s", "": "write it like", "50/d": "write it like", "-1/s": "write it like", "1e9/s": "write it like", "9999999/s": ""} {
		wantInvalid(t, "ParseRate", text, hint, func() error { _, err := ParseRate(text); return err })
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0B": 0, "512B": 512, "64KiB": 64 << 10, "10MB": 10_000_000, "1.5 GiB": 3 << 29, "2kB": 2000, "1kiB": 1024} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{"64": "lacks a unit", "": "write it like", "64k": "write it like", "-1B": "write it like", "99999999GiB": ""} {
		wantInvalid(t, "ParseSize", text, hint, func() error { _, err := ParseSize(text); return err })
	}
}

func wantInvalid(t *testing.T, name, text, hint string, parse func() error) {
	t.Helper()
	err := parse()
	if segue.KindOf(err) != segue.KindInvalid || err == nil {
		t.Errorf("%s(%q) = %v, want KindInvalid", name, text, err)
		return
	}
	if !strings.Contains(segue.HintOf(err), hint) {
		t.Errorf("%s(%q): hint %q, want %q in it", name, text, segue.HintOf(err), hint)
	}
}

// What Go writes of a duration is read as the same.
func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, int64(durationLimit/time.Millisecond)).Draw(t, "ms")) * time.Millisecond
		got, err := ParseDuration(want.String())
		// Summed in floating point: exact to far below what anybody writes.
		if err != nil || (got-want).Abs() > time.Microsecond {
			t.Fatalf("ParseDuration(%q) = %v, %v", want, got, err)
		}
	})
}

// The schema's pattern and the parser agree on what a duration is.
func TestDurationPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{0,3}(\.[0-9])?(ms|s|m|h|d|w|)([0-9](s|m)?)?`).Draw(t, "text")
		_, err := ParseDuration(text)
		if matches := text == "0" || durationForm.MatchString(text); matches != (err == nil) {
			t.Fatalf("%q: pattern %v, parser %v", text, matches, err)
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"drian", "drain", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}, {"ab", "ba", 1}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d both ways", c.a, c.b, got, c.want)
		}
	}
	if got := suggest("zzz", []string{"abc", "def"}); got != "" {
		t.Errorf("suggested %q for nothing like it", got)
	}
	if got := fmt.Sprint(list([]string{"a"}), list([]string{"a", "b", "c"}), list(nil)); got != "aa, b or c" {
		t.Errorf("list: %q", got)
	}
}
