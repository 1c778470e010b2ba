package shop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// cookieName is the cookie that carries a session's token; every release reads and writes it alike.
	cookieName = "shop_session"
	// sessionLife is how long a session lasts.
	sessionLife = 30 * 24 * time.Hour
)

// session is a visitor, logged in or not. The database has the token's hash alone, so that reading it lets nobody in. The
// zero value is a visitor who has no session yet.
type session struct {
	token  []byte // SHA-256 of the cookie's value
	UserID int64  // 0 where nobody is logged in
	Name   string
	// Items is how many records lie in the cart.
	Items int64
}

// hashToken returns what the database knows a cookie by.
func hashToken(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}

// sessionOf returns the visitor that a request belongs to.
func (s *store) sessionOf(ctx context.Context, r *http.Request) (session, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil || cookie.Value == "" {
		return session{}, nil //nolint:nilerr // no cookie is no error
	}
	visitor := session{token: hashToken(cookie.Value)}
	const query = `SELECT coalesce(u.id, 0), coalesce(u.name, ''),
			(SELECT coalesce(sum(quantity), 0) FROM cart_items WHERE session = s.token)
		FROM sessions s LEFT JOIN users u ON u.id = s.user_id WHERE s.token = $1 AND s.created_at > $2`
	oldest := time.Now().Add(-sessionLife).Unix()
	err = s.read.QueryRowContext(ctx, query, visitor.token, oldest).Scan(&visitor.UserID, &visitor.Name, &visitor.Items)
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, nil
	}
	if err != nil {
		return session{}, fmt.Errorf("read session: %w", err)
	}
	return visitor, nil
}

// beginSession makes a new session within a write and returns its cookie's value. It takes over the cart of the visitor's
// earlier session, which ends: a token from before a login is worth nothing afterwards.
func beginSession(ctx context.Context, tx *txn, before session, userID int64) (value string, after session, err error) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails: the program ends first
	value = base64.RawURLEncoding.EncodeToString(random)
	after = session{token: hashToken(value), UserID: userID, Items: before.Items}
	const insert = `INSERT INTO sessions (token, user_id, created_at) VALUES ($1, nullif($2, 0), $3)`
	if _, err := tx.ExecContext(ctx, insert, after.token, userID, time.Now().Unix()); err != nil {
		return "", session{}, fmt.Errorf("begin session: %w", err)
	}
	if before.token == nil {
		return value, after, nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE cart_items SET session = $1 WHERE session = $2`, after.token, before.token); err != nil {
		return "", session{}, fmt.Errorf("take over cart: %w", err)
	}
	if err := endSession(ctx, tx, before); err != nil {
		return "", session{}, err
	}
	return value, after, nil
}

// endSession removes a session and its cart.
func endSession(ctx context.Context, tx *txn, visitor session) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE token = $1`, visitor.token); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// setCookie gives a client its session; an empty value takes it away.
func setCookie(w http.ResponseWriter, r *http.Request, value string) {
	cookie := &http.Cookie{
		Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(sessionLife / time.Second),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}
