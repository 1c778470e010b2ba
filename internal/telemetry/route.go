package telemetry

// RouteID stands in a route for whatever varies: "GET /items/{id}".
const RouteID = "{id}"

const (
	// longestWord is the length from which on a segment is no word.
	longestWord = 64
	// Digits, and changes between digits and letters in a long segment, that make it an identifier.
	idDigits  = 4
	mixedLong = 10
	mixedTurn = 3
	mixedFew  = 2
	// hexLong is the length from which on hexadecimal digits are an identifier.
	hexLong = 8
)

// kindOfByte sorts the bytes of a segment.
type kindOfByte uint8

const (
	byteStrange kindOfByte = iota
	byteDigit
	byteHex
	byteLetter
	byteMark
)

func sortByte(c byte) kindOfByte {
	switch {
	case '0' <= c && c <= '9':
		return byteDigit
	case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		return byteHex
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return byteLetter
	case c == '-' || c == '_' || c == '.' || c == '~' || c == ':':
		return byteMark
	}
	return byteStrange
}

// Varies says whether a segment looks like an identifier and not like a word of the application: a number, a UUID, a hash, a date, an
// e-mail address, a long token, text in another script. What names routes asks it, so that all name them alike.
func Varies(segment string) bool {
	if len(segment) > longestWord {
		return true
	}
	digits, hex, marks, turns := 0, 0, 0, 0
	before := byteMark
	for i := range len(segment) {
		kind := sortByte(segment[i])
		switch kind {
		case byteStrange:
			return true
		case byteDigit:
			digits++
			if before == byteHex || before == byteLetter {
				turns++
			}
		case byteHex, byteLetter:
			if before == byteDigit {
				turns++
			}
			if kind == byteHex {
				hex++
			}
		case byteMark:
			marks++
		}
		before = kind
	}
	switch {
	case digits+marks == len(segment):
		return digits > 0
	case digits >= idDigits:
		return true
	case digits > 0 && digits+hex == len(segment) && len(segment) >= hexLong:
		return true
	}
	return len(segment) >= mixedLong && digits >= mixedFew && turns >= mixedTurn
}
