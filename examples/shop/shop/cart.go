package shop

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
)

// maxQuantity is the most of one product that a cart holds.
const maxQuantity = 99

// Line is one product in a cart or in an order.
type Line struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Artist   string `json:"artist"`
	Cents    int64  `json:"cents"`
	Quantity int64  `json:"quantity"`
}

// Total is what the line costs, in cents.
func (l Line) Total() int64 { return l.Cents * l.Quantity }

// Cart is what a visitor is about to order.
type Cart struct {
	Items      []Line `json:"items"`
	TotalCents int64  `json:"total_cents"`
}

// querier is a connection, a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// loadCart reads a visitor's cart.
func loadCart(ctx context.Context, from querier, visitor session) (Cart, error) {
	cart := Cart{Items: []Line{}}
	if visitor.token == nil {
		return cart, nil
	}
	const query = `SELECT slug, name, artist, cents, quantity FROM cart_items JOIN products ON id = product_id
		WHERE session = $1 ORDER BY product_id`
	rows, err := from.QueryContext(ctx, query, visitor.token)
	if err != nil {
		return cart, fmt.Errorf("read cart: %w", err)
	}
	defer rows.Close() //nolint:errcheck // its error is that of rows.Err
	for rows.Next() {
		var line Line
		if err := rows.Scan(&line.Slug, &line.Name, &line.Artist, &line.Cents, &line.Quantity); err != nil {
			return cart, fmt.Errorf("read cart: %w", err)
		}
		cart.Items = append(cart.Items, line)
		cart.TotalCents += line.Total()
	}
	if err := rows.Err(); err != nil {
		return cart, fmt.Errorf("read cart: %w", err)
	}
	return cart, nil
}

// setCart puts a product into a visitor's cart: more of it, or with replace this quantity, where 0 removes it. A visitor
// without a session gets one; then value is its cookie's, else "".
func (s *store) setCart(ctx context.Context, visitor session, p Product, quantity int64, replace bool) (value string, after session, err error) {
	if quantity > maxQuantity || quantity < 0 || quantity == 0 && !replace {
		return "", visitor, problem{http.StatusUnprocessableEntity, fmt.Sprintf("Choose between 1 and %d of a record.", maxQuantity)}
	}
	err = s.update(ctx, func(ctx context.Context, tx *txn) error {
		after = visitor
		if after.token == nil {
			if value, after, err = beginSession(ctx, tx, visitor, 0); err != nil {
				return err
			}
		}
		if quantity == 0 {
			_, err := tx.ExecContext(ctx, `DELETE FROM cart_items WHERE session = $1 AND product_id = $2`, after.token, p.ID)
			return wrapped("remove from cart", err)
		}
		before := "cart_items.quantity"
		if replace {
			before = "0"
		}
		insert := `INSERT INTO cart_items (session, product_id, quantity) VALUES ($1, $2, $3)
			ON CONFLICT (session, product_id) DO UPDATE SET quantity = CASE WHEN ` + before + ` + excluded.quantity > $4 THEN $4 ELSE ` + before + ` + excluded.quantity END`
		_, err := tx.ExecContext(ctx, insert, after.token, p.ID, quantity, maxQuantity)
		return wrapped("add to cart", err)
	})
	return value, after, err
}

// emptyCart removes everything.
func emptyCart(ctx context.Context, tx *txn, visitor session) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM cart_items WHERE session = $1`, visitor.token)
	return wrapped("empty cart", err)
}

// wrapped adds what was being done to an error, if there is one.
func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
