package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// A schema is copied as pg_dump does it: every object becomes a statement, in an order in which all that it needs is there already. The order is that of
// ranks, and within a rank that of the making; what an object depends on by pg_depend comes before it, whatever its rank. Tables are made bare:
// defaults, checks, keys and triggers follow, which is what keeps the circles out (a table whose check calls a function that returns the table's rows).
// Partitions are made as tables of their own and attached before there are any indexes, and indexes are attached to each other later: every name stays.
//
// Not copied: rows and statistics, owners (all belongs to the role that made the copy), comments, tablespaces, event triggers, publications
// and subscriptions, the state of an index that is not valid. Foreign tables are copied as ordinary ones.

// entry names an object as pg_depend does: its catalogue and its OID. What has no entry of its own there (the attaching of a partition) has made-up
// catalogues below 10.
type entry struct{ Class, ID uint32 }

// object is one statement of a copy.
type object struct {
	Class, ID uint32
	Rank      int32
	SQL       string
}

func (o object) entry() entry { return entry{o.Class, o.ID} }

// rankOptional is the rank from which a statement may fail: the content of a materialized view, privileges.
const rankOptional = 190

// rankExtension is that of extensions, and schemas before them.
const rankExtension = 20

// arrow leads from one entry to another.
type arrow struct{ Class, ID, ToClass, ToID uint32 }

// blueprint is a schema as statements, in order, and what they stand on.
type blueprint struct {
	objects []object
	// missing lists what cannot be copied.
	missing []string
	// roles are those that statements may name.
	roles []string
	// settings are those of the database and of the role in it.
	settings []setting
	// create is the rest of CREATE DATABASE, after the name.
	create string
}

type setting struct{ Name, Value string }

// draw reads a schema as statements.
func draw(ctx context.Context, from beginner) (plan blueprint, err error) {
	err = snapshot(ctx, from, func(tx pgx.Tx, _ []string) error {
		r := &reader{tx: tx}
		objects := make([]object, 0, len(schemaQueryNames))
		for _, query := range schemaQueryNames {
			objects = append(objects, rows[object](ctx, r, query)...)
		}
		plan.objects = inOrder(objects, rows[arrow](ctx, r, querySame), rows[arrow](ctx, r, queryNeeds))
		plan.missing = r.names(ctx, queryMissing)
		plan.roles = r.names(ctx, queryRoles)
		plan.settings = rows[setting](ctx, r, querySettings)
		for _, database := range rows[struct{ SQL string }](ctx, r, queryDatabase) {
			plan.create = database.SQL
		}
		return r.err
	})
	return plan, err
}

// names runs a query with one column, name.
func (r *reader) names(ctx context.Context, query string) (names []string) {
	for _, one := range rows[struct{ Name string }](ctx, r, query) {
		names = append(names, one.Name)
	}
	return names
}

// inOrder sorts objects by rank and making, with what each needs before it. same leads from an entry to the one that it comes with.
// Of a circle, which the server's own tools could not restore either, somebody comes first.
func inOrder(objects []object, same, arrows []arrow) []object {
	slices.SortStableFunc(objects, func(a, b object) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID)) })
	with := make(map[entry]entry, len(same))
	for _, a := range same {
		with[entry{a.Class, a.ID}] = entry{a.ToClass, a.ToID}
	}
	// An array's type comes with its element's, and that with its table: two steps lead to any statement.
	resolve := func(e entry) entry {
		for range 3 {
			if to, ok := with[e]; ok {
				e = to
			}
		}
		return e
	}
	needs := make(map[entry][]entry, len(objects))
	for _, a := range arrows {
		from, to := resolve(entry{a.Class, a.ID}), resolve(entry{a.ToClass, a.ToID})
		if from != to {
			needs[from] = append(needs[from], to)
		}
	}
	statements := make(map[entry][]object, len(objects))
	for _, o := range objects {
		statements[o.entry()] = append(statements[o.entry()], o)
	}
	sorted := make([]object, 0, len(objects))
	visited := make(map[entry]bool, len(needs))
	var visit func(e entry)
	visit = func(e entry) {
		if visited[e] {
			return
		}
		visited[e] = true
		for _, need := range needs[e] {
			visit(need)
		}
		sorted = append(sorted, statements[e]...)
	}
	for _, o := range objects {
		visit(o.entry())
	}
	return sorted
}
