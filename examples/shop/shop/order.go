package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	maxKey = 128
	// history is how many of a user's orders are listed, the newest first.
	history = 50
)

// Order is something bought.
type Order struct {
	ID         int64     `json:"id"`
	Key        string    `json:"idempotency_key"`
	CreatedAt  time.Time `json:"created_at"`
	Items      []Line    `json:"items"`
	TotalCents int64     `json:"total_cents"`
}

// placeOrder orders what is in the visitor's cart. The same key is the same order: it is answered with the bytes of the
// first answer, whichever release gave it. The write lock, held from the beginning, keeps two of the same key apart, in
// this process and in others.
func (s *store) placeOrder(ctx context.Context, visitor session, key string) (answer []byte, first bool, err error) {
	if key == "" || len(key) > maxKey {
		message := fmt.Sprintf("An order needs an idempotency key of up to %d characters, in the Idempotency-Key header or the form.", maxKey)
		return nil, false, problem{http.StatusBadRequest, message}
	}
	err = s.update(ctx, func(ctx context.Context, tx *txn) error {
		const query = `SELECT answer FROM orders WHERE user_id = $1 AND idempotency_key = $2`
		err := tx.QueryRowContext(ctx, query, visitor.UserID, key).Scan(&answer)
		if err == nil {
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("look for order: %w", err)
		}
		first = true
		answer, err = newOrder(ctx, tx, visitor, key)
		return err
	})
	return answer, first, err
}

// newOrder turns the cart into an order within a write.
func newOrder(ctx context.Context, tx *txn, visitor session, key string) ([]byte, error) {
	cart, err := loadCart(ctx, tx, visitor)
	if err != nil {
		return nil, err
	}
	if len(cart.Items) == 0 {
		return nil, problem{http.StatusConflict, "The cart is empty."}
	}
	order := Order{Key: key, CreatedAt: time.Now().UTC().Truncate(time.Second), Items: cart.Items, TotalCents: cart.TotalCents}
	const insert = `INSERT INTO orders (user_id, idempotency_key, answer, created_at) VALUES ($1, $2, '', $3) RETURNING id`
	if err := tx.QueryRowContext(ctx, insert, visitor.UserID, key, order.CreatedAt.Unix()).Scan(&order.ID); err != nil {
		return nil, fmt.Errorf("add order: %w", err)
	}
	answer, err := json.Marshal(order)
	if err != nil {
		return nil, fmt.Errorf("write order's answer: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE orders SET answer = $1 WHERE id = $2`, string(answer), order.ID); err != nil {
		return nil, fmt.Errorf("keep order's answer: %w", err)
	}
	for _, line := range order.Items {
		const sell = `UPDATE products SET stock = CASE WHEN stock < $1 THEN stock + $2 ELSE stock END - $1 WHERE slug = $3`
		if _, err := tx.ExecContext(ctx, sell, line.Quantity, restock, line.Slug); err != nil {
			return nil, fmt.Errorf("take from stock: %w", err)
		}
	}
	return answer, emptyCart(ctx, tx, visitor)
}

// orders returns a user's orders, the newest first; with a key only the order of that key.
func (s *store) orders(ctx context.Context, userID int64, key string) ([]Order, error) {
	query, args := `SELECT answer FROM orders WHERE user_id = $1 ORDER BY id DESC LIMIT $2`, []any{userID, history}
	if key != "" {
		query, args = `SELECT answer FROM orders WHERE user_id = $1 AND idempotency_key = $2`, []any{userID, key}
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	defer rows.Close() //nolint:errcheck // its error is that of rows.Err
	orders := []Order{}
	for rows.Next() {
		var answer []byte
		if err := rows.Scan(&answer); err != nil {
			return nil, fmt.Errorf("read order: %w", err)
		}
		order, err := parseOrder(answer)
		if err != nil {
			return nil, err
		}
		orders = append(orders, order)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return orders, nil
}

// order returns one of a user's orders.
func (s *store) order(ctx context.Context, userID, id int64) (Order, error) {
	var answer []byte
	err := s.read.QueryRowContext(ctx, `SELECT answer FROM orders WHERE user_id = $1 AND id = $2`, userID, id).Scan(&answer)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, problem{http.StatusNotFound, "There is no such order."}
	}
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	return parseOrder(answer)
}

// parseOrder reads an order's answer.
func parseOrder(answer []byte) (Order, error) {
	var order Order
	if err := json.Unmarshal(answer, &order); err != nil {
		return order, fmt.Errorf("read order's answer: %w", err)
	}
	return order, nil
}
