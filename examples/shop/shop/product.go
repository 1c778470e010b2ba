package shop

import (
	"context"
	"fmt"
	"strings"
)

// Product is one record on sale.
type Product struct {
	ID     int64  `json:"id"`
	Slug   string `json:"slug"`
	Name   string `json:"name"`
	Artist string `json:"artist"`
	Genre  string `json:"genre"`
	Blurb  string `json:"blurb"`
	Cents  int64  `json:"cents"`
	Stock  int64  `json:"stock"`
	// Stars is the mean of the ratings, 0 without any; Ratings is how many there are. Since v2.
	Stars   float64 `json:"stars,omitempty"`
	Ratings int64   `json:"ratings,omitempty"`
}

// catalogue is the assortment as it was at one moment. It is never changed; a new one takes its place.
type catalogue struct {
	products []Product
	bySlug   map[string]int
}

// find returns the product with a slug.
func (c *catalogue) find(slug string) (Product, bool) {
	i, found := c.bySlug[slug]
	if !found {
		return Product{}, false
	}
	return c.products[i], true
}

// search returns the products whose name, artist or genre contains every word of a query.
func (c *catalogue) search(query string) []Product {
	words := strings.Fields(strings.ToLower(query))
	var found []Product
	for _, p := range c.products {
		text := strings.ToLower(p.Name + " " + p.Artist + " " + p.Genre)
		matches := true
		for _, word := range words {
			matches = matches && strings.Contains(text, word)
		}
		if matches {
			found = append(found, p)
		}
	}
	return found
}

// loadCatalogue reads the assortment.
func (s *store) loadCatalogue(ctx context.Context, wanted features) (*catalogue, error) {
	query := `SELECT id, slug, name, artist, genre, blurb, cents, stock, 0, 0 FROM products ORDER BY id`
	if wanted.ratings {
		query = `SELECT p.id, slug, name, artist, genre, blurb, cents, stock, coalesce(avg(r.stars), 0), count(r.stars)
			FROM products p LEFT JOIN ratings r ON r.product_id = p.id GROUP BY p.id ORDER BY p.id`
	}
	rows, err := s.read.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	defer rows.Close() //nolint:errcheck // its error is that of rows.Err
	c := &catalogue{bySlug: map[string]int{}}
	for rows.Next() {
		var p Product
		err := rows.Scan(&p.ID, &p.Slug, &p.Name, &p.Artist, &p.Genre, &p.Blurb, &p.Cents, &p.Stock, &p.Stars, &p.Ratings)
		if err != nil {
			return nil, fmt.Errorf("read product: %w", err)
		}
		c.bySlug[p.Slug] = len(c.products)
		c.products = append(c.products, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	return c, nil
}

// restock is how much a delivery brings, when an order finds too little; the shop never sells out for good.
const restock = 500

// assortment returns the products of a new shop.
func assortment() []Product {
	return []Product{
		{Slug: "night-ferry", Name: "Night Ferry", Artist: "Marit Solheim Trio", Genre: "Jazz", Cents: 2690, Stock: 120, Blurb: "Piano, bass and brushes, recorded in one night on the crossing from Bergen to Lerwick. You can hear the engine in the quiet parts."},
		{Slug: "glass-harbour", Name: "Glass Harbour", Artist: "Ines Caldeira", Genre: "Ambient", Cents: 2290, Stock: 80, Blurb: "Slow tides of bowed glass and tape. Made for the hour before anybody else is awake."},
		{Slug: "second-movement", Name: "Second Movement", Artist: "Quartetto Ponte", Genre: "Classical", Cents: 3190, Stock: 60, Blurb: "Four slow movements by four composers who never met, played without a break, attacca, as if they were one."},
		{Slug: "cardboard-kingdom", Name: "Cardboard Kingdom", Artist: "The Small Hours", Genre: "Indie", Cents: 2190, Stock: 200, Blurb: "Twelve songs about moving house. Loud guitars, good jokes, one trumpet."},
		{Slug: "copper-wire", Name: "Copper Wire", Artist: "Odd Frequencies", Genre: "Electronic", Cents: 2490, Stock: 150, Blurb: "Modular patches from a former telephone exchange. Every bleep was once a wrong number."},
		{Slug: "salt-and-thread", Name: "Salt & Thread", Artist: "Aoife Brannigan", Genre: "Folk", Cents: 2390, Stock: 90, Blurb: "Songs of net menders and weavers, sung close to the microphone, with fiddle and harmonium."},
		{Slug: "low-sun", Name: "Low Sun", Artist: "Kwabena & the Harmattan Band", Genre: "Highlife", Cents: 2590, Stock: 110, Blurb: "Guitars that circle like swifts in the evening. Eight long dances, best on a warm roof."},
		{Slug: "paper-planets", Name: "Paper Planets", Artist: "Yuki Arai", Genre: "Electronic", Cents: 2790, Stock: 75, Blurb: "Toy pianos, field recordings from a planetarium, and a drum machine that is slightly in love."},
		{Slug: "the-long-intermission", Name: "The Long Intermission", Artist: "Orchestra Lumen", Genre: "Classical", Cents: 3490, Stock: 40, Blurb: "What an orchestra plays when the hall is empty: a live recording without an audience."},
		{Slug: "blue-tram", Name: "Blue Tram", Artist: "Ruiz / Okafor", Genre: "Jazz", Cents: 2690, Stock: 95, Blurb: "Saxophone and vibraphone, two people who finish each other's sentences."},
		{Slug: "static-garden", Name: "Static Garden", Artist: "Verena Holt", Genre: "Ambient", Cents: 2290, Stock: 130, Blurb: "Radio noise, patiently pruned. Side B is one piece of twenty-two minutes that hardly moves and never stands still."},
		{Slug: "run-the-river", Name: "Run the River", Artist: "Delta Post", Genre: "Blues", Cents: 2190, Stock: 160, Blurb: "Resonator guitar, stomp box, and a voice with gravel in it. No overdubs."},
	}
}
