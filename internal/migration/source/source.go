// Package source reads the teams' own folders of migrations as they are, and knows the tables in which their runners keep what they ran, so that a team
// can go back to its own runner at any time.
package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// The formats: whose folder it is.
const (
	Plain   = "plain"
	Goose   = "goose"
	Migrate = "golang-migrate"
	Flyway  = "flyway"
	Tern    = "tern"
	Dbmate  = "dbmate"
)

// Bounds on a folder.
const (
	fileLimit = 16 << 20
	manyFiles = 20_000
)

// Options say how a folder is read.
type Options struct {
	// Format is one of the above; "" finds out.
	Format string
	// Dialect is "postgres" or "sqlite".
	Dialect string
	// Table is the history table where it is not the format's own.
	Table string
	// Shown is what the folder is called in faults; "" is its own name.
	Shown string
}

// Set is a folder of migrations, read.
type Set struct {
	Format  string
	Files   []migration.File
	History migration.History
	// Faults are all there are.
	Faults []migration.Fault
	Notes  []string
}

// entry is a file of the folder before it is a migration.
type entry struct {
	name, shown string
	text        []byte
}

// Read reads the folder root of fsys. What is wrong with its files is in the set; an error means that it could not be read at all.
func Read(fsys fs.FS, root string, options Options) (Set, error) {
	entries, err := list(fsys, root, options.Shown)
	if err != nil {
		return Set{}, err
	}
	set := Set{Format: options.Format}
	if set.Format == "" {
		set.Format = detect(entries)
	}
	set.History = migration.History{Format: set.Format, Table: options.Table}
	if set.History.Table == "" {
		set.History.Table = tableOf(set.Format)
	}
	r := &reader{set: &set, dialect: dialectOf(options.Dialect)}
	for _, e := range entries {
		r.file(e)
	}
	r.order()
	return set, nil
}

func dialectOf(name string) sqltext.Dialect {
	switch name {
	case "sqlite":
		return sqltext.SQLite
	case "mysql", "mariadb":
		return sqltext.MySQL
	default:
		return sqltext.Postgres
	}
}

// list reads the folder's files, by name.
func list(fsys fs.FS, root, shown string) ([]entry, error) {
	found, err := fs.ReadDir(fsys, root)
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read folder of migrations: %w", err)
	}
	if len(found) > manyFiles {
		return nil, segue.Errorf(segue.KindInvalid, "%s has %d files, of %d at most", root, len(found), manyFiles)
	}
	if shown == "" {
		shown = root
	}
	var entries []entry
	for _, file := range found {
		name := file.Name()
		if file.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		if info, err := file.Info(); err == nil && info.Size() > fileLimit {
			return nil, segue.Errorf(segue.KindInvalid, "%s has %d bytes, of %d at most", path.Join(shown, name), info.Size(), fileLimit)
		}
		text, err := fs.ReadFile(fsys, path.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		entries = append(entries, entry{name: name, shown: path.Join(shown, name), text: text})
	}
	return entries, nil
}

// detect finds out whose folder it is, by what only one of them has.
func detect(entries []entry) string {
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.name, ".up.sql"):
			return Migrate
		case flywayName.MatchString(e.name):
			return Flyway
		case gooseMark.MatchString(withoutMark(e.text)):
			return Goose
		case dbmateMark.MatchString(withoutMark(e.text)):
			return Dbmate
		case bytes.Contains(e.text, []byte("---- create above / drop below ----")):
			return Tern
		}
	}
	return Plain
}

// reader turns files into migrations.
type reader struct {
	set     *Set
	dialect sqltext.Dialect
}

