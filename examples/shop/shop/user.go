package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

const (
	minPassword = 8
	maxPassword = 200
)

// namePattern is what a user may be called.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$`)

// newcomer is who wants an account.
type newcomer struct{ name, password string }

// register makes a user and logs them in; it returns the cookie's value.
func (s *store) register(ctx context.Context, wanted features, visitor session, as newcomer, rounds int) (value string, err error) {
	name, password := as.name, as.password
	if !namePattern.MatchString(name) {
		return "", problem{http.StatusUnprocessableEntity, "A name has 3 to 64 letters, digits, dots, dashes or underscores."}
	}
	if len(password) < minPassword || len(password) > maxPassword {
		return "", problem{http.StatusUnprocessableEntity, fmt.Sprintf("A password has %d to %d characters.", minPassword, maxPassword)}
	}
	hash, err := hashPassword(password, rounds)
	if err != nil {
		return "", err
	}
	err = s.update(ctx, func(ctx context.Context, tx *txn) error {
		const insert = `INSERT INTO users (name, password, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id`
		var id int64
		err := tx.QueryRowContext(ctx, insert, name, hash, time.Now().Unix()).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return problem{http.StatusConflict, "Somebody else has this name already."}
		}
		if err != nil {
			return fmt.Errorf("add user: %w", err)
		}
		if err := wanted.addCustomer(ctx, tx, id, name); err != nil {
			return err
		}
		value, _, err = beginSession(ctx, tx, visitor, id)
		return err
	})
	return value, err
}

// login checks a password and logs the user in; it returns the cookie's value.
func (s *store) login(ctx context.Context, visitor session, name, password string) (value string, err error) {
	wrong := problem{http.StatusUnauthorized, "Name or password is wrong."}
	if len(password) > maxPassword {
		return "", wrong
	}
	var id int64
	var hash string
	query := s.dialect.pick(`SELECT id, password FROM users WHERE name = $1`, `SELECT id, password FROM users WHERE lower(name) = lower($1)`)
	err = s.read.QueryRowContext(ctx, query, name).Scan(&id, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", wrong
	}
	if err != nil {
		return "", fmt.Errorf("read user: %w", err)
	}
	if !checkPassword(password, hash) {
		return "", wrong
	}
	err = s.update(ctx, func(ctx context.Context, tx *txn) error {
		value, _, err = beginSession(ctx, tx, visitor, id)
		return err
	})
	return value, err
}

// logout ends a session.
func (s *store) logout(ctx context.Context, visitor session) error {
	if visitor.token == nil {
		return nil
	}
	return s.update(ctx, func(ctx context.Context, tx *txn) error { return endSession(ctx, tx, visitor) })
}
