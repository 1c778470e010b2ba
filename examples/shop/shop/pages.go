package shop

import (
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html
var templates embed.FS

// view is what a page is rendered from.
type view struct {
	Title    string
	Message  string
	Release  string
	Server   string
	Features features
	Visitor  session
	Style    string
	Script   string

	Query    string
	Products []Product
	Product  Product
	Wished   map[string]bool
	Cart     Cart
	Key      string // the idempotency key of the order that the page may send
	Orders   []Order
	Order    Order
	Account  string // "login" or "register"
	Name     string
	Next     string
}

// Search and the others let templates ask for a feature.
func (f features) Search() bool { return f.search }

// Ratings reports whether products can be rated.
func (f features) Ratings() bool { return f.ratings }

// Wishlist reports whether users have a wishlist.
func (f features) Wishlist() bool { return f.wishlist }

// parsePages reads every page together with the frame around it.
func parsePages() (map[string]*template.Template, error) {
	functions := template.FuncMap{
		"price": func(cents int64) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) },
		"stars": func(mean float64) string {
			full := min(int(math.Round(mean)), 5)
			return strings.Repeat("★", full) + strings.Repeat("☆", 5-full)
		},
		"date": func(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") },
	}
	pages := map[string]*template.Template{}
	for _, name := range []string{"home", "product", "account", "cart", "orders", "order", "wishlist", "error"} {
		page, err := template.New(name).Funcs(functions).ParseFS(templates,
			"templates/base.html", "templates/card.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

// home shows the assortment, or what a search finds in it.
func home(v *visit) error {
	all := v.counter.watcher.catalogue()
	about := view{Title: "Records for slow evenings", Products: all.products}
	if v.shop.features.search {
		if about.Query = strings.TrimSpace(v.r.URL.Query().Get("q")); about.Query != "" {
			about.Products = all.search(about.Query)
		}
	}
	var err error
	if about.Wished, err = v.wished(); err != nil {
		return err
	}
	return v.render(http.StatusOK, "home", about)
}

// wished returns what is on the user's wishlist.
func (v *visit) wished() (map[string]bool, error) {
	if v.visitor.UserID == 0 || !v.shop.features.wishlist {
		return nil, nil //nolint:nilnil // an empty wishlist
	}
	slugs, err := v.counter.wishes(v.r.Context(), v.visitor.UserID)
	wished := make(map[string]bool, len(slugs))
	for _, slug := range slugs {
		wished[slug] = true
	}
	return wished, err
}

// product shows one record.
func product(v *visit) error {
	p, err := v.product(v.r.PathValue("slug"))
	if err != nil {
		return err
	}
	wished, err := v.wished()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "product", view{Title: p.Name, Product: p, Wished: wished})
}

// accountForm shows the form to log in or to register.
func accountForm(account string) func(*visit) error {
	return func(v *visit) error {
		return v.render(http.StatusOK, "account", accountView(account, localPath(v.r.URL.Query().Get("next"))))
	}
}

// accountView describes the form to log in or to register.
func accountView(account, next string) view {
	title := "Welcome back"
	if account == "register" {
		title = "A new account"
	}
	return view{Title: title, Account: account, Next: next}
}

// login and register answer their forms.
func login(v *visit) error { return enter(v, "login") }

func register(v *visit) error { return enter(v, "register") }

// enter logs somebody in; what is wrong with the form is said in it.
func enter(v *visit, account string) error {
	name, err := v.form("name")
	if err != nil {
		return err
	}
	next := localPath(v.r.PostForm.Get("next"))
	value, err := v.enter(account, name, v.r.PostForm.Get("password"))
	if told, ok := errors.AsType[problem](err); ok {
		about := accountView(account, next)
		about.Message, about.Name = told.message, name
		return v.render(told.status, "account", about)
	}
	if err != nil {
		return err
	}
	setCookie(v.w, v.r, value)
	return v.redirect(next)
}

// enter logs in or registers and returns the cookie's value.
func (v *visit) enter(account, name, password string) (value string, err error) {
	if account == "register" {
		return v.counter.register(v.r.Context(), v.shop.features, v.visitor, newcomer{name, password}, v.shop.config.HashRounds)
	}
	return v.counter.login(v.r.Context(), v.visitor, name, password)
}

// logout ends the session.
func logout(v *visit) error {
	if err := v.counter.logout(v.r.Context(), v.visitor); err != nil {
		return err
	}
	setCookie(v.w, v.r, "")
	return v.redirect("/")
}

// cart shows the cart, with a fresh idempotency key for the order that may come of it.
func cart(v *visit) error {
	inside, err := loadCart(v.r.Context(), v.counter.read, v.visitor)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "cart", view{Title: "Your cart", Cart: inside, Key: rand.Text()})
}

// addToCart and updateCart answer the cart's forms.
func addToCart(v *visit) error { return changeCart(v, false) }

func updateCart(v *visit) error { return changeCart(v, true) }

// changeCart puts something into the cart; replace sets the quantity instead of adding to it.
func changeCart(v *visit, replace bool) error {
	slug, err := v.form("product")
	if err != nil {
		return err
	}
	quantity := int64(1)
	if text := v.r.PostForm.Get("quantity"); text != "" {
		if quantity, err = strconv.ParseInt(text, 10, 32); err != nil {
			return problem{http.StatusUnprocessableEntity, "How many is that?"}
		}
	}
	if err := v.setCart(slug, quantity, replace); err != nil {
		return err
	}
	return v.redirect("/cart")
}

// setCart changes the cart and gives the client its session if it had none.
func (v *visit) setCart(slug string, quantity int64, replace bool) error {
	p, err := v.product(slug)
	if err != nil {
		return err
	}
	value, after, err := v.counter.setCart(v.r.Context(), v.visitor, p, quantity, replace)
	if err != nil {
		return err
	}
	if value != "" {
		setCookie(v.w, v.r, value)
	}
	v.visitor = after
	return nil
}

// orders lists what the user has bought.
func orders(v *visit) error {
	bought, err := v.counter.orders(v.r.Context(), v.visitor.UserID, "")
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "orders", view{Title: "Your orders", Orders: bought})
}

