package receipt

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Seconds is a duration that is written in JSON as a number of seconds, to the microsecond.
type Seconds time.Duration

// Duration gives it as Go's own type.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// String writes it as people say it: "0 s", "180 ms", "4.2 s", "41 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
func (s Seconds) String() string {
	d := time.Duration(s)
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%.2g ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 119500*time.Millisecond:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d < time.Hour-500*time.Millisecond:
		return twoUnits(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return twoUnits(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	default:
		return twoUnits(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
	}
}

func twoUnits(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// MarshalJSON writes a number of seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	micros := math.Round(float64(s) / float64(time.Microsecond))
	return strconv.AppendFloat(nil, micros/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON reads a number of seconds.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	value, err := strconv.ParseFloat(string(data), 64)
	if err != nil || math.IsNaN(value) || math.Abs(value) > 9e9 {
		return fmt.Errorf("read seconds %q: want a number", data)
	}
	*s = Seconds(math.Round(value*1e6)) * Seconds(time.Microsecond)
	return nil
}
