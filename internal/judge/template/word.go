package template

import (
	"bytes"
	"slices"
)

// word reads the word at i and decides: a value, a hard word of prose, or a soft one.
func (m *masker) word(l *Line, i int) int {
	text := l.text
	j, has := m.scan(text, i)
	if end := m.special(text, i, j, has); end > 0 {
		l.value(i, end, false)
		return end
	}
	const around = other | dot | slash | under | at | backslash
	from, to := i, j
	for from < to && m.class[text[from]]&around != 0 {
		from++
	}
	for to > from && m.class[text[to-1]]&around != 0 {
		to--
	}
	if from == to {
		if has == slash && m.alone(text, i, j) { // served / in 3 ms
			l.value(i, j, false)
		}
		return j
	}
	if to-from < j-i {
		has &^= around
		for _, c := range text[from:to] {
			has |= m.class[c]
		}
	}
	m.classify(l, from, to, has)
	return j
}

// scan gives the end of the word at i, and what it consists of.
func (m *masker) scan(text []byte, i int) (j int, has uint16) {
	last := uint16(0)
	for j = i; j < len(text); j++ {
		class := m.class[text[j]]
		if class&inWord == 0 {
			if !m.within(text, i, j) {
				break
			}
			class = other
		}
		if class == dot && j > i && has&^(lower|upper|high|camel) == 0 && bytes.HasPrefix(text[j:], []byte("...")) && j+3 < len(text) {
			break // i-fetch......0
		}
		if class == upper && last == lower {
			has |= camel
		}
		has |= class
		last = class
	}
	return j, has
}

// alone reports whether nothing but blanks surround the bytes from i to j.
func (m *masker) alone(text []byte, i, j int) bool {
	return j == i+1 && (i == 0 || m.class[text[i-1]]&space != 0) && (j == len(text) || m.class[text[j]]&space != 0)
}

// within reports whether the byte at j, though no word's, is part of the word that began at i: can't, and the thousands of 1,234.
func (m *masker) within(text []byte, i, j int) bool {
	if j+1 >= len(text) || j == i {
		return false
	}
	switch text[j] {
	case '\'':
		return isLetter(text[j-1]) && isLetter(text[j+1])
	case ',':
		return isDigit(text[j-1]) && isDigit(text[j+1])
	}
	return false
}

// special gives the end of a URL, path, or address with colons that starts at i, where the word ends at j; or 0.
func (m *masker) special(text []byte, i, j int, has uint16) int {
	if end := m.joined(text, i, j, has); end > 0 {
		return end
	}
	if has&slash != 0 {
		rooted := text[i] == '/' || (text[i] == '~' || text[i] == '.') && bytes.IndexByte(text[i:min(i+4, j)], '/') >= 0
		if (rooted && j > i+1) || bytes.Count(text[i:j], []byte{'/'}) >= 2 {
			return m.pathEnd(text, j)
		}
	}
	if has&backslash != 0 && j > i+2 {
		return j
	}
	// A host with its address: unknown[10.0.0.1].
	if j < len(text) && text[j] == '[' && addressAt(text, j+1) {
		return balanced(text, j)
	}
	// The beginning of node-[40-63], blk_{...}.
	if j < len(text) && (text[j] == '[' || text[j] == '{') && (text[j-1] == '-' || text[j-1] == '_') && j > i+1 {
		return balanced(text, j)
	}
	return 0
}

// joined gives the end of what a colon or comma at j joins to the word at i, or 0.
func (m *masker) joined(text []byte, i, j int, has uint16) int {
	if j+1 >= len(text) {
		return 0
	}
	switch text[j] {
	case ':':
		return m.colon(text, i, j, has)
	case ',':
		return m.listEnd(text, i, j)
	}
	return 0
}

// colon gives the end of a URL, a Windows path or an address of which the word from i to the colon at j is the beginning; or 0.
func (m *masker) colon(text []byte, i, j int, has uint16) int {
	switch next := text[j+1]; {
	case next == '/' && j+2 < len(text) && text[j+2] == '/' && has&^(lower|upper|digit|other) == 0,
		next == '\\' && j == i+1, next == '/' && j == i+1 && has&upper != 0:
		return m.pathEnd(text, j+1)
	case has&dot != 0 && isDigit(next):
		return m.placeEnd(text, j+1)
	case has == digit && isLetter(next):
		return m.processEnd(text, j+1)
	case has&(digit|upper|lower) != 0 && j-i <= 4:
		return hexColons(text, i)
	}
	return 0
}

