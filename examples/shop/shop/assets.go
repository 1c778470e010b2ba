package shop

import (
	"crypto/sha256"
	_ "embed" // the style sheet and the script
	"encoding/hex"
	"net/http"
	"strconv"
)

//go:embed static/shop.css
var styleSheet []byte

//go:embed static/shop.js
var script []byte

// assets are the files that pages refer to. Their addresses carry a hash of the content; a server of another release, which
// may be asked in a mixed fleet, answers with its own file, to be used once and not kept.
type assets struct{ style, script asset }

// asset is one file.
type asset struct {
	content []byte
	kind    string
	hash    string
	url     string
}

// loadAssets prepares the files.
func loadAssets() assets {
	return assets{
		style:  newAsset("shop.css", "text/css; charset=utf-8", styleSheet),
		script: newAsset("shop.js", "text/javascript; charset=utf-8", script),
	}
}

// newAsset gives a file its address.
func newAsset(name, kind string, content []byte) asset {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:8])
	return asset{content: content, kind: kind, hash: hash, url: "/static/" + name + "?v=" + hash}
}

// serve answers GET /static/{file}.
func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	var file asset
	switch r.PathValue("file") {
	case "shop.css":
		file = a.style
	case "shop.js":
		file = a.script
	default:
		writeText(w, http.StatusNotFound, "not found\n")
		return
	}
	header := w.Header()
	header.Set("Content-Type", file.kind)
	header.Set("Content-Length", strconv.Itoa(len(file.content)))
	header.Set("Cache-Control", "no-store")
	if r.URL.Query().Get("v") == file.hash {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(file.content)
}
