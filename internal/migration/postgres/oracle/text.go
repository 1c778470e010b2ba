package oracle

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/sqltext"
)

// text is a statement and its tokens without space and comments.
type text struct {
	sql    string
	tokens []sqltext.Token
}

func newText(sql string) text {
	all := sqltext.Tokens(sqltext.Postgres, sql)
	t := text{sql: sql}
	for _, token := range all {
		if token.Kind != sqltext.TokenSpace && token.Kind != sqltext.TokenComment {
			t.tokens = append(t.tokens, token)
		}
	}
	// Each statement has its own transaction here: what is set for the rest of the file's must last longer.
	if t.begins("set") && t.second("local") {
		at := t.tokens[1]
		return newText(sql[:at.Offset] + "SESSION" + sql[at.Offset+len(at.Text):])
	}
	return t
}

func (t text) begins(words ...string) bool { return t.word(0, words) }
func (t text) second(words ...string) bool { return t.word(1, words) }

func (t text) word(n int, words []string) bool {
	return n < len(t.tokens) && t.tokens[n].Kind == sqltext.TokenWord && slices.Contains(words, strings.ToLower(t.tokens[n].Text))
}

// outside says whether a statement is about more than this database. It is not tried.
func (t text) outside() bool {
	return t.begins("create", "alter", "drop") && t.second("database", "tablespace", "system", "subscription") || t.begins("load")
}

// deletes says whether rows may be deleted by it.
func (t text) deletes() bool {
	return t.begins("delete", "with", "merge") && slices.ContainsFunc(t.tokens, func(token sqltext.Token) bool { return token.Is("delete") })
}

// mentions says whether a relation's name is in it, without looking at the schema.
func (t text) mentions(relation string) bool {
	name := relation[strings.LastIndexByte(relation, '.')+1:]
	return slices.ContainsFunc(t.tokens, func(token sqltext.Token) bool { return named(token) && token.Value() == name })
}

func named(token sqltext.Token) bool {
	return token.Kind == sqltext.TokenWord || token.Kind == sqltext.TokenName
}

// plain is the statement without CONCURRENTLY. ok is false where it does not say it.
func (t text) plain() (plain text, ok bool) {
	for i, token := range t.tokens {
		if !token.Is("concurrently") {
			continue
		}
		end, instead := token.Offset+len(token.Text), ""
		if i > 0 && (t.tokens[i-1].Text == "(" || t.tokens[i-1].Text == ",") { // REINDEX (CONCURRENTLY TRUE) TABLE t
			instead = token.Text + " FALSE"
			if value := t.at(i + 1); value.Text != "" && value.Text != ")" && value.Text != "," {
				if slices.Contains([]string{"false", "off", "0"}, strings.ToLower(strings.Trim(value.Text, "'"))) {
					return t, false
				}
				end = value.Offset + len(value.Text)
			}
		}
		return newText(t.sql[:token.Offset] + instead + t.sql[end:]), true
	}
	return t, false
}

// detachesFrom is the table that ALTER TABLE ... DETACH PARTITION is about, without its schema; "" where it is another statement.
func (t text) detachesFrom() string {
	at := slices.IndexFunc(t.tokens, func(token sqltext.Token) bool { return token.Is("detach") })
	if !t.begins("alter") || !named(t.at(at-1)) {
		return ""
	}
	return t.tokens[at-1].Value()
}

// at is the token at a place, and an empty one where there is none.
func (t text) at(n int) sqltext.Token {
	if n < 0 || n >= len(t.tokens) {
		return sqltext.Token{}
	}
	return t.tokens[n]
}
