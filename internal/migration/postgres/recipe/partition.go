package recipe

import (
	"slices"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

const boundsFirst = "give the new partition, and the default one, a CHECK that says which rows it has: ADD CHECK ... NOT VALID, VALIDATE, then attach"

// createPartition makes the table first and hangs it under its parent then, which keeps nobody waiting.
func (t *part) createPartition(made *table) {
	parent := t.world.table(t.shape.PartitionOf)
	title := "create partition " + made.Table.Name
	if parent == nil || parent.fresh {
		t.plain(migration.PhaseExpand, title).Table = made.full()
		return
	}
	title += " of " + t.world.short(parent)
	const name = plainName
	bounds := find(`(?is)\bpartition\s+of\s+`+name+`(?:\s*\.\s*`+name+`)?\s+(for\s+values\s.*|default)\s*$`, t.statement.SQL)
	held := t.held(t.facts)
	if bounds == "" || len(t.shape.Clauses) > 0 || made.Partitioned || matches(`(?is)\)\s*(with|tablespace|using)\b`, bounds) || len(held) > 0 {
		d := t.asWritten(title, "make it as a table of its own, and then: "+boundsFirst)
		d.Table = parent.full()
		d.Actions[0].Undo = "DROP TABLE IF EXISTS " + made.quoted()
		return
	}
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title, Table: parent.full(), Facts: locks(migration.LockShareUpdateExclusive, parent),
		Why: "as written it would keep reads and writes of " + t.world.short(parent) + " waiting; attached, it does not",
		Actions: []migration.Action{
			action("CREATE TABLE "+made.quoted()+" (LIKE "+parent.quoted()+" INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)",
				"DROP TABLE IF EXISTS "+made.quoted()),
			action(alter(parent, "ATTACH PARTITION "+made.quoted()+" "+bounds), alter(parent, "DETACH PARTITION "+made.quoted())),
		},
	})
}

// attach hangs a table under another: free where its rows are known to fit.
func (t *part) attach(on *table, clause sqltext.Clause) {
	title := "attach partition " + clause.Name + " to " + t.world.short(on)
	d := t.asWritten(title, boundsFirst)
	if child := t.world.named(clause.Name); child != nil && d.Phase != migration.PhaseBreaking {
		bounds := find(`(?is)\b((?:for\s+values\s.*)|default)\s*$`, clause.SQL)
		if bounds != "" {
			d.Actions = []migration.Action{action(alter(on, "ATTACH PARTITION "+child.quoted()+" "+bounds), "")}
		}
		if !child.fresh && !on.fresh {
			d.Caveats = append(d.Caveats, "rows of "+clause.Name+" are rows of "+t.world.short(on)+" for "+t.older()+" too")
		}
	}
}

// detach takes a partition's rows out of the whole, which older releases may read.
func (t *part) detach(on *table, clause sqltext.Clause) {
	child := t.world.named(clause.Name)
	title := "detach partition " + clause.Name + " of " + t.world.short(on)
	if child == nil || on.fresh || child.fresh {
		t.asWritten(title, "")
		return
	}
	d := t.contract("", title, []migration.Object{on.object(migration.ObjectOther, "rows in "+child.Table.Name)}, t.detached(on, child))
	d.Why = t.older() + " read its rows through " + t.world.short(on)
	d.Facts = t.facts
	if d.Actions[0].Alone {
		d.Facts = locks(migration.LockShareUpdateExclusive, on)
		d.Facts.Alone = true
		d.Caveats = []string{"broken off, it is ended by " + alter(on, "DETACH PARTITION "+child.quoted()+" FINALIZE")}
	}
}

// detached writes DETACH, without a lock that others wait for where the server has that: from 14 on, and with no default partition beside it.
func (t *part) detached(parent, child *table) migration.Action {
	plain := action(alter(parent, "DETACH PARTITION "+child.quoted()), "")
	beside := slices.ContainsFunc(t.world.partitions(parent), func(other *table) bool {
		return other != child && t.lockOn(t.facts, other) >= migration.LockAccessExclusive
	})
	if t.version < 140000 || beside {
		return plain
	}
	plain.SQL += " CONCURRENTLY"
	plain.Alone = true
	return plain
}

func (t *table) applyPartition(w *world, clause sqltext.Clause) {
	child := w.named(clause.Name)
	if child == nil {
		return
	}
	child.Parent = ""
	if clause.Kind == sqltext.ClauseAttachPartition {
		child.Parent = t.full()
	}
}
