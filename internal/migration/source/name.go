package source

import (
	"cmp"
	"path"
	"regexp"
	"strings"
)

// nameKind sorts the names of files.
type nameKind int

const (
	nameNumbered nameKind = iota
	nameRepeatable
	// nameIgnored is the way down, a settings file, a note.
	nameIgnored
	// nameCode is a migration in Go, Java or another language.
	nameCode
	nameStrange
)

var (
	flywayName   = regexp.MustCompile(`^(V[0-9]+([._][0-9]+)*|R)__(.+)\.sql$`)
	numberedName = regexp.MustCompile(`^([0-9]+)[_.-]?(.*)\.sql$`)
	migrateName  = regexp.MustCompile(`^([0-9]+)_(.*)\.up\.sql$`)
)

// nameOf takes a file's version and title from its name.
func nameOf(format, name string) (version, title string, kind nameKind) {
	switch {
	case strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".java") || strings.HasSuffix(name, ".py") || strings.HasSuffix(name, ".rb"):
		if strings.HasSuffix(name, "_test.go") || name == "__init__.py" || name[0] < '0' || name[0] > '9' && format != Flyway {
			return "", "", nameIgnored
		}
		return codeNameOf(format, name)
	case !strings.HasSuffix(name, ".sql"), strings.HasSuffix(name, ".down.sql"), strings.HasSuffix(name, "_down.sql"):
		return "", "", nameIgnored
	case format == Flyway:
		return flywayNameOf(name)
	case format == Migrate:
		if match := migrateName.FindStringSubmatch(name); match != nil {
			return match[1], match[2], nameNumbered
		}
		return "", "", nameStrange
	}
	match := numberedName.FindStringSubmatch(name)
	if match == nil {
		return "", "", nameStrange
	}
	return match[1], strings.TrimSuffix(match[2], ".up"), nameNumbered
}

// codeNameOf takes the version of a migration that is written in a programming language.
func codeNameOf(format, name string) (version, title string, kind nameKind) {
	name = strings.TrimSuffix(name, path.Ext(name)) + ".sql"
	if format == Flyway {
		version, title, _ = flywayNameOf(name)
	} else if match := numberedName.FindStringSubmatch(name); match != nil {
		version, title = match[1], match[2]
	}
	return version, title, nameCode
}

func flywayNameOf(name string) (version, title string, kind nameKind) {
	if strings.HasPrefix(name, "U") || strings.HasPrefix(name, "B") || strings.HasPrefix(name, "before") || strings.HasPrefix(name, "after") {
		return "", "", nameIgnored
	}
	match := flywayName.FindStringSubmatch(name)
	switch {
	case match == nil:
		return "", "", nameStrange
	case match[1] == "R":
		return "R__" + match[3], strings.ReplaceAll(match[3], "_", " "), nameRepeatable
	default:
		return strings.ReplaceAll(match[1][1:], "_", "."), strings.ReplaceAll(match[3], "_", " "), nameNumbered
	}
}

// compareVersions compares number by number: "2" before "10", "1.2" before "1.10", "0003" the same as "3".
func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if order := compareNumbers(part(x, i), part(y, i)); order != 0 {
			return order
		}
	}
	return 0
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// sameVersion says whether two versions are one, however they are written.
func sameVersion(a, b string) bool { return compareVersions(a, b) == 0 }
