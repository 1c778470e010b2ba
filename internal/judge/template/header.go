package template

// header masks syslog's beginning, whose host is a word like any other, and returns where the rest starts:
// "Jun 14 15:16:01 host prog[1]:", "<34>1 2026-01-02T03:04:05Z host prog", "2026-01-02T03:04:05+00:00 host prog:".
func (m *masker) header(l *Line, from int) int {
	text := l.text
	i := from
	rfc5424 := false
	if i+4 < len(text) && text[i] == '<' && isDigit(text[i+1]) {
		j := i + 1
		for j < len(text) && isDigit(text[j]) && j < i+5 {
			j++
		}
		if j < len(text) && text[j] == '>' {
			i = j + 1
			if i+2 < len(text) && text[i] == '1' && text[i+1] == ' ' {
				rfc5424 = true
				i += 2
			}
		}
	}
	end, bsd := stampEnd(text, i)
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
	if to == host || to >= len(text) || (!rfc5424 && !programTag(text, to+1)) || severityWord(text[host:to]) != Unknown || (bsd && to-host < 1) {
		return from
	}
	l.value(from, to, false)
	return to
}

// stampEnd gives the end of the time that starts at i and that a space follows, or 0.
func stampEnd(text []byte, i int) (end int, bsd bool) {
	if i+16 < len(text) && dateName(text[i:i+3]) && text[i+3] == ' ' && text[i+9] == ':' && text[i+12] == ':' && isDigit(text[i+5]) {
		end = i + 15
		for end < len(text) && (text[end] == '.' || isDigit(text[end])) {
			end++
		}
		if end < len(text) && text[end] == ' ' {
			return end, true
		}
		return 0, false
	}
	if i+20 < len(text) && isDigit(text[i]) && isDigit(text[i+3]) && text[i+4] == '-' && text[i+7] == '-' && text[i+10] == 'T' && text[i+13] == ':' {
		end = i + 11
		for end < len(text) && text[end] != ' ' {
			end++
		}
		if end < len(text) {
			return end, false
		}
	}
	return 0, false
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
