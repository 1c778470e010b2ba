package template

import "bytes"

// severityWord gives the severity that a word names in capitals, as logging libraries write it, cut to three or four letters too.
func severityWord(word []byte) Severity {
	switch string(word) {
	case "TRACE", "TRAC", "TRCE", "TRC", "DEBUG", "DEBU", "DBUG", "DBG", "FINE", "FINER", "FINEST", "VERBOSE", "VERB", "VRB", "SILLY",
		"DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5":
		return Debug
	case "INFO", "INF", "NOTICE", "NOTE", "LOG", "INFORMATION", "INFORMATIONAL", "CONFIG", "STATEMENT", "HINT", "DETAIL", "CONTEXT", "SYSTEM":
		return Info
	case "WARN", "WARNING", "WRN", "DEPRECATED":
		return Warn
	case "ERROR", "ERR", "ERRO", "SEVERE", "FAILURE", "FAIL", "EROR":
		return Error
	case "FATAL", "FATA", "FTL", "CRITICAL", "CRIT", "ALERT", "EMERG", "EMERGENCY", "PANIC", "PANI", "PNC", "DPANIC", "BUG":
		return Fatal
	}
	return Unknown
}

// ordinary reports whether the word, in capitals, is one that texts have too: it names a level only where one is expected.
func ordinary(word []byte) bool {
	switch string(word) {
	case "LOG", "HINT", "DETAIL", "STATEMENT", "CONTEXT", "CONFIG", "SYSTEM", "NOTE", "FINE", "FAIL", "ALERT", "BUG", "VERB", "DEPRECATED", "SILLY":
		return true
	}
	return false
}

// severityIn gives the severity that a word names in any case, and whether it is in capitals.
func severityIn(word []byte) (s Severity, capitals bool) {
	var upper [13]byte
	if len(word) < 3 || len(word) > len(upper) {
		return Unknown, false
	}
	capitals = true
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
			capitals = false
		}
		upper[i] = c
	}
	return severityWord(upper[:len(word)]), capitals
}

// severityName gives the severity that a level's value names: a word in any case, a letter, or a number.
func severityName(value []byte) Severity {
	value = bytes.Trim(value, " \"")
	if s, _ := severityIn(value); s != Unknown {
		return s
	}
	switch {
	case len(value) == 1 && !isDigit(value[0]):
		return severityLetter(value[0] &^ 0x20)
	case len(value) == 2 && value[0] == 'D' && value[1] >= '1' && value[1] <= '5': // MongoDB
		return Debug
	}
	return severityNumber(value)
}

func severityLetter(c byte) Severity {
	switch c {
	case 'D', 'V', 'T':
		return Debug
	case 'I', 'N':
		return Info
	case 'W':
		return Warn
	case 'E':
		return Error
	case 'F', 'C':
		return Fatal
	}
	return Unknown
}

// severityNumber reads a level's number by its size: syslog's 0 to 7, 10 to 60 of bunyan and pino, Monolog's 100 to 600, 700 to 1000 of
// java.util.logging, Logback's 5000 to 40000.
func severityNumber(value []byte) Severity {
	n, ok := number(value)
	switch {
	case !ok:
		return Unknown
	case n <= 7:
		return syslogSeverity(n)
	case n < 10 || n > 50000:
		return Unknown
	case n < 100:
		return ladder(n, 30, 40, 50, 60)
	case n < 700:
		return ladder(n, 200, 300, 400, 500)
	case n <= 1000:
		return ladder(n, 700, 900, 1000, 1001)
	}
	return ladder(n, 20000, 30000, 40000, 50000)
}

// severityScale reads a number of a scale that its key names: Python's levelno, OpenTelemetry's severityNumber.
func severityScale(value []byte, info, warn, failed, fatal int) Severity {
	if n, ok := number(value); ok && n > 0 {
		return ladder(n, info, warn, failed, fatal)
	}
	return Unknown
}

func ladder(n, info, warn, failed, fatal int) Severity {
	switch {
	case n >= fatal:
		return Fatal
	case n >= failed:
		return Error
	case n >= warn:
		return Warn
	case n >= info:
		return Info
	}
	return Debug
}

func number(value []byte) (n int, ok bool) {
	if len(value) == 0 || len(value) > 5 {
		return 0, false
	}
	for _, c := range value {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func syslogSeverity(n int) Severity {
	return [...]Severity{Fatal, Fatal, Fatal, Error, Warn, Info, Info, Debug}[n&7]
}

// severityOf finds what a plain line says of its severity: the level in its head; else it begins with an exception, or is an access
// log's with a status of 500 and more. What the text tells of errors counts for nothing.
func severityOf(line []byte) Severity {
	h := head{line: line[:min(len(line), maxHead)]}
	if s := h.severity(); s != Unknown {
		return s
	}
	if exceptionHead(line) && bytes.IndexByte(line[:min(len(line), 200)], ':') > 0 {
		return Error
	}
	return statusSeverity(line)
}

// statusSeverity finds the status after HTTP/1.1" of an access log.
func statusSeverity(line []byte) Severity {
	line = line[:min(len(line), 4096)]
	for {
		i := bytes.Index(line, []byte("HTTP/"))
		if i < 0 || i+13 >= len(line) {
			return Unknown
		}
		for j := i + 5; j < i+9; j++ {
			if line[j] == '"' && line[j+1] == ' ' && line[j+2] >= '1' && line[j+2] <= '5' && isDigit(line[j+3]) && isDigit(line[j+4]) {
				if line[j+2] == '5' {
					return Error
				}
				return Info
			}
		}
		line = line[i+5:]
	}
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
