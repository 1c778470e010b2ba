package upstreamtest

import (
	"golang.org/x/net/http2"
)

// refuseStreams speaks just enough HTTP/2 to refuse every request with REFUSED_STREAM. It tells of each.
func refuseStreams(c *conn, headers chan<- struct{}) {
	preface := make([]byte, len(http2.ClientPreface))
	if !readFull(c.in, preface) {
		return
	}
	framer := http2.NewFramer(c.Conn, c.in)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			headers <- struct{}{}
			_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		}
	}
}
