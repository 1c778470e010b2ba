package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
)

// fullName makes up a name for somebody who only gave one to log in with: given names are few, family names many, as in life.
func fullName(login string) (given, family string) {
	names := []string{"Ada", "Bela", "Clara", "Dmitri", "Ella", "Fela", "Gustav", "Hildegard"}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(login))
	return names[sum.Sum32()%uint32(len(names))], login
}

// addCustomer puts a new user into the books: v1 as one name, later releases in two parts.
func (f features) addCustomer(ctx context.Context, tx *txn, userID int64, login string) error {
	given, family := fullName(login)
	insert, args := `INSERT INTO customers (user_id, name) VALUES ($1, $2)`, []any{userID, given + " " + family}
	if f.twoNames {
		insert, args = `INSERT INTO customers (user_id, given_name, family_name) VALUES ($1, $2, $3)`, []any{userID, given, family}
	}
	_, err := tx.ExecContext(ctx, insert, args...)
	return wrapped("add customer", err)
}

// customerName reads what a user is called, "" for one who is in no book.
func (s *store) customerName(ctx context.Context, wanted features, userID int64) (string, error) {
	query := `SELECT coalesce(name, '') FROM customers WHERE user_id = $1`
	if wanted.twoNames {
		query = `SELECT coalesce(given_name || ' ' || family_name, '') FROM customers WHERE user_id = $1`
	}
	var name string
	err := s.read.QueryRowContext(ctx, query, userID).Scan(&name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read customer: %w", err)
	}
	return name, nil
}

// renameCustomer changes what a user is called.
func (s *store) renameCustomer(ctx context.Context, wanted features, userID int64, name string) error {
	given, family, both := strings.Cut(strings.TrimSpace(name), " ")
	if !both || given == "" || family == "" || len(name) > 200 {
		return problem{http.StatusUnprocessableEntity, "A full name has a given name and a family name."}
	}
	return s.update(ctx, func(ctx context.Context, tx *txn) error {
		change, args := `UPDATE customers SET name = $1 WHERE user_id = $2`, []any{given + " " + family, userID}
		if wanted.twoNames {
			change, args = `UPDATE customers SET given_name = $1, family_name = $2 WHERE user_id = $3`, []any{given, family, userID}
		}
		_, err := tx.ExecContext(ctx, change, args...)
		return wrapped("rename customer", err)
	})
}

// apiCustomer answers GET /api/customer, and PUT of {"name": "..."}: {"name": "Ada Solheim"}.
func apiCustomer(v *visit) error {
	if v.r.Method == http.MethodPut {
		var sent struct{ Name string }
		if err := v.decode(&sent); err != nil {
			return err
		}
		if err := v.counter.renameCustomer(v.r.Context(), v.shop.features, v.visitor.UserID, sent.Name); err != nil {
			return err
		}
	}
	name, err := v.counter.customerName(v.r.Context(), v.shop.features, v.visitor.UserID)
	if err != nil {
		return err
	}
	writeJSON(v.w, http.StatusOK, map[string]any{"name": name})
	return nil
}