// processEnd gives the end of the name at i that a number and a colon precede, if it is somebody's name rather than prose:
// 2243:com.acme.mail:sync/u0a35.
func (m *masker) processEnd(text []byte, i int) int {
	from, name := i, false
	for ; i < len(text) && (m.class[text[i]]&inWord != 0 || text[i] == ':' && i+1 < len(text) && m.class[text[i+1]]&inWord != 0); i++ {
		class := m.class[text[i]]
		name = name || class&(digit|slash|under) != 0 || class == dot && i > from && i+1 < len(text) && isLetter(text[i+1])
	}
	if !name {
		return 0
	}
	return i
}

// addressAt reports whether an address of the internet, in version 4, and a closing bracket start at i.
func addressAt(text []byte, i int) bool {
	dots := 0
	for ; i < len(text) && (isDigit(text[i]) || text[i] == '.'); i++ {
		if text[i] == '.' {
			dots++
		}
	}
	return dots == 3 && i < len(text) && text[i] == ']'
}

// placeEnd gives the end of a place in the source, of which the line's number starts at i: com.example.Cart.load:12, cart.go:12; or 0.
func (m *masker) placeEnd(text []byte, i int) int {
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	if i < len(text) && m.class[text[i]]&inWord != 0 {
		return 0
	}
	return i
}

// listEnd gives the end of a list without blanks, of which the first item reaches from i to the comma at j: web,db,cache; or 0. Two items
// may be prose that lacks a blank, so they are a list only where the text or a bracket ends.
func (m *masker) listEnd(text []byte, i, j int) int {
	if i > 0 && text[i-1] == ',' {
		return 0
	}
	items := 1
	for j+1 < len(text) && text[j] == ',' && m.class[text[j+1]]&(inWord&^(slash|backslash)) != 0 {
		for j++; j < len(text) && m.class[text[j]]&inWord != 0; j++ {
		}
		items++
	}
	ends := j == len(text) || text[j] == ')' || text[j] == ']' || text[j] == '}' || text[j] == ';'
	if items < 2 || (items == 2 && !ends) || (!ends && m.class[text[j]]&space == 0) {
		return 0
	}
	return j
}

// pathEnd gives the end of a path or URL from i on.
func (m *masker) pathEnd(text []byte, i int) int {
	for i < len(text) {
		c := text[i]
		if m.class[c]&(space|quote) != 0 || c == '<' || c == '>' || c == ')' || c == ']' || c == '|' || c == '}' {
			break
		}
		if (c == ',' || c == ';' || c == ':') && (i+1 == len(text) || m.class[text[i+1]]&(space|quote) != 0) {
			break
		}
		i++
	}
	return i
}

// hexColons gives the end of an IPv6 or MAC address or a time that starts at i, or 0.
func hexColons(text []byte, i int) int {
	groups, run, digits, j := 1, 0, false, i
	for ; j < len(text); j++ {
		c := text[j]
		if c == ':' {
			groups++
			run = 0
			continue
		}
		if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			break
		}
		digits = digits || isDigit(c)
		if run++; run > 5 {
			return 0
		}
	}
	if j < len(text) && groups > 1 && run == 0 && isLetter(text[j]) {
		j-- // A word right after the address's colon.
		groups--
	}
	if j < len(text) && (isLetter(text[j]) || text[j] == '_') || groups < 3 || (!digits && groups != 6) {
		return 0
	}
	return j
}

func (m *masker) classify(l *Line, from, to int, has uint16) {
	text := l.text
	word := text[from:to]
	attached := from > 0 && text[from-1] == ':' && from > 1 && m.class[text[from-2]]&(inWord|quote) != 0
	switch n := len(l.tokens); {
	case has&digit != 0:
		l.value(from, to, numeric(word))
	case variable(word, has):
		l.value(from, to, false)
	case n > 0 && l.tokens[n-1].number && unit(word):
		l.tokens[n-1].to = int32(to)
	case n > 0 && l.tokens[n-1].number && len(word) > 3 && has&^(lower|other) == 0:
		// One file, two files.
		l.word(text, from, to, attached || from < l.listed)
		l.tokens[len(l.tokens)-1].hash = hashBytes(singular(word))
	case dateName(word) && m.nearDate(l, to):
		l.value(from, to, true)
	case has == upper && l.isLevel(word): // It is in the root.
	default:
		soft := attached || from < l.listed || softWord(word, has)
		l.word(text, from, to, soft && (has != upper || !outcome(word) || l.intoState()))
	}
}

// isLevel reports whether the word is the line's level once more.
func (l *Line) isLevel(word []byte) bool {
	return l.Severity != Unknown && (severityWord(word) == l.Severity || len(word) == 1 && len(l.tokens) == 1 && severityLetter(word[0]) == l.Severity)
}

