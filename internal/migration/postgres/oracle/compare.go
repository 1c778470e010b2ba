package oracle

import (
	"slices"

	"github.com/segue-deploy/segue/internal/migration"
)

// compare says what a statement did between two looks. What was made by the statement itself is nobody else's yet, and left out.
func compare(before, after state, text text) migration.Facts {
	var facts migration.Facts
	for id, was := range before.relations {
		// What a statement before it in the transaction has locked shows no second lock: then its name in the text has to do.
		if lock := after.locks[id]; lock > max(before.locks[id], migration.LockAccessShare) || lock > migration.LockAccessShare && text.mentions(was.Name) {
			lockIn(&facts, was.Name, lock)
		}
	}
	// TRUNCATE gives new files as well, puts nothing into them, and so has nothing to read.
	if !text.begins("truncate") {
		contents(&facts, before, after)
	}
	facts.Scanned = append(facts.Scanned, referenced(before, after, facts.Scanned)...)
	if text.deletes() {
		referring(&facts, before, after)
	}
	facts.Rewritten, facts.Scanned, facts.Built = distinct(facts.Rewritten), distinct(facts.Scanned), distinct(facts.Built)
	return facts
}

// contents notes what was written anew, read in whole and built.
func contents(facts *migration.Facts, before, after state) {
	files := make(map[uint32]bool, len(before.relations))
	for id, was := range before.relations {
		files[was.File] = true
		now, there := after.relations[id]
		switch fresh := there && now.File != was.File; {
		case was.index() && fresh:
			facts.Built = append(facts.Built, was.Name)
		case was.rows() && fresh:
			facts.Rewritten = append(facts.Rewritten, was.Name)
		}
		if was.rows() && there && now.Scans > was.Scans {
			facts.Scanned = append(facts.Scanned, was.Name)
		}
	}
	for id, now := range after.relations {
		_, old := before.relations[id]
		_, onOld := before.relations[now.Table]
		// An index that came to another type of its column anew, with the old one's file, is built no more than its table is rewritten.
		if !old && onOld && now.File != 0 && !files[now.File] {
			facts.Built = append(facts.Built, now.Name)
		}
	}
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// lockIn notes a lock, if it is the strongest so far.
func lockIn(facts *migration.Facts, name string, lock migration.Lock) {
	if facts.Locks == nil {
		facts.Locks = map[string]migration.Lock{}
	}
	facts.Locks[name] = max(facts.Locks[name], lock)
}

// referenced are the tables that a foreign key is checked against: those of keys that have become valid while their own table was read.
func referenced(before, after state, scanned []string) (tables []string) {
	for id, key := range after.keys {
		if key.Valid && !before.keys[id].Valid && slices.Contains(scanned, before.relations[key.Table].Name) {
			if target, old := before.relations[key.Target]; old {
				tables = append(tables, target.Name)
			}
		}
	}
	return tables
}

// referring adds what a DELETE does in the tables that refer to its own, by a trigger for each row: it looks for rows there, or changes them, and reads
// the table in whole where no index begins with the key.
func referring(facts *migration.Facts, before, after state) {
	deleted := map[uint32]bool{}
	var todo []uint32
	for id, lock := range after.locks {
		if was := before.relations[id]; lock == migration.LockRowExclusive && lock > before.locks[id] && !was.index() {
			deleted[id], todo = true, append(todo, id)
		}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		for _, key := range before.keys {
			if key.Target != todo[0] {
				continue
			}
			key.check(facts, before)
			if key.OnDelete == "c" && !deleted[key.Table] {
				deleted[key.Table], todo = true, append(todo, key.Table)
			}
		}
	}
}

// check notes what is done in the key's own table when a row that it may refer to goes.
func (k key) check(facts *migration.Facts, before state) {
	lock := migration.LockRowExclusive
	if k.OnDelete == "a" || k.OnDelete == "r" {
		lock = migration.LockRowShare
	}
	for id, one := range before.relations {
		if id == k.Table || one.Table == k.Table {
			lockIn(facts, one.Name, lock)
		}
	}
	if !k.Indexed {
		facts.Scanned = append(facts.Scanned, before.relations[k.Table].Name)
	}
}
