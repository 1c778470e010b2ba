package server

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
)

// Explain gives an error of the server or of the way to it its kind and, where one helps, a hint. An error that has a kind keeps it, and nil stays nil.
func Explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*segue.Error](err); known {
		return err
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainCode(doing, failure, err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return segue.Errorf(segue.KindCanceled, "%s: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return segue.Errorf(segue.KindTimeout, "%s: %w", doing, err)
	case away(err):
		return segue.Errorf(segue.KindUnavailable, "%s: %w", doing, err).WithHint("Is the server up, and can this machine reach it?")
	default:
		return segue.Errorf(segue.KindFault, "%s: %w", doing, err)
	}
}

// away says whether the connection could not be had, or is gone.
func away(err error) bool {
	_, connect := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connect || network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// explainCode sorts the server's own errors by SQLSTATE. Its details are left out: they quote rows.
func explainCode(doing string, failure *pgconn.PgError, err error) error {
	switch class := failure.Code[:min(2, len(failure.Code))]; {
	case class == "28":
		return segue.Errorf(segue.KindInvalid, "%s: %w", doing, err).WithHint("The server refused the login: look at user, password and pg_hba.conf.")
	case failure.Code == "3D000":
		return segue.Errorf(segue.KindInvalid, "%s: %w", doing, err).WithHint("Create the database, or name another one in the URL.")
	case failure.Code == "42501":
		return segue.Errorf(segue.KindInvalid, "%s: %w", doing, err).
			WithHint("Use a role that may, or have the privilege granted.")
	case failure.Code == "55P03", failure.Code == "57014", class == "40":
		return segue.Errorf(segue.KindTimeout, "%s: %w", doing, err)
	case class == "08", class == "57", class == "53":
		return segue.Errorf(segue.KindUnavailable, "%s: %w", doing, err)
	default:
		return segue.Errorf(segue.KindFault, "%s: %w", doing, err)
	}
}

// code gives the server's SQLSTATE, "" where the error is none of the server's.
func code(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}
