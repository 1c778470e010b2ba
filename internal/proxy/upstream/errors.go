package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrClosed is the cause of every failure after Close.
	ErrClosed = errors.New("upstream closed")
	// ErrIneligible says that Fast was given a request outside its conditions; nothing was tried.
	ErrIneligible = errors.New("request is not one for the plain HTTP/1.1 path")
	// ErrNoAnswer says that the backend closed a connection instead of answering.
	ErrNoAnswer = errors.New("backend closed the connection without an answer")
	// ErrHeaderTooLarge says that the answer's header is longer than Options.MaxHeader.
	ErrHeaderTooLarge = errors.New("header of the answer is too large")

	// errStale is the cause of an attempt on a connection that the backend had closed while it was idle.
	errStale = errors.New("idle connection was closed by the backend")
	// errReplay is the cause of a second attempt that http.Transport wanted to make by itself.
	errReplay = errors.New("request must not be sent again here")
	// errStopped is what a request's body returns once its exchange is over.
	errStopped = errors.New("exchange is over")
	// errEnded cancels what may be left of an exchange that is over.
	errEnded = errors.New("exchange ended")
)

// AnswerError says what is wrong with the bytes a backend sent as an answer.
type AnswerError struct {
	// Reason is a static sentence, such as "chunk size is not valid".
	Reason string
}

// Error implements error.
func (e *AnswerError) Error() string { return "malformed answer: " + e.Reason }

// badAnswer makes an AnswerError.
func badAnswer(reason string) error { return &AnswerError{Reason: reason} }

// clientLeft says whether the request's context ended because the client went away. A deadline, or a cause the
// caller gave when it cancelled, is the caller's own doing.
func clientLeft(req *http.Request) bool {
	ctx := req.Context()
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled)
}

// blame enters err into r, and whether it is the client's doing. A cancelled context is named as the cause.
func (r *Result) blame(req *http.Request, src *source, err error) {
	left, cut := src.clientLeft(req)
	if _, writing := errors.AsType[*clientError](err); left || writing {
		r.ClientGone = true
	}
	if ctx := req.Context(); ctx.Err() != nil && !cut {
		if cause := context.Cause(ctx); !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
	}
	r.Err = err
}

// explain wraps what ended an exchange with the backend's address and the stage.
func explain(address string, stage Stage, err error) error {
	switch stage {
	case StageDial:
		return fmt.Errorf("dial backend %s: %w", address, err)
	case StageWrite:
		return fmt.Errorf("write request to backend %s: %w", address, err)
	case StageAwait:
		return fmt.Errorf("await answer of backend %s: %w", address, err)
	case StageHeader:
		return fmt.Errorf("read header from backend %s: %w", address, err)
	case StageUnset, StageBody, StageDone:
		return fmt.Errorf("carry answer of backend %s: %w", address, err)
	default:
		return fmt.Errorf("serve from backend %s: %w", address, err)
	}
}