// placeOrder orders what is in the cart.
func placeOrder(v *visit) error {
	key, err := v.form("idempotency_key")
	if err != nil {
		return err
	}
	if header := v.r.Header.Get("Idempotency-Key"); header != "" {
		key = header
	}
	answer, _, err := v.order(key)
	if err != nil {
		return err
	}
	placed, err := parseOrder(answer)
	if err != nil {
		return err
	}
	return v.redirect("/orders/" + strconv.FormatInt(placed.ID, 10))
}

// order places an order and has the stock looked at.
func (v *visit) order(key string) (answer []byte, first bool, err error) {
	answer, first, err = v.counter.placeOrder(v.r.Context(), v.visitor, key)
	if err == nil && first {
		v.counter.watcher.changed()
	}
	return answer, first, err
}

// order shows one order.
func order(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return problem{http.StatusNotFound, "There is no such order."}
	}
	placed, err := v.counter.order(v.r.Context(), v.visitor.UserID, id)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "order", view{Title: fmt.Sprintf("Order %d", placed.ID), Order: placed})
}

// wishlist shows what the user wishes for.
func wishlist(v *visit) error {
	slugs, err := v.counter.wishes(v.r.Context(), v.visitor.UserID)
	if err != nil {
		return err
	}
	about := view{Title: "Your wishlist", Wished: map[string]bool{}}
	for _, slug := range slugs {
		if p, found := v.counter.watcher.catalogue().find(slug); found {
			about.Products = append(about.Products, p)
			about.Wished[slug] = true
		}
	}
	return v.render(http.StatusOK, "wishlist", about)
}

// changeWishlist puts a record on the wishlist or takes it off.
func changeWishlist(v *visit) error {
	slug, err := v.form("product")
	if err != nil {
		return err
	}
	p, err := v.product(slug)
	if err != nil {
		return err
	}
	if err := v.counter.wish(v.r.Context(), v.visitor.UserID, p, v.r.PostForm.Get("wanted") != "no"); err != nil {
		return err
	}
	return v.redirect("/wishlist")
}

// rate gives a record stars.
func rate(v *visit) error {
	text, err := v.form("stars")
	if err != nil {
		return err
	}
	p, err := v.product(v.r.PathValue("slug"))
	if err != nil {
		return err
	}
	stars, err := strconv.Atoi(text)
	if err != nil {
		stars = 0
	}
	if err := v.counter.rate(v.r.Context(), v.visitor.UserID, p, stars); err != nil {
		return err
	}
	v.counter.watcher.changed()
	return v.redirect("/products/" + p.Slug)
}
