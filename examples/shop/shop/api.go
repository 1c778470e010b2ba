package shop

import (
	"context"
	"net/http"
)

// apiProducts answers GET /api/products: {"products": [...]}; since v2 ?q= searches.
func apiProducts(v *visit) error {
	all := v.counter.watcher.catalogue()
	products := all.products
	if query := v.r.URL.Query().Get("q"); query != "" && v.shop.features.search {
		products = all.search(query)
	}
	writeJSON(v.w, http.StatusOK, map[string]any{"products": products})
	return nil
}

// apiProduct answers GET /api/products/{slug}.
func apiProduct(v *visit) error {
	p, err := v.product(v.r.PathValue("slug"))
	if err != nil {
		return err
	}
	writeJSON(v.w, http.StatusOK, p)
	return nil
}

// apiMe answers GET /api/me: {"name": "...", "logged_in": true, "cart_items": 2}.
func apiMe(v *visit) error {
	writeJSON(v.w, http.StatusOK, map[string]any{
		"name": v.visitor.Name, "logged_in": v.visitor.UserID != 0, "cart_items": v.visitor.Items,
	})
	return nil
}

// apiRegister answers POST /api/register, apiLogin POST /api/login; both take {"name": "...", "password": "..."}.
func apiRegister(v *visit) error { return apiEnter(v, "register", http.StatusCreated) }

func apiLogin(v *visit) error { return apiEnter(v, "login", http.StatusOK) }

// apiEnter logs somebody in.
func apiEnter(v *visit, account string, status int) error {
	var sent struct{ Name, Password string }
	if err := v.decode(&sent); err != nil {
		return err
	}
	value, err := v.enter(account, sent.Name, sent.Password)
	if err != nil {
		return err
	}
	setCookie(v.w, v.r, value)
	writeJSON(v.w, status, map[string]any{"name": sent.Name, "logged_in": true})
	return nil
}

// apiLogout answers POST /api/logout.
func apiLogout(v *visit) error {
	if err := v.counter.logout(v.r.Context(), v.visitor); err != nil {
		return err
	}
	setCookie(v.w, v.r, "")
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// apiCart answers GET /api/cart: {"items": [...], "total_cents": 4980}.
func apiCart(v *visit) error {
	inside, err := loadCart(v.r.Context(), v.counter.read, v.visitor)
	if err != nil {
		return err
	}
	writeJSON(v.w, http.StatusOK, inside)
	return nil
}

// apiAddToCart answers POST /api/cart {"product": "slug", "quantity": 1}, which adds, and PUT, which sets the quantity.
func apiAddToCart(v *visit) error {
	var sent struct {
		Product  string
		Quantity *int64
	}
	if err := v.decode(&sent); err != nil {
		return err
	}
	quantity := int64(1)
	if sent.Quantity != nil {
		quantity = *sent.Quantity
	}
	if err := v.setCart(sent.Product, quantity, v.r.Method == http.MethodPut); err != nil {
		return err
	}
	return apiCart(v)
}

// apiEmptyCart answers DELETE /api/cart.
func apiEmptyCart(v *visit) error {
	if v.visitor.token != nil {
		err := v.counter.update(v.r.Context(), func(ctx context.Context, tx *txn) error { return emptyCart(ctx, tx, v.visitor) })
		if err != nil {
			return err
		}
	}
	return apiCart(v)
}

// apiOrders answers GET /api/orders: {"orders": [...]}, the newest 50 first; ?key= asks for the order of one idempotency key.
func apiOrders(v *visit) error {
	bought, err := v.counter.orders(v.r.Context(), v.visitor.UserID, v.r.URL.Query().Get("key"))
	if err != nil {
		return err
	}
	writeJSON(v.w, http.StatusOK, map[string]any{"orders": bought})
	return nil
}

// apiPlaceOrder answers POST /api/orders, whose key is in the Idempotency-Key header. A repeated one gets the first
// answer again, marked by the header Idempotent-Replayed.
func apiPlaceOrder(v *visit) error {
	answer, first, err := v.order(v.r.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	if !first {
		v.w.Header().Set("Idempotent-Replayed", "true")
	}
	writeRawJSON(v.w, http.StatusCreated, answer)
	return nil
}

// apiWishlist answers GET /api/wishlist: {"products": ["slug", ...]}.
func apiWishlist(v *visit) error {
	slugs, err := v.counter.wishes(v.r.Context(), v.visitor.UserID)
	if err != nil {
		return err
	}
	writeJSON(v.w, http.StatusOK, map[string]any{"products": slugs})
	return nil
}

// apiChangeWishlist answers POST and DELETE /api/wishlist {"product": "slug"}.
func apiChangeWishlist(v *visit) error {
	var sent struct{ Product string }
	if err := v.decode(&sent); err != nil {
		return err
	}
	p, err := v.product(sent.Product)
	if err != nil {
		return err
	}
	if err := v.counter.wish(v.r.Context(), v.visitor.UserID, p, v.r.Method == http.MethodPost); err != nil {
		return err
	}
	return apiWishlist(v)
}

// apiRate answers POST /api/products/{slug}/rating {"stars": 4}.
func apiRate(v *visit) error {
	var sent struct{ Stars int }
	if err := v.decode(&sent); err != nil {
		return err
	}
	p, err := v.product(v.r.PathValue("slug"))
	if err != nil {
		return err
	}
	if err := v.counter.rate(v.r.Context(), v.visitor.UserID, p, sent.Stars); err != nil {
		return err
	}
	v.counter.watcher.changed()
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}
