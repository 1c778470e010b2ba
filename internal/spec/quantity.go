package spec

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// durationLimit bounds durations: longer ones are mistakes.
const durationLimit = 10 * 365 * 24 * time.Hour

var (
	durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`)
	durationPart = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	number       = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	sizeForm     = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?(B|[kK]B|MB|GB|[kK]iB|MiB|GiB)$`)
)

// ParseDuration reads "30s", "1h30m", "500ms" or "2d": numbers with units ms, s, m, h, d, and plain 0. Errors: KindInvalid, with a hint.
func ParseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	if !durationForm.MatchString(text) {
		err := segue.Errorf(segue.KindInvalid, "%q is no duration", text)
		switch {
		case number.MatchString(text):
			return 0, err.WithHint("it lacks a unit: write %ss, %sm or %sh", text, text, text)
		case strings.HasPrefix(text, "-"):
			return 0, err.WithHint("it may not be negative")
		}
		return 0, err.WithHint("write it like 30s, 10m, 1h30m or 2d")
	}
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	sum := 0.0
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, segue.Errorf(segue.KindInvalid, "%q is no duration: %w", text, err)
		}
		sum += value * float64(units[part[2]])
	}
	if sum > float64(durationLimit) {
		return 0, segue.Errorf(segue.KindInvalid, "duration %q is longer than ten years", text)
	}
	return time.Duration(math.Round(sum)), nil
}

// ParsePercent reads "1%" or "0.5%" as a share in [0,1]. Errors: KindInvalid, with a hint.
func ParsePercent(text string) (float64, error) {
	digits, ok := strings.CutSuffix(text, "%")
	if digits = strings.TrimSpace(digits); !ok || !number.MatchString(digits) {
		err := segue.Errorf(segue.KindInvalid, "%q is no percentage", text)
		if number.MatchString(text) {
			return 0, err.WithHint("write %s%%", text)
		}
		return 0, err.WithHint("write it like 1%% or 0.5%%")
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || value > 100 {
		return 0, segue.Errorf(segue.KindInvalid, "percentage %q is more than 100%%", text)
	}
	return value / 100, nil
}

// ParseRate reads "50/s", "300/m" or "10/h" as so many per second. Errors: KindInvalid, with a hint.
func ParseRate(text string) (float64, error) {
	digits, unit, _ := strings.Cut(text, "/")
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[strings.TrimSpace(unit)]
	if digits = strings.TrimSpace(digits); seconds == 0 || !number.MatchString(digits) {
		err := segue.Errorf(segue.KindInvalid, "%q is no rate", text)
		if number.MatchString(text) {
			return 0, err.WithHint("write %s/s", text)
		}
		return 0, err.WithHint("write it like 50/s, 300/m or 10/h")
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || value > 1e6 {
		return 0, segue.Errorf(segue.KindInvalid, "rate %q is too high", text)
	}
	return value / seconds, nil
}

// ParseSize reads "64KiB", "10MB" or "512B" as bytes. Errors: KindInvalid, with a hint.
func ParseSize(text string) (int64, error) {
	match := sizeForm.FindStringSubmatch(text)
	if match == nil {
		err := segue.Errorf(segue.KindInvalid, "%q is no size", text)
		if number.MatchString(text) {
			return 0, err.WithHint("it lacks a unit: write %sB, %sKiB or %sMiB", text, text, text)
		}
		return 0, err.WithHint("write it like 512B, 64KiB or 10MB")
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return 0, segue.Errorf(segue.KindInvalid, "%q is no size: %w", text, err)
	}
	units := map[string]float64{"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
	bytes := value * units[strings.ToUpper(match[2])]
	if bytes > 1<<50 {
		return 0, segue.Errorf(segue.KindInvalid, "size %q is too large", text)
	}
	return int64(bytes), nil
}
