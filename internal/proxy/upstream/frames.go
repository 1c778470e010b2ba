package upstream

import (
	"crypto/rand"
	"encoding/binary"
	"unicode/utf8"
)

// WebSocket framing (RFC 6455, section 5.2), as far as finding where one frame ends and the next begins.
const (
	opClose    = 0x8
	finBit     = 0x80
	maskBit    = 0x80
	lengthMask = 0x7f
	// maxCloseReason is the room for a reason in a control frame, after the code, in bytes.
	maxCloseReason = 123
)

// frames follows the frame boundaries of one direction of a WebSocket. The zero value stands at a boundary.
type frames struct {
	header [14]byte
	have   int
	// left counts the payload bytes of the current frame that have not come.
	left uint64
	// closed is true once a whole close frame came by: nothing may follow it.
	closed bool
}

// boundary says whether the bytes so far end with a whole frame.
func (f *frames) boundary() bool { return f.have == 0 && f.left == 0 }

// next takes bytes from p up to the end of the current frame, or all, and returns how many.
func (f *frames) next(p []byte) int {
	taken := 0
	if f.left == 0 {
		for {
			if taken == len(p) {
				return taken
			}
			f.header[f.have] = p[taken]
			f.have++
			taken++
			if length, whole := f.parse(); whole {
				f.left = length
				break
			}
		}
	}
	body := min(uint64(len(p)-taken), f.left)
	f.left -= body
	if f.left == 0 {
		f.closed = f.closed || f.header[0]&0xf == opClose
		f.have = 0
	}
	return taken + int(body)
}

// parse reads the payload's length once the header is whole.
func (f *frames) parse() (length uint64, whole bool) {
	if f.have < 2 {
		return 0, false
	}
	need := 2
	length = uint64(f.header[1] & lengthMask)
	switch length {
	case 126:
		need += 2
	case 127:
		need += 8
	}
	extended := need
	if f.header[1]&maskBit != 0 {
		need += 4
	}
	if f.have < need {
		return 0, false
	}
	switch extended {
	case 4:
		length = uint64(binary.BigEndian.Uint16(f.header[2:4]))
	case 10:
		length = binary.BigEndian.Uint64(f.header[2:10])
	}
	return length, true
}

// skip takes all of p.
func (f *frames) skip(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}

// closeFrame builds a close frame; frames to a server are masked.
func closeFrame(code int, reason string, masked bool) []byte {
	for len(reason) > maxCloseReason || !utf8.ValidString(reason) {
		reason = reason[:len(reason)-1]
	}
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	payload = append(payload, reason...)
	frame := []byte{finBit | opClose, byte(len(payload))}
	if !masked {
		return append(frame, payload...)
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	frame[1] |= maskBit
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}
