package load

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"syscall"
)

// Cause says in one word why a request failed. Beside the constants there is one per status, such as "status_502".
type Cause string

const (
	// CauseRefused means that nobody listened at the target.
	CauseRefused Cause = "refused"
	// CauseDial means that a connection could not be had for another reason.
	CauseDial Cause = "dial"
	// CauseNoConnection means that MaxConnections requests were in flight for the whole timeout.
	CauseNoConnection Cause = "no_connection"
	// CauseReset means that the connection was reset, or was closed while the request was being written.
	CauseReset Cause = "reset"
	// CauseEOF means that the connection was closed before a byte of an answer.
	CauseEOF Cause = "eof"
	// CauseShort means that an answer began and was cut off.
	CauseShort Cause = "short"
	// CauseTimeout means that the answer was not complete in time.
	CauseTimeout Cause = "timeout"
	// CauseMalformed means that the answer was not valid HTTP or WebSocket.
	CauseMalformed Cause = "malformed"
	// CauseWrong means that the answer was whole and belonged to another request, or had the wrong content.
	CauseWrong Cause = "wrong_answer"
	// CauseCut means that a WebSocket ended without a close frame.
	CauseCut Cause = "cut"
)

// causeOfStatus returns the cause for an answer with an unwanted status.
func causeOfStatus(status int) Cause { return Cause("status_" + strconv.Itoa(status)) }

// Stage is the point a request had reached when it failed.
type Stage string

const (
	// StageDial means that nothing could be written yet.
	StageDial Stage = "dial"
	// StageWrite means that the request was being written.
	StageWrite Stage = "write"
	// StageAwait means that the request was written and no byte of an answer had come.
	StageAwait Stage = "await"
	// StageHeader means that the answer's header had begun.
	StageHeader Stage = "header"
	// StageBody means that the answer's header was complete and its body was not.
	StageBody Stage = "body"
	// StageDone means that the whole answer was there.
	StageDone Stage = "done"
)

// causeOf sorts a transport error that occurred at a stage.
func causeOf(err error, stage Stage) Cause {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return CauseTimeout
	case stage == StageDial:
		return CauseDial
	case stage == StageHeader, stage == StageBody:
		if isClosed(err) {
			return CauseShort
		}
		return CauseMalformed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return CauseEOF
	case isClosed(err):
		return CauseReset
	}
	return CauseMalformed
}

// isClosed reports whether err says that the peer has gone.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
