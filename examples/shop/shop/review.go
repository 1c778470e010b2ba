package shop

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// rate gives a product a user's stars, in place of earlier ones.
func (s *store) rate(ctx context.Context, userID int64, p Product, stars int) error {
	if stars < 1 || stars > 5 {
		return problem{http.StatusUnprocessableEntity, "A rating has 1 to 5 stars."}
	}
	return s.update(ctx, func(ctx context.Context, tx *txn) error {
		const insert = `INSERT INTO ratings (user_id, product_id, stars) VALUES ($1, $2, $3) ON CONFLICT (product_id, user_id) DO UPDATE SET stars = excluded.stars`
		_, err := tx.ExecContext(ctx, insert, userID, p.ID, stars)
		return wrapped("rate product", err)
	})
}

// wish puts a product on a user's wishlist, or takes it off.
func (s *store) wish(ctx context.Context, userID int64, p Product, wanted bool) error {
	return s.update(ctx, func(ctx context.Context, tx *txn) error {
		if !wanted {
			_, err := tx.ExecContext(ctx, `DELETE FROM wishes WHERE user_id = $1 AND product_id = $2`, userID, p.ID)
			return wrapped("take off wishlist", err)
		}
		const insert = `INSERT INTO wishes (user_id, product_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
		_, err := tx.ExecContext(ctx, insert, userID, p.ID, time.Now().Unix())
		return wrapped("put on wishlist", err)
	})
}

// wishes returns the slugs on a user's wishlist, the oldest first.
func (s *store) wishes(ctx context.Context, userID int64) ([]string, error) {
	const query = `SELECT slug FROM wishes JOIN products ON id = product_id WHERE user_id = $1 ORDER BY created_at, id`
	rows, err := s.read.QueryContext(ctx, query, userID)
	if err != nil {
		return nil, fmt.Errorf("read wishlist: %w", err)
	}
	defer rows.Close() //nolint:errcheck // its error is that of rows.Err
	slugs := []string{}
	for rows.Next() {
		var slug string
		if err := rows.Scan(&slug); err != nil {
			return nil, fmt.Errorf("read wishlist: %w", err)
		}
		slugs = append(slugs, slug)
	}
	return slugs, wrapped("read wishlist", rows.Err())
}
