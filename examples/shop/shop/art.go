package shop

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

// art answers GET /art/{slug}.svg: the record's sleeve, drawn from its name alone, so that every server draws the same.
func (s *Shop) art(w http.ResponseWriter, r *http.Request) {
	slug, found := strings.CutSuffix(r.PathValue("file"), ".svg")
	if !found || len(slug) > 64 {
		writeText(w, http.StatusNotFound, "not found\n")
		return
	}
	drawing := drawSleeve(slug)
	header := w.Header()
	header.Set("Content-Type", "image/svg+xml")
	header.Set("Content-Length", strconv.Itoa(len(drawing)))
	header.Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(drawing)
}

// sleeve is a drawing under way on a square of 400 by 400.
type sleeve struct {
	out     bytes.Buffer
	random  *rand.Rand
	colours []string
}

// palettes returns the colours that sleeves are drawn in: ground, then four others.
func palettes() [][]string {
	return [][]string{
		{"#1d2b53", "#f4a259", "#f25c54", "#f7e1d7", "#5b8e7d"},
		{"#f7ede2", "#22577a", "#f28482", "#f6bd60", "#84a59d"},
		{"#2d1e2f", "#e36397", "#f8bd7f", "#6dd3ce", "#c8e9a0"},
		{"#e9f5db", "#31572c", "#90a955", "#e76f51", "#ffb703"},
		{"#0b132b", "#5bc0be", "#6fffe9", "#ff6b6b", "#f9f7f3"},
		{"#fff1e6", "#6d597a", "#b56576", "#eaac8b", "#355070"},
	}
}

// drawSleeve draws the sleeve for a slug.
func drawSleeve(slug string) []byte {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(slug))
	seed := hash.Sum64()
	all := palettes()
	s := &sleeve{random: rand.New(rand.NewPCG(seed, 7)), colours: all[seed%uint64(len(all))]}
	s.out.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img">`)
	fmt.Fprintf(&s.out, `<rect width="400" height="400" fill="%s"/>`, s.colours[0])
	switch (seed / 7) % 4 {
	case 0:
		s.rings()
	case 1:
		s.quarters()
	case 2:
		s.hills()
	default:
		s.bars()
	}
	s.out.WriteString(`</svg>`)
	return s.out.Bytes()
}

// colour returns one of the colours that is not the ground's.
func (s *sleeve) colour() string { return s.colours[1+s.random.IntN(len(s.colours)-1)] }

// rings draws circles around a point off the middle.
func (s *sleeve) rings() {
	x, y := 120+s.random.IntN(160), 120+s.random.IntN(160)
	for radius := 300; radius > 20; radius -= 24 + s.random.IntN(24) {
		fmt.Fprintf(&s.out, `<circle cx="%d" cy="%d" r="%d" fill="%s"/>`, x, y, radius, s.colour())
	}
	fmt.Fprintf(&s.out, `<circle cx="%d" cy="%d" r="14" fill="%s"/>`, x, y, s.colours[0])
}

// quarters draws a board of quarter circles.
func (s *sleeve) quarters() {
	for y := 0; y < 400; y += 100 {
		for x := 0; x < 400; x += 100 {
			fmt.Fprintf(&s.out, `<g transform="translate(%d %d) rotate(%d 50 50)"><path d="M0 0h100a100 100 0 0 1-100 100z" fill="%s"/></g>`,
				x, y, 90*s.random.IntN(4), s.colour())
		}
	}
}

// hills draws a sun and ranges before it.
func (s *sleeve) hills() {
	fmt.Fprintf(&s.out, `<circle cx="%d" cy="%d" r="%d" fill="%s"/>`,
		100+s.random.IntN(200), 90+s.random.IntN(70), 45+s.random.IntN(40), s.colours[1])
	for i := range 4 {
		top := 170 + 60*i
		fmt.Fprintf(&s.out, `<path d="M0 %d C 100 %d 160 %d 220 %d S 340 %d 400 %d V400H0z" fill="%s" opacity=".92"/>`,
			top+s.random.IntN(40), top-60-s.random.IntN(30), top+50, top, top-40-s.random.IntN(40), top+s.random.IntN(40),
			s.colours[1+(i+1)%4])
	}
}

// bars draws upright bars, as of a sound.
func (s *sleeve) bars() {
	for x := 28; x < 372; x += 22 {
		height := 40 + s.random.IntN(280)
		fmt.Fprintf(&s.out, `<rect x="%d" y="%d" width="12" height="%d" rx="6" fill="%s"/>`, x, 200-height/2, height, s.colour())
	}
}
