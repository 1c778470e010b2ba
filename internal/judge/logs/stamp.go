package logs

import (
	"bytes"
	"strconv"
	"time"
)

const (
	// stampWithin is how far into a line the time that it was written at begins, where it is no field with a name.
	stampWithin = 64
	isoLength   = len("2006-01-02T15:04:05")
	clfLength   = len("02/Jan/2006:15:04:05 -0700")
)

// stamp is the time that a line says it was written at. Without zoned, At is what a clock on the wall showed, in UTC's name.
type stamp struct {
	at    time.Time
	zoned bool
}

// in gives the time, for a clock that stood in a zone.
func (s stamp) in(zone *time.Location) time.Time {
	if s.zoned || s.at.IsZero() {
		return s.at
	}
	t := s.at
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
}

// stampOf reads the time of a line: of a field for it in JSON or logfmt, or else a date with a time near the beginning, as in ISO 8601 or in access
// logs. The zero value is a line without.
func stampOf(line []byte) stamp {
	line = bytes.TrimLeft(line, " \t")
	if len(line) > 0 && line[0] == '{' {
		return jsonStamp(line)
	}
	if s := logfmtStamp(line); !s.at.IsZero() {
		return s
	}
	for i := 0; i < len(line) && i < stampWithin; i++ {
		if !isDigit(line[i]) || i > 0 && isDigit(line[i-1]) {
			continue
		}
		for _, s := range [...]stamp{isoStamp(line[i:]), clfStamp(line[i:])} {
			if !s.at.IsZero() {
				return s
			}
		}
	}
	return stamp{}
}

func jsonStamp(line []byte) stamp {
	for _, key := range [...]string{`"time":`, `"ts":`, `"timestamp":`, `"@timestamp":`, `"@t":`, `"t":`, `"datetime":`, `"asctime":`} {
		if at := bytes.Index(line, []byte(key)); at >= 0 {
			return stampValue(bytes.TrimLeft(line[at+len(key):], " "))
		}
	}
	return stamp{}
}

func logfmtStamp(line []byte) stamp {
	for _, key := range [...]string{"time=", "ts=", "timestamp=", "t=", "at="} {
		at := bytes.Index(line, []byte(key))
		if at == 0 || at > 0 && line[at-1] == ' ' {
			if s := stampValue(line[at+len(key):]); !s.at.IsZero() {
				return s
			}
		}
	}
	return stamp{}
}

// stampValue reads a field's value: a time in words, or seconds, milli-, micro- or nanoseconds since 1970.
func stampValue(value []byte) stamp {
	quoted := len(value) > 0 && value[0] == '"'
	if quoted {
		value = value[1:]
	}
	if s := isoStamp(value); !s.at.IsZero() {
		return s
	}
	end := 0
	for end < len(value) && (isDigit(value[end]) || value[end] == '.') {
		end++
	}
	whole, fraction, _ := bytes.Cut(value[:end], []byte{'.'})
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil {
		return stamp{}
	}
	switch len(whole) {
	case 10:
		return stamp{time.Unix(n, nanoseconds(fraction)), true}
	case 13:
		return stamp{time.UnixMilli(n), true}
	case 16:
		return stamp{time.UnixMicro(n), true}
	case 19:
		return stamp{time.Unix(0, n), true}
	}
	return stamp{}
}

// isoStamp reads 2006-01-02T15:04:05.000Z and its like: with slashes, a blank, a comma, without a zone.
func isoStamp(text []byte) stamp {
	if len(text) < isoLength || text[4] != '-' && text[4] != '/' || text[10] != 'T' && text[10] != ' ' {
		return stamp{}
	}
	var form [isoLength]byte
	copy(form[:], text)
	form[4], form[10] = '-', 'T'
	if text[7] == text[4] {
		form[7] = '-'
	}
	at, err := time.Parse("2006-01-02T15:04:05", string(form[:]))
	if err != nil {
		return stamp{}
	}
	rest := text[isoLength:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && isDigit(rest[1]) {
		end := 1
		for end < len(rest) && isDigit(rest[end]) {
			end++
		}
		at, rest = at.Add(time.Duration(nanoseconds(rest[1:end]))), rest[end:]
	}
	if offset, ok := zoneOf(rest); ok {
		return stamp{at.Add(-offset), true}
	}
	return stamp{at: at}
}

// clfStamp reads 02/Jan/2006:15:04:05 -0700.
func clfStamp(text []byte) stamp {
	if len(text) < clfLength || text[2] != '/' {
		return stamp{}
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(text[:clfLength]))
	if err != nil {
		return stamp{}
	}
	return stamp{at, true}
}

// nanoseconds gives a fraction of a second by its digits.
func nanoseconds(digits []byte) int64 {
	n := int64(0)
	for i := range 9 {
		n *= 10
		if i < len(digits) {
			n += int64(digits[i] - '0')
		}
	}
	return n
}

// zoneOf reads the zone behind a time: Z, UTC, +01:00, +0100, with a blank before or not.
func zoneOf(text []byte) (offset time.Duration, ok bool) {
	text = bytes.TrimPrefix(text, []byte{' '})
	switch {
	case len(text) > 0 && text[0] == 'Z':
		return 0, true
	case bytes.HasPrefix(text, []byte("UTC")), bytes.HasPrefix(text, []byte("GMT")):
		return 0, true
	case len(text) < len("+0100") || text[0] != '+' && text[0] != '-':
		return 0, false
	}
	digits := bytes.Replace(text[1:min(len(text), len("+01:00"))], []byte{':'}, nil, 1)
	if len(digits) < 4 {
		return 0, false
	}
	hours, err := strconv.ParseUint(string(digits[:2]), 10, 8)
	minutes, err2 := strconv.ParseUint(string(digits[2:4]), 10, 8)
	if err != nil || err2 != nil || hours > 14 || minutes > 59 {
		return 0, false
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
