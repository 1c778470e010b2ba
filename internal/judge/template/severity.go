package template

// severityWord gives the severity that a word names in capitals, as logging libraries write it.
func severityWord(word []byte) Severity {
	switch string(word) {
	case "TRACE", "DEBUG", "FINE", "FINER", "FINEST", "VERBOSE", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5":
		return Debug
	case "INFO", "NOTICE", "LOG", "INFORMATION", "CONFIG", "STATEMENT", "HINT", "DETAIL":
		return Info
	case "WARN", "WARNING", "WRN":
		return Warn
	case "ERROR", "ERR", "SEVERE", "FAILURE", "EROR":
		return Error
	case "FATAL", "CRITICAL", "CRIT", "ALERT", "EMERG", "EMERGENCY", "PANIC":
		return Fatal
	}
	return Unknown
}

// severityName gives the severity that a level's value names, in any case.
func severityName(word []byte) Severity {
	var upper [12]byte
	if len(word) == 0 || len(word) > len(upper) {
		return Unknown
	}
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	if s := severityWord(upper[:len(word)]); s != Unknown {
		return s
	}
	if len(word) == 1 {
		return severityLetter(upper[0])
	}
	return severityNumber(word)
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
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return syslogSeverity(int(c - '0'))
	}
	return Unknown
}

// severityNumber reads the levels of bunyan and pino: 10 to 60.
func severityNumber(word []byte) Severity {
	if len(word) != 2 || word[1] != '0' {
		return Unknown
	}
	switch word[0] {
	case '1', '2':
		return Debug
	case '3':
		return Info
	case '4':
		return Warn
	case '5':
		return Error
	case '6':
		return Fatal
	}
	return Unknown
}

func syslogSeverity(n int) Severity {
	return [...]Severity{Fatal, Fatal, Fatal, Error, Warn, Info, Info, Debug}[n&7]
}

// severityOf finds what a plain line says of its severity: a level in capitals, in brackets or before a colon near its beginning,
// klog's letter, syslog's <priority>, an access log's status of 500 and more.
func severityOf(line []byte) Severity {
	if s := severityOfStart(line); s != Unknown {
		return s
	}
	head := line[:min(len(line), 160)]
	for i, words := 0, 0; i < len(head) && words < 16; {
		if !isLetter(head[i]) {
			i++
			continue
		}
		from := i
		for i < len(head) && (isLetter(head[i]) || isDigit(head[i])) {
			i++
		}
		words++
		if i-from < 3 || i-from > 11 {
			continue
		}
		if s := severityIn(head, from, i); s != Unknown {
			return s
		}
	}
	return statusSeverity(line)
}

// severityIn judges the word at [from, to) by itself and by what stands around it.
func severityIn(head []byte, from, to int) Severity {
	before, after := byte(' '), byte(' ')
	if from > 0 {
		before = head[from-1]
	}
	if to < len(head) {
		after = head[to]
	}
	if joins := func(c byte) bool { return c == '_' || c == '-' || c == '.' || c == '/' || c == '\'' }; joins(before) || joins(after) {
		return Unknown
	}
	word := head[from:to]
	if word[1] < 'a' {
		return severityWord(word)
	}
	bracketed := (before == '[' || before == '<' || before == '(' || before == ':' || before == '|') && (after == ']' || after == '>' || after == ')' || after == '|')
	if bracketed || (after == ':' && from == 0) {
		return severityName(word)
	}
	return Unknown
}

// severityOfStart reads klog's I0102, syslog's <34> and Ruby's "E, [".
func severityOfStart(line []byte) Severity {
	if len(line) < 6 {
		return Unknown
	}
	switch {
	case line[0] == '<' && isDigit(line[1]):
		n, i := 0, 1
		for i < 5 && isDigit(line[i]) {
			n = n*10 + int(line[i]-'0')
			i++
		}
		if line[i] == '>' && n < 192 {
			return syslogSeverity(n)
		}
	case isDigit(line[1]) && isDigit(line[2]) && isDigit(line[3]) && isDigit(line[4]) && line[5] == ' ',
		line[1] == ',' && line[2] == ' ' && line[3] == '[':
		return severityLetter(line[0])
	}
	return Unknown
}

// statusSeverity finds the status after HTTP/1.1" of an access log.
func statusSeverity(line []byte) Severity {
	for i := 0; i+13 < len(line) && i < 4096; i++ {
		if line[i] != 'H' || !hasPrefix(line[i:], "HTTP/") {
			continue
		}
		for j := i + 5; j < i+9; j++ {
			if line[j] == '"' && line[j+1] == ' ' && line[j+2] >= '1' && line[j+2] <= '5' && isDigit(line[j+3]) && isDigit(line[j+4]) {
				if line[j+2] == '5' {
					return Error
				}
				return Info
			}
		}
	}
	return Unknown
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