// variable reports whether a word without digits is a value.
func variable(word []byte, has uint16) bool {
	return has&at != 0 && bytes.IndexByte(word, '@') > 0 || literal(word) || random(word, has) || has&slash != 0 && levelPrefix(word) ||
		has&dot != 0 && bytes.IndexByte(word, '.') > 0 && variableName(word)
}

// intoState reports whether the last word says that a state follows: from RUNNING to DONE.
func (l *Line) intoState() bool {
	if len(l.tokens) == 0 {
		return false
	}
	last := l.tokens[len(l.tokens)-1]
	switch string(l.text[last.from:last.to]) {
	case "to", "from", "state", "status":
		return last.hash != wild
	}
	return false
}

// levelPrefix reports whether the word is a level and who writes: INFO/MainProcess.
func levelPrefix(word []byte) bool {
	return severityWord(word[:bytes.IndexByte(word, '/')]) != Unknown
}

// random reports whether the word without a digit is an id after all: eight and more hexadecimal letters, or long with mixed case.
func random(word []byte, has uint16) bool {
	if len(word) < 8 {
		return false
	}
	hex, changes := true, 0
	for i, c := range word {
		hex = hex && (c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F')
		if i > 0 && isLetter(c) && (c < 'a') != (word[i-1] < 'a') {
			changes++
		}
	}
	return hex || (len(word) >= 16 && has&^(upper|lower|other|slash|under) == 0 && changes*5 > len(word)*2)
}

// variableName reports whether a dotted word is a host or a file that changes, rather than a class, package or source file.
func variableName(word []byte) bool {
	end := bytes.LastIndexByte(word, '.')
	switch string(word[end+1:]) {
	case "com", "net", "edu", "gov", "info", "local", "internal", "lan", "localdomain", "de", "uk", "fr", "jp", "cn", "hk", "eu", "ru", "br", "in", "it", "nl", "pl", "au", "ca", "us", "kr", "tw", "se", "ch", "at",
		"exe", "dll", "log", "conf", "cfg", "ini", "txt", "json", "xml", "yml", "yaml", "gz", "zip", "tar", "tmp", "db", "jar", "war", "so", "rpm", "deb", "html", "htm", "php", "jpg", "png", "gif", "css", "csv", "pdf", "dat", "bin", "sock", "pid", "lock", "bak", "pem", "crt", "key",
		"service", "socket", "mount", "timer", "slice", "scope", "target", "device", "path", "sys", "msi", "cab", "mum":
		return true
	}
	return false
}

// nearDate reports whether a number stands before the date's name, or a number or another name after it.
func (m *masker) nearDate(l *Line, to int) bool {
	if n := len(l.tokens); n > 0 && l.tokens[n-1].number {
		return true
	}
	for to < len(l.text) && (l.text[to] == ' ' || l.text[to] == ',' || l.text[to] == '/' || l.text[to] == '-') {
		to++
	}
	end := to
	for end < len(l.text) && isLetter(l.text[end]) {
		end++
	}
	return to < len(l.text) && (isDigit(l.text[to]) || dateName(l.text[to:end]))
}

// softWord reports whether the word looks like somebody's name for something: fooBar, foo_bar, a.b.c, RUNNING, a-b-c.
func softWord(word []byte, has uint16) bool {
	if has&dot != 0 {
		// A class or a package's function is part of the event; other dotted names are soft.
		end := bytes.LastIndexByte(word, '.')
		return end < 0 || end+1 >= len(word) || word[end+1] >= 'a' && bytes.Count(word, []byte{'.'}) > 1 || allCaps(word[end+1:])
	}
	switch {
	case has&camel != 0 && bytes.IndexByte(word, '#') < 0:
		return !exceptionName(word)
	case has&under != 0:
		return bytes.IndexByte(word, '_') > 0
	case has&(lower|high) == 0 && has&upper != 0:
		return len(word) > 1 && severityWord(word) == Unknown && !httpMethod(word)
	case bytes.IndexByte(word, '#') > 0: // Class#method
		return false
	case has&(other|slash|backslash) != 0:
		return has&slash != 0 || bytes.Count(word, []byte{'-'}) > 1 || slices.ContainsFunc(word, symbol)
	}
	return false
}

func symbol(c byte) bool {
	switch c {
	case '$', '#', '%', '+', '*', '&', '~', '!', '?':
		return true
	}
	return false
}

func allCaps(word []byte) bool {
	for _, c := range word {
		if c >= 'a' && c <= 'z' {
			return false
		}
	}
	return len(word) > 1
}
