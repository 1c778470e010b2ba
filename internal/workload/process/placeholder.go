package process

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// Placeholders lists the names that may stand in braces in Command, Env values and Ready.Command. "address" and "port" are not there
// for workers.
func Placeholders() []string {
	return []string{"address", "artifact", "instance", "port", "release", "server", "service"}
}

func (c Config) placeholders() []string {
	names := Placeholders()
	if c.Worker {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "address" || name == "port" })
	}
	return names
}

// placeholder is a lower-case word in braces. Other braces, such as those of JSON in an argument, are text.
var placeholder = regexp.MustCompile(`\{([a-z][a-z_-]*)\}`)

// checkPlaceholders gives KindInvalid for a placeholder that is not among the allowed ones.
func checkPlaceholders(text string, allowed []string) error {
	for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
		name := match[1]
		if slices.Contains(allowed, name) {
			continue
		}
		err := segue.Errorf(segue.KindInvalid, "there is no placeholder {%s} here", name)
		if near, ok := nearest(name, allowed); ok {
			return err.WithHint("did you mean {%s}?", near)
		}
		return err.WithHint("there are {%s}", strings.Join(allowed, "}, {"))
	}
	return nil
}

// expand fills placeholders in; those without a value stay as they are.
func expand(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		if value, ok := values[match[1:len(match)-1]]; ok {
			return value
		}
		return match
	})
}

// nearest finds the name that was probably meant: at most a third of its letters differ, or one.
func nearest(name string, among []string) (string, bool) {
	best, distance := "", max(1, len(name)/3)+1
	for _, candidate := range among {
		if d := editDistance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best, best != ""
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// relocation rewrites paths of a release's artifact to where it is staged.
type relocation struct {
	from []string // the ways to write the original, longest first
	to   string
}

// newRelocation prepares rewriting; artifact is the path as configured, with its placeholders filled in.
func newRelocation(dir, artifact, staged string) relocation {
	clean := filepath.Clean(artifact)
	from := []string{strings.TrimRight(artifact, "/"), clean}
	if !filepath.IsAbs(clean) {
		from = append(from, filepath.Join(dir, clean))
		if !strings.HasPrefix(clean, "..") {
			from = append(from, "./"+clean)
		}
	}
	// A bare word is no path: it may be the release's name, meant as such.
	from = slices.DeleteFunc(from, func(path string) bool { return !strings.Contains(path, "/") })
	slices.SortFunc(from, func(a, b string) int { return len(b) - len(a) })
	return relocation{from: slices.Compact(from), to: staged}
}

// apply rewrites the text where it begins with the artifact's path, or has it after '=', ':' or ','.
func (r relocation) apply(text string) string {
	var out strings.Builder
	for at := 0; at < len(text); {
		if at == 0 || strings.IndexByte("=:,", text[at-1]) >= 0 {
			if n := r.match(text[at:]); n > 0 {
				out.WriteString(r.to)
				at += n
				continue
			}
		}
		out.WriteByte(text[at])
		at++
	}
	return out.String()
}

// match gives the length of the artifact's path at the beginning of text, 0 when another path is there.
func (r relocation) match(text string) int {
	for _, from := range r.from {
		if rest, ok := strings.CutPrefix(text, from); ok && (rest == "" || strings.IndexByte("/:,", rest[0]) >= 0) {
			return len(from)
		}
	}
	return 0
}
