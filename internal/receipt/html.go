package receipt

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// HTML writes the receipt as one self-contained page: no script, nothing loaded from anywhere, light or dark as the reader's system is. Whatever came
// from outside is escaped.
func HTML(w io.Writer, r Receipt) error {
	page, err := template.New("receipt").Funcs(template.FuncMap{"count": count}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("parse receipt page: %w", err)
	}
	if err := page.Execute(w, newView(r)); err != nil {
		return fmt.Errorf("write receipt page: %w", err)
	}
	return nil
}
