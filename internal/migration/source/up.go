package source

import (
	"regexp"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

var environment = regexp.MustCompile(`\$\{[A-Za-z_]`)

// Marks of runners, as those read them. What comes after a mark of a runner that is none of ours would be run as well: the way down behind the way up.
var (
	gooseMark   = regexp.MustCompile(`(?m)^[ \t]*--[ \t]*\+goose[ \t]+(.*)`)
	dbmateMark  = regexp.MustCompile(`(?m)^[ \t]*--[ \t]*migrate:(.*)`)
	foreignMark = regexp.MustCompile(`(?i)^\s*(--|#)[-\s/]*([+!@](\w+ )?(ups?|downs?|undo)|(rambler |migrate:)(up|down)|(up|down) migration|rollback|down|undo)\W*$`)
)

// up gives the part of a file that leads up, the rest blank, so that lines keep their numbers; and takes what the format says of the whole file.
func (r *reader) up(f *migration.File, text string) string {
	switch r.set.Format {
	case Goose:
		return r.goose(f, text)
	case Dbmate:
		return r.dbmate(f, text)
	case Tern:
		return r.tern(f, text)
	case Flyway:
		if line := lineOf(text, "${"); line > 0 {
			r.fault(migration.Position{Path: f.Path, Line: line}, "write the value, or let Flyway itself run: databases.NAME.command", "a placeholder of Flyway (${...}) stands here")
		}
		f.NoTransaction = strings.Contains(text, "executeInTransaction=false")
	case Plain, Migrate:
		r.foreign(f, text)
	}
	return text
}

// foreign refuses marks of runners that are not read, or not in this folder.
func (r *reader) foreign(f *migration.File, text string) {
	number := 0
	for line := range strings.Lines(text) {
		if number++; foreignMark.MatchString(line) {
			r.fault(migration.Position{Path: f.Path, Line: number, Column: 1}, "say whose folder it is (databases.NAME.format), move the way down into another file, or reword the comment",
				"%q looks like a mark of a migration runner; read as %s, what comes after it would be run, too", strings.TrimSpace(line), r.set.Format)
			return
		}
	}
}

// lineOf is the number of the first line that contains a text, 0 for none.
func lineOf(text, what string) int {
	number := 0
	for line := range strings.Lines(text) {
		if number++; strings.Contains(line, what) {
			return number
		}
	}
	return 0
}

// sieve keeps the lines that keep says yes to; the others become empty.
func sieve(text string, keep func(line string, number int) bool) string {
	var out strings.Builder
	number := 0
	for line := range strings.Lines(text) {
		if number++; keep(line, number) {
			out.WriteString(line)
			continue
		}
		out.WriteString("\n")
	}
	return out.String()
}

// goose reads the part behind +goose Up. Its marks around a statement are not needed: bodies are found by themselves.
func (r *reader) goose(f *migration.File, text string) string {
	up, marked := false, false
	out := sieve(text, func(line string, number int) bool {
		marks := gooseMark.FindStringSubmatch(line)
		if marks == nil {
			return up
		}
		at := migration.Position{Path: f.Path, Line: number, Column: 1}
		switch mark := strings.ToLower(strings.TrimSpace(marks[1])); {
		case mark == "up":
			up, marked = true, true
		case mark == "down":
			up = false
		case strings.HasPrefix(mark, "no transaction"):
			f.NoTransaction = true
		case mark == "statementbegin", mark == "statementend", mark == "envsub off":
		case mark == "envsub on":
			if environment.MatchString(text) {
				r.fault(at, "write the values, or let goose itself run: databases.NAME.command", "it takes values from the environment")
			}
		default:
			r.fault(at, "there are Up, Down, StatementBegin, StatementEnd, NO TRANSACTION and ENVSUB", "%q is no mark of goose", mark)
		}
		return false
	})
	if !marked {
		r.fault(migration.Position{Path: f.Path, Line: 1, Column: 1}, "begin with: -- +goose Up", "it has no \"-- +goose Up\"")
	}
	return out
}

func (r *reader) dbmate(f *migration.File, text string) string {
	up, marked := false, false
	out := sieve(text, func(line string, _ int) bool {
		marks := dbmateMark.FindStringSubmatch(line)
		if marks == nil {
			return up
		}
		up = strings.HasPrefix(marks[1], "up")
		marked = marked || up
		if up && strings.Contains(marks[1], "transaction:false") {
			f.NoTransaction = true
		}
		return false
	})
	if !marked {
		r.fault(migration.Position{Path: f.Path, Line: 1, Column: 1}, "begin with: -- migrate:up", "it has no \"-- migrate:up\"")
	}
	return out
}

func (r *reader) tern(f *migration.File, text string) string {
	if line := lineOf(text, "{{"); line > 0 {
		r.fault(migration.Position{Path: f.Path, Line: line}, "write it out, or let tern itself run: databases.NAME.command", "a template of tern ({{...}}) stands here")
	}
	f.NoTransaction = strings.Contains(text, "---- tern: disable-tx ----")
	up := true
	return sieve(text, func(line string, _ int) bool {
		if strings.HasPrefix(line, "---- create above / drop below ----") {
			up = false
		}
		return up && !strings.HasPrefix(line, "---- ")
	})
}
