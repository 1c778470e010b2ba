package api

import (
	"net/http"

	"github.com/segue-deploy/segue"
)

// problem is an error on the wire: RFC 9457, with our kind and hint.
type problem struct {
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Kind   segue.Kind `json:"kind"`
	Hint   string     `json:"hint,omitempty"`
}

// Error gives the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus gives the HTTP status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType names RFC 9457's type.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func problemOf(err error) *problem {
	kind := segue.KindOf(err)
	status := statusOf(kind)
	return &problem{Title: http.StatusText(status), Status: status, Detail: err.Error(), Kind: kind, Hint: segue.HintOf(err)}
}

func (p *problem) err() error {
	return &segue.Error{Kind: p.Kind, Message: p.Detail, Hint: p.Hint}
}

// statusOf is the one table from kinds to HTTP status.
func statusOf(kind segue.Kind) int {
	switch kind {
	case segue.KindInvalid:
		return http.StatusUnprocessableEntity
	case segue.KindNotFound:
		return http.StatusNotFound
	case segue.KindConflict:
		return http.StatusConflict
	case segue.KindRefused:
		return http.StatusForbidden
	case segue.KindUnavailable:
		return http.StatusServiceUnavailable
	case segue.KindTimeout:
		return http.StatusGatewayTimeout
	case segue.KindCanceled:
		return 499
	case segue.KindUnsupported:
		return http.StatusNotImplemented
	case segue.KindFault, segue.KindCorrupt, segue.KindUnhealthy:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// ExitCode is the one table from error kinds to the command line's exit codes (DESIGN: 1 fault, 2 wrong usage, 12 refused by a gate).
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch segue.KindOf(err) {
	case segue.KindInvalid, segue.KindNotFound:
		return 2
	case segue.KindRefused, segue.KindConflict:
		return 12
	case segue.KindFault, segue.KindUnavailable, segue.KindTimeout, segue.KindCanceled,
		segue.KindCorrupt, segue.KindUnsupported, segue.KindUnhealthy:
		return 1
	default:
		return 1
	}
}
