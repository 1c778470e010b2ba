package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// pair is a statement against a contraction. sign is what is true of it: + it does the same afterwards, - it does not, ~ it does not, and running it
// would not show that (COPY, what is written to other places).
type pair struct {
	sign byte
	sql  string
}

// contraction is a change with the statements that are tried against it.
type contraction struct {
	title  string
	change migration.Change
	pairs  []pair
}

// readCorpus reads the folder's files: "== title: SQL; SQL", then "removes kind table name", "for {x}=value ..." and statements with their signs.
func readCorpus(t *testing.T) []contraction {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []contraction
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(content), "\n== ")[1:] {
			all = append(all, expand(t, strings.Split(part, "\n"))...)
		}
	}
	return all
}

// expand makes a part of a file into contractions, one for each of its "for" lines.
func expand(t *testing.T, lines []string) []contraction {
	t.Helper()
	var fillers [][]string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "for "); ok {
			var pairs []string
			for one := range strings.SplitSeq(rest, " {") {
				name, value, _ := strings.Cut("{"+strings.TrimPrefix(one, "{"), "=")
				pairs = append(pairs, name, value)
			}
			fillers = append(fillers, pairs)
		}
	}
	if fillers == nil {
		fillers = [][]string{nil}
	}
	var all []contraction
	for _, filler := range fillers {
		fill := strings.NewReplacer(filler...).Replace
		title, sql, _ := strings.Cut(fill(lines[0]), ": ")
		c := contraction{title: strings.Join(append([]string{title}, filler...), " "), change: migration.Change{ID: "c#1", Phase: migration.PhaseContract}}
		for one := range strings.SplitSeq(sql, "; ") {
			c.change.Actions = append(c.change.Actions, migration.Action{SQL: one})
		}
		for _, line := range lines[1:] {
			switch line = fill(line); {
			case strings.HasPrefix(line, "removes "):
				c.change.Removes = append(c.change.Removes, removed(line))
			case line != "" && strings.Contains("+-~", line[:1]):
				c.pairs = append(c.pairs, pair{line[0], line[2:]})
			}
		}
		all = append(all, c)
	}
	return all
}

// removed reads "removes kind table name", with "-" for no table. Names are quoted where SQL would quote them.
func removed(line string) migration.Object {
	tokens := strings.SplitN(line, " ", 3)
	rest := tokens[2]
	table := rest[:strings.Index(rest, " ")]
	if strings.HasPrefix(rest, `"`) {
		table = rest[:strings.Index(rest[1:], `"`)+2]
	}
	name := strings.Trim(strings.TrimPrefix(rest[len(table):], " "), `"`)
	table = strings.Trim(strings.TrimPrefix(table, "-"), `"`)
	return migration.Object{Kind: migration.ObjectKind(tokens[1]), Table: table, Name: name}
}

// seen is what a client sees of a statement.
type seen struct {
	code    string
	columns []string
	rows    []string
}

