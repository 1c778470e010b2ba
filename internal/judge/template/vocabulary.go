package template

import (
	"bytes"
	"strings"
)

// numeric reports whether the word is a number, date or time, so that a unit may follow; what only begins with a digit may be an id.
func numeric(word []byte) bool {
	for _, c := range word {
		if !isDigit(c) && c != '.' && c != ',' && c != '-' && c != ':' && c != '/' && c != '+' && c != 'T' && c != 'Z' {
			return false
		}
	}
	return len(word) > 0
}

// singular gives what a noun and its plural have in common: file of files, match of matches, entr of entry and entries.
func singular(word []byte) []byte {
	n := len(word)
	switch {
	case bytes.HasSuffix(word, []byte("ies")):
		return word[:n-3]
	case word[n-1] == 'y':
		return word[:n-1]
	case bytes.HasSuffix(word, []byte("sses")), bytes.HasSuffix(word, []byte("ches")), bytes.HasSuffix(word, []byte("shes")), bytes.HasSuffix(word, []byte("xes")):
		return word[:n-2]
	case word[n-1] == 's' && word[n-2] != 's':
		return word[:n-1]
	}
	return word
}

// literal reports whether the word is a value of a language: true, null.
func literal(word []byte) bool {
	switch string(word) {
	case "true", "false", "null", "nil", "None", "NULL", "undefined", "NaN", "True", "False", "TRUE", "FALSE", "N/A", "n/a", "localhost":
		return true
	}
	return false
}

// unit reports whether the word after a number says of what.
func unit(word []byte) bool {
	switch string(word) {
	case "B", "KB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "kB", "K", "M", "G", "T", "k", "m", "g", "b", "kb", "mb", "gb", "bytes", "byte", "Bytes", "bits", "kbps", "Mbps", "Kbps", "MHz", "GHz", "Hz", "kHz", "pages",
		"ns", "us", "µs", "μs", "ms", "s", "h", "d", "sec", "secs", "msec", "usec", "msecs", "second", "seconds", "min", "mins", "minute", "minutes", "hr", "hrs", "hour", "hours", "day", "days", "week", "weeks", "millis", "milliseconds", "microseconds",
		"percent", "AM", "PM", "am", "pm", "UTC", "GMT", "CET", "CEST", "PST", "PDT", "EST", "EDT", "CST", "CDT", "MST", "MDT", "BST", "IST", "JST", "Z":
		return true
	}
	return false
}

// dateName reports whether the word is a weekday's or month's short or full name.
func dateName(word []byte) bool {
	if len(word) < 3 || len(word) > 9 {
		return false
	}
	switch string(word) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
		"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
		"January", "February", "March", "April", "June", "July", "August", "September", "October", "November", "December":
		return true
	}
	return false
}

// outcome reports whether the word, in capitals, is not one of many states but the very thing that is said.
func outcome(word []byte) bool {
	switch string(word) {
	case "UP", "DOWN", "ON", "OFF", "OK", "FAILED", "CRASHED", "DEAD", "KILLED", "LOST", "ABORTED", "REJECTED", "DENIED", "EXPIRED", "TIMEOUT", "UNHEALTHY",
		"UNREACHABLE", "CORRUPT", "CORRUPTED":
		return true
	}
	return false
}

// verbal reports whether the word says what happened, or how things are, so that it is nobody's name: started, failing, lost, is, not, ready.
func verbal(word string) bool {
	word = strings.ToLower(word)
	if len(word) > 3 && (strings.HasSuffix(word, "ed") || strings.HasSuffix(word, "ing") || strings.HasSuffix(word, "able")) {
		return true
	}
	switch word {
	case "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did", "done", "will", "would", "can", "can't", "cannot", "could", "may", "must",
		"should", "not", "no", "isn't", "wasn't", "didn't", "doesn't", "won't", "never", "already", "now", "ok", "up", "down", "on", "off", "in", "out", "over", "left",
		"lost", "found", "sent", "got", "held", "kept", "made", "met", "ran", "run", "began", "begun", "broke", "broken", "gone", "went", "came", "come", "hit", "hits",
		"miss", "misses", "shut", "set", "split", "cut", "read", "written", "wrote", "taken", "took", "given", "gave", "stuck", "frozen", "forgotten", "woke", "slept",
		"stop", "stops", "start", "starts", "fail", "fails", "crash", "crashes", "died", "dies", "exits", "begins", "ends", "leaves", "joins", "ready", "dead", "alive",
		"idle", "busy", "full", "empty", "open", "slow", "late", "healthy", "unhealthy", "online", "offline", "active", "inactive", "valid", "invalid", "missing",
		"unknown", "success", "successful", "successfully", "failure", "error", "errors", "timeout", "timeouts":
		return true
	}
	return false
}