func (r *reader) fault(at migration.Position, hint, format string, args ...any) {
	r.set.Faults = append(r.set.Faults, migration.Fault{At: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) file(e entry) {
	at := migration.Position{Path: e.shown}
	version, title, kind := nameOf(r.set.Format, e.name)
	switch kind {
	case nameIgnored:
		return
	case nameCode:
		r.fault(at, "let the team's own runner run this folder: databases.NAME.command", "a migration written in a programming language cannot be read as SQL")
		// It counts for nothing where the team's runner has applied it already, and whether it has its number tells.
		r.set.Files = append(r.set.Files, migration.File{Version: version, Title: title, Path: e.shown})
		return
	case nameStrange:
		r.fault(at, "rename it, or move it out of the folder", "%q is no name of a %s migration", e.name, r.set.Format)
		return
	case nameRepeatable, nameNumbered:
	}
	if !utf8.Valid(e.text) {
		r.fault(at, "save the file as UTF-8", "it is no UTF-8")
		return
	}
	sum := sha256.Sum256(e.text)
	f := migration.File{Version: version, Title: title, Path: e.shown, Sum: hex.EncodeToString(sum[:]), Repeatable: kind == nameRepeatable}
	if r.set.Format == Flyway {
		f.HistorySum = flywaySum(e.text)
	}
	up := r.up(&f, withoutMark(e.text))
	r.statements(&f, up)
	if len(f.Statements) == 0 {
		r.set.Notes = append(r.set.Notes, f.Path+" has no statements")
	}
	r.set.Files = append(r.set.Files, f)
}

// withoutMark is a text without the byte order mark that editors on Windows begin a file with: the server takes it for a part of the first word.
func withoutMark(text []byte) string { return strings.TrimPrefix(string(text), "\ufeff") }

// statements cuts the way up into statements.
func (r *reader) statements(f *migration.File, up string) {
	pieces, faults := sqltext.Split(r.dialect, up)
	for _, fault := range faults {
		r.fault(migration.Position{Path: f.Path, Line: fault.Line, Column: fault.Column}, fault.Hint, "%s", fault.Message)
	}
	var whole migration.Hints
	for i, piece := range pieces {
		at := migration.Position{Path: f.Path, Line: piece.Line, Column: piece.Column}
		statement := migration.Statement{ID: migration.MakeStatementID(f.Version, i+1), SQL: piece.SQL, At: at}
		for _, comment := range piece.Comments {
			hints := &statement.Hints
			if i == 0 && comment.Apart {
				hints = &whole
			}
			r.hint(hints, migration.Position{Path: f.Path, Line: comment.Line, Column: comment.Column}, comment.Text)
		}
		if kind := sqltext.Parse(r.dialect, piece.SQL).Kind; kind == sqltext.KindBegin || kind == sqltext.KindCommit {
			r.fault(at, "remove it: every statement is run and recorded on its own", "a migration may not begin or end transactions")
			continue
		}
		f.Statements = append(f.Statements, statement)
	}
	for i := range f.Statements {
		if f.Statements[i].Hints.Zero() {
			f.Statements[i].Hints = whole
		}
	}
}

// order sorts the files as their runner would, and finds two of one number.
func (r *reader) order() {
	files := r.set.Files
	slices.SortStableFunc(files, func(a, b migration.File) int {
		if a.Repeatable != b.Repeatable {
			if a.Repeatable {
				return 1
			}
			return -1
		}
		return compareVersions(a.Version, b.Version)
	})
	for i := 1; i < len(files); i++ {
		if !files[i].Repeatable && compareVersions(files[i-1].Version, files[i].Version) == 0 {
			r.fault(migration.Position{Path: files[i].Path}, "give one of them another number", "it has the same number as %s", files[i-1].Path)
		}
	}
}

// Statements reads a list of what a release sends: statements ended by semicolons.
func Statements(text []byte, dialect string) ([]migration.Query, error) {
	if !utf8.Valid(text) {
		return nil, segue.Errorf(segue.KindInvalid, "read statements: it is no UTF-8")
	}
	pieces, faults := sqltext.Split(dialectOf(dialect), withoutMark(text))
	if len(faults) > 0 {
		return nil, segue.Errorf(segue.KindInvalid, "read statements: %w", errors.New(faults[0].String()))
	}
	queries := make([]migration.Query, 0, len(pieces))
	for _, piece := range pieces {
		queries = append(queries, migration.Query{SQL: piece.SQL, Source: "recorded"})
	}
	return queries, nil
}
