package shop

import (
	"embed"
	"fmt"
	"path"
)

// statements are what each release sends to a database, as a test of the whole shop has heard it.
//
//go:embed statements
var statements embed.FS

// Statements gives the statements that a release sends to a database of a dialect, "sqlite" or "postgres", each ended by a semicolon. Releases
// with the same features send the same.
func Statements(release, dialect string) ([]byte, error) {
	name := "v2"
	if release == "v1" {
		name = "v1"
	}
	text, err := statements.ReadFile(path.Join("statements", name+"."+dialect+".sql"))
	if err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	return text, nil
}