// run runs a statement, and takes it back.
func (w *world) run(tx pgx.Tx, sql string) (s seen) {
	w.Helper()
	save, err := tx.Begin(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	rows, err := save.Query(w.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err == nil {
		for _, field := range rows.FieldDescriptions() {
			s.columns = append(s.columns, fmt.Sprint(field.Name, field.DataTypeOID, field.TypeModifier))
		}
		for rows.Next() {
			s.rows = append(s.rows, fmt.Sprintf("%q", rows.RawValues()))
		}
		rows.Close()
		err = rows.Err()
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		s = seen{code: failure.Code}
	} else if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	if err := save.Rollback(w.Context()); err != nil {
		w.Fatal(err)
	}
	slices.Sort(s.rows)
	if len(read(sql).inserts()) > 0 {
		s.rows = nil // with numbers of their own
	}
	return s
}

func (s seen) same(other seen) bool {
	return s.code == other.code && slices.Equal(s.columns, other.columns) && slices.Equal(s.rows, other.rows)
}

// prove checks the signs of the corpus by running every statement before and after, on rows.
func (w *world) prove(c contraction) {
	w.Helper()
	tx, err := w.conn.Begin(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(w.Context())) }()
	before := make([]seen, len(c.pairs))
	for i, p := range c.pairs {
		if p.sign == '~' {
			continue
		}
		if before[i] = w.run(tx, p.sql); before[i].code != "" {
			w.Errorf("%s: %s: it never works: %s", c.title, p.sql, before[i].code)
		}
	}
	for _, action := range c.change.Actions {
		if _, err := tx.Exec(w.Context(), patiently(action.SQL)); err != nil {
			w.Fatalf("%s: %v", c.title, err)
		}
	}
	for i, p := range c.pairs {
		if p.sign == '~' {
			continue
		}
		if after := w.run(tx, p.sql); after.same(before[i]) != (p.sign == '+') {
			w.Errorf("%s: the corpus says %c of %s, and it gives %+v instead of %+v", c.title, p.sign, p.sql, after, before[i])
		}
	}
}

// normalised is a statement as the server's statistics show it.
func normalised(sql string) string {
	if !read(sql).planned() {
		return sql
	}
	var out strings.Builder
	n := 0
	for _, token := range sqltext.Tokens(sqltext.Postgres, strings.NewReplacer("= -", "= ", "(-", "(").Replace(sql)) {
		if token.Kind == sqltext.TokenNumber || token.Kind == sqltext.TokenString {
			n++
			fmt.Fprintf(&out, "$%d", n)
			continue
		}
		out.WriteString(token.Text)
	}
	return out.String()
}

// ask asks the gate about every statement as that of a release of its own.
func (w *world) ask(c contraction, statements []string) migration.Gate {
	w.Helper()
	request := migration.GateRequest{Change: c.change, Brought: "next", Now: time.Now(), Releases: []migration.Presence{{Release: "next", Order: 2}}}
	for i, sql := range statements {
		request.Releases = append(request.Releases, migration.Presence{Release: nth(i), Order: 1, Running: []segue.ServerName{"web-1"}})
		request.Recorded = append(request.Recorded, migration.Query{Release: nth(i), SQL: sql, Source: "recorded"})
	}
	gate, err := w.gate.Ask(w.Context(), request)
	if err != nil {
		w.Fatalf("%s: %v", c.title, err)
	}
	return gate
}

func nth(i int) segue.ReleaseName { return segue.ReleaseName(fmt.Sprint("r", i)) }

// verdict is what a gate's grounds say of one statement: its own, those of functions that it names, and of what stands on the object.
func verdict(gate migration.Gate, i int, sql string) migration.Answer {
	answer := migration.AnswerSafe
	for _, ground := range gate.Grounds {
		mine := ground.Release == nth(i) && ground.Statement != "" || ground.Check == checkDependencies
		if fields := strings.Fields(ground.Text); ground.Check == checkFunctions && fields[0] == "function" {
			_, name, _ := strings.Cut(fields[1], ".")
			mine = read(sql).names(name)
		}
		if mine {
			answer = answer.Worse(ground.Answer)
		}
	}
	return answer
}

// TestCorpus holds the gate's verdict on every statement, as it was written and as the statistics have it, against what the statement really does.
func TestCorpus(t *testing.T) {
	t.Parallel()
	versions := []string{"", "18"}
	if os.Getenv("CI") != "true" {
		versions = versions[:1]
	}
	for _, version := range versions {
		t.Run("on "+version, func(t *testing.T) {
			t.Parallel()
			openWorld(t, clustertest.Start(t, version)).holdCorpus()
		})
	}
}

func (w *world) holdCorpus() {
	pairs, fits, falseUnsafe, unknown := 0, 0, 0, 0
	for i, c := range readCorpus(w.T) {
		w.prove(c)
		var statements []string
		for _, p := range c.pairs {
			statements = append(statements, p.sql, normalised(p.sql))
		}
		gate := w.ask(c, statements)
		if i == 0 {
			w.Logf("%s a statement", (gate.Took-w.ask(c, nil).Took)/time.Duration(len(statements)))
		}
		for i, sql := range statements {
			answer := verdict(gate, i, sql)
			pairs++
			if c.pairs[i/2].sign != '+' {
				if answer == migration.AnswerSafe {
					w.Errorf("%s: safe is false of %s", c.title, sql)
				}
				continue
			}
			fits++
			switch answer {
			case migration.AnswerSafe:
			case migration.AnswerUnknown:
				unknown++
				w.Logf("%s: not known of %s", c.title, sql)
			case migration.AnswerUnsafe:
				falseUnsafe++
				w.Logf("%s: unsafe is false of %s", c.title, sql)
			}
		}
	}
	if falseUnsafe*50 > fits {
		w.Errorf("%d of %d statements that fit are called unsafe", falseUnsafe, fits)
	}
	w.Logf("%d pairs, %d that fit: %d called unsafe, %d not known", pairs, fits, falseUnsafe, unknown)
}
