package oracle

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// facets are what statements of an application can meet in a schema: a text for each question, of a line for each facet. Most of it is the same after a
// statement, and is never taken apart.
type facets []string

// The server puts these between lines and between the words of one.
const lineEnd, wordEnd = "\x1e", "\x1f"

// readFacets asks for all of them, with the indexes that DDL is tried without. Where was is given, only what can have changed since is asked for, by what
// was written.
func readFacets(ctx context.Context, tx pgx.Tx, was facets, now state) (facets, error) {
	all := make(facets, len(questions()))
	var batch pgx.Batch
	batch.Queue("SET LOCAL enable_indexscan = on")
	batch.Queue("SET LOCAL enable_bitmapscan = on")
	for i, question := range questions() {
		if was == nil || slices.ContainsFunc(question.of, func(name string) bool { return now.written[name] > 0 }) {
			batch.Queue(mine + question.sql).QueryRow(func(row pgx.Row) error { return row.Scan(&all[i]) })
		} else {
			all[i] = was[i]
		}
	}
	return all, tx.SendBatch(ctx, &batch).Close()
}

// difference says what changed between two readings, in an order that is always the same. It is never nil: the server was asked.
func difference(before, after facets) []migration.Effect {
	effects := []migration.Effect{}
	for i := range before {
		if before[i] == after[i] {
			continue
		}
		was, is := lines(before[i]), lines(after[i])
		for line := range was {
			if effect := effectOf(line); !is[line] {
				effect.Was = effect.Now
				effect.Now = ""
				effects = append(effects, effect)
			}
		}
		for line := range is {
			if !was[line] {
				effects = append(effects, effectOf(line))
			}
		}
	}
	order := func(a, b migration.Effect) int {
		return strings.Compare(a.Object.String()+wordEnd+a.Facet+wordEnd+a.Now, b.Object.String()+wordEnd+b.Facet+wordEnd+b.Now)
	}
	slices.SortFunc(effects, order)
	return paired(effects)
}

// paired makes one of what went and what came of the same facet.
func paired(effects []migration.Effect) []migration.Effect {
	kept := effects[:0]
	for _, e := range effects {
		if n := len(kept); n > 0 && kept[n-1].Object == e.Object && kept[n-1].Facet == e.Facet {
			kept[n-1].Now, kept[n-1].Columns = e.Now, e.Columns
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

func lines(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(text, lineEnd) {
		all[line] = true
	}
	delete(all, "")
	return all
}

// effectOf reads a line as one of what came.
func effectOf(line string) migration.Effect {
	words := strings.Split(line, wordEnd)
	e := migration.Effect{Object: migration.Object{Kind: migration.ObjectKind(words[0]), Table: words[1], Name: words[2]}, Facet: words[3], Now: words[4]}
	if words[5] != "" {
		e.Columns = words[5:]
	}
	return e
}
