package template

// header masks syslog's beginning, whose host is a word like any other, and returns where the rest starts:
// "Jun 14 15:16:01 host prog[1]:", "<34>1 2026-01-02T03:04:05Z host prog", "2026-01-02T03:04:05+00:00 host prog:".
func (m *masker) header(l *Line, from int) int {
	text := l.text
	i, rfc5424 := priorityEnd(text, from)
	end := stampEnd(text, i)
	if end == 0 {
		return from
	}
	host := end + 1
	to := host
	for to < len(text) && text[to] != ' ' {
		if c := text[to]; c == ':' || c == '[' || c == '=' || c == '"' || c == '(' || c == '|' {
			return from
		}
		to++
	}
	if to == host || to >= len(text) || (!rfc5424 && !programTag(text, to+1)) || severityWord(text[host:to]) != Unknown {
		return from
	}
	l.value(from, to, false)
	return to
}

// priorityEnd gives the end of "<34>" or "<34>1 ", with which RFC 5424 begins.
func priorityEnd(text []byte, i int) (end int, rfc5424 bool) {
	if i+4 >= len(text) || text[i] != '<' || !isDigit(text[i+1]) {
		return i, false
	}
	j := i + 1
	for j < len(text) && isDigit(text[j]) && j < i+5 {
		j++
	}
	if j >= len(text) || text[j] != '>' {
		return i, false
	}
	j++
	if j+2 < len(text) && text[j] == '1' && text[j+1] == ' ' {
		return j + 2, true
	}
	return j, false
}

// stampEnd gives the end of the time that starts at i and that a space follows, or 0.
func stampEnd(text []byte, i int) int {
	if i+16 < len(text) && dateName(text[i:i+3]) && text[i+3] == ' ' && text[i+9] == ':' && text[i+12] == ':' && isDigit(text[i+5]) {
		end := i + 15
		for end < len(text) && (text[end] == '.' || isDigit(text[end])) {
			end++
		}
		if end < len(text) && text[end] == ' ' {
			return end
		}
		return 0
	}
	if i+20 < len(text) && isDigit(text[i]) && isDigit(text[i+3]) && text[i+4] == '-' && text[i+7] == '-' && text[i+10] == 'T' && text[i+13] == ':' {
		end := i + 11
		for end < len(text) && text[end] != ' ' {
			end++
		}
		if end < len(text) {
			return end
		}
	}
	return 0
}

// programTag reports whether "prog:", "prog[1]:" or "prog(part)[1]:" starts at i.
func programTag(text []byte, i int) bool {
	from := i
	for i < len(text) && i < from+64 && (isTypeByte(text[i]) || text[i] == '-' || text[i] == '/' || text[i] == '@') {
		i++
	}
	if i == from || i >= len(text) {
		return false
	}
	return text[i] == '[' || text[i] == '(' || (text[i] == ':' && (i+1 == len(text) || text[i+1] == ' '))
}
