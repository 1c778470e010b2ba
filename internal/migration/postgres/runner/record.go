package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// recording is the name under which a lease records: one at a time.
const recording = migration.ChangeID("record")

// Record implements migration.Lease. What was last remembered of the files is written down with the changes, and history that is due is written.
func (l *Lease) Record(ctx context.Context, release segue.ReleaseName, plan migration.Plan) error {
	if len(plan.Faults) > 0 {
		return segue.Errorf(segue.KindInvalid, "record plan: it has %d faults, the first: %s", len(plan.Faults), plan.Faults[0]).WithHint("%s", plan.Faults[0].Hint)
	}
	err := l.once(ctx, recording, func(tx pgx.Tx) error {
		if err := l.recordFiles(ctx, tx, plan.Changes); err != nil {
			return err
		}
		for _, change := range plan.Changes {
			if err := record(ctx, tx, release, change); err != nil {
				return err
			}
		}
		return l.settle(ctx, tx, nil)
	})
	return explain("record plan", err)
}

// record writes a change down, unless it is there. One that was taken back is owed again.
func record(ctx context.Context, tx pgx.Tx, release segue.ReleaseName, change migration.Change) error {
	var status migration.Status
	rows, err := tx.Query(ctx, `SELECT status FROM "segue"."change" WHERE id = $1`, string(change.ID))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(found) > 0 {
		status = migration.Status(found[0])
	}
	if status != "" && status != migration.StatusCanceled {
		return nil
	}
	return writeChange(ctx, tx, release, change)
}

// recordFiles writes down the files that changes come from. One that was edited after it began is refused; before, the edit counts.
func (l *Lease) recordFiles(ctx context.Context, tx pgx.Tx, changes []migration.Change) error {
	l.runner.mu.Lock()
	files, history, folder := maps.Clone(l.runner.files), l.runner.history, l.runner.folder
	l.runner.mu.Unlock()
	if err := writeFolder(ctx, tx, folder); err != nil {
		return err
	}
	known, err := readFiles(ctx, tx)
	if err != nil {
		return err
	}
	briefs, err := readBriefs(ctx, tx)
	if err != nil {
		return err
	}
	for _, version := range slices.Sorted(maps.Keys(files)) {
		file := files[version]
		before, there := known[version]
		planned := slices.ContainsFunc(changes, func(c migration.Change) bool { return ofVersion(c.Origin, version) })
		if !planned && (!there || file.Repeatable) {
			continue
		}
		stands := false
		if there {
			stands, err = renew(ctx, tx, before, file, briefs)
		}
		if err == nil && !stands {
			err = writeFile(ctx, tx, file, history)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// renew makes room for a file that is other than it was; stands says that it stays as it is recorded.
func renew(ctx context.Context, tx pgx.Tx, before fileRow, file migration.File, briefs []brief) (stands bool, err error) {
	fault, edited := Edited(before.file, file)
	switch {
	case edited && begun(briefs, file.Version):
		return false, segue.Errorf(segue.KindConflict, "%s", fault).WithHint("%s", fault.Hint)
	case edited:
		return false, forget(ctx, tx, briefs, file.Version)
	case file.Repeatable && before.file.Sum != file.Sum:
		// What is still owed of the edition before would be done to what this one makes.
		owed := slices.DeleteFunc(slices.Clone(briefs), func(b brief) bool { return b.status != migration.StatusOwed })
		return false, forget(ctx, tx, owed, file.Version)
	default:
		return before.file.Sum == file.Sum || before.complete, nil
	}
}

func writeFile(ctx context.Context, tx pgx.Tx, file migration.File, history migration.History) error {
	body, err := encode("file "+file.Path, file)
	if err != nil {
		return err
	}
	kept, err := encode("history of "+file.Path, history)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO "segue"."file" (version, format, body, history) VALUES ($1, $2, $3, $4)
		ON CONFLICT (version) DO UPDATE SET format = $2, body = $3, history = $4, complete = NULL`, file.Version, bodyFormat, body, kept)
	return err
}

// Edited says whether a file's statements are others than they were when it was recorded, and where both are. A repeatable file may be edited at any time:
// its statements have other names when its content is another.
func Edited(before, now migration.File) (migration.Fault, bool) {
	if now.Repeatable || before.Sum == now.Sum {
		return migration.Fault{}, false
	}
	for i := range max(len(before.Statements), len(now.Statements)) {
		if i < len(before.Statements) && i < len(now.Statements) && before.Statements[i].SQL == now.Statements[i].SQL {
			continue
		}
		was, is := migration.Position{Path: before.Path}, migration.Position{Path: now.Path}
		if i < len(before.Statements) {
			was = before.Statements[i].At
		}
		if i < len(now.Statements) {
			is = now.Statements[i].At
		}
		return migration.Fault{
			At:      is,
			Message: fmt.Sprintf("statement %d of migration %s was edited after it began: recorded from %s, now at %s", i+1, now.Version, was, is),
			Hint:    "put the file back as it was, and write what you mean in a new one",
		}, true
	}
	return migration.Fault{}, false
}

// begun says whether anything of a file was run.
func begun(briefs []brief, version string) bool {
	return slices.ContainsFunc(briefs, func(b brief) bool {
		return ofVersion(b.origin, version) && b.status != migration.StatusOwed && b.status != migration.StatusCanceled
	})
}

// forget takes out what is owed of a file that is recorded anew.
func forget(ctx context.Context, tx pgx.Tx, briefs []brief, version string) error {
	for _, b := range briefs {
		if !ofVersion(b.origin, version) {
			continue
		}
		for _, statement := range []string{`DELETE FROM "segue"."action" WHERE change = $1`, `DELETE FROM "segue"."change" WHERE id = $1`} {
			if _, err := tx.Exec(ctx, statement, string(b.id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle writes the history of the files that have come to their end, in the transaction in which they do. versions nil means all.
func (l *Lease) settle(ctx context.Context, tx pgx.Tx, versions []string) error {
	files, err := readFiles(ctx, tx)
	if err != nil {
		return err
	}
	briefs, err := readBriefs(ctx, tx)
	if err != nil {
		return err
	}
	for _, version := range slices.Sorted(maps.Keys(files)) {
		row := files[version]
		if row.complete || versions != nil && !slices.Contains(versions, version) || !complete(row.file, briefs) {
			continue
		}
		if l.runner.config.History != nil {
			if err := l.runner.config.History.Applied(ctx, tx, row.file, row.history); err != nil {
				return fmt.Errorf("write history of %s: %w", row.file.Path, err)
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE "segue"."file" SET complete = now() WHERE version = $1`, version); err != nil {
			return err
		}
	}
	return nil
}

// complete says whether every statement of a file is done, or not owed any more.
func complete(file migration.File, briefs []brief) bool {
	for _, statement := range file.Statements {
		found := false
		for _, b := range briefs {
			if !slices.Contains(b.origin, statement.ID) {
				continue
			}
			found = true
			if b.status != migration.StatusDone && b.status != migration.StatusForgiven {
				return false
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// versionsOf are the files that a change stands for a part of.
func versionsOf(change migration.Change) []string {
	versions := []string{}
	for _, id := range change.Origin {
		if version := versionOf(id); !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	return versions
}

// Forgive implements migration.Lease.
func (l *Lease) Forgive(ctx context.Context, id migration.ChangeID, by, why string) error {
	err := l.once(ctx, id, func(tx pgx.Tx) error {
		state, err := readChange(ctx, tx, id)
		if err != nil {
			return err
		}
		if state.Status == migration.StatusDone || state.Status == migration.StatusForgiven {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE "segue"."change" SET status = 'forgiven', ended = now(), error = '', forgiver = $2, reason = $3 WHERE id = $1`,
			string(id), by, why); err != nil {
			return err
		}
		return l.settle(ctx, tx, versionsOf(state.Change))
	})
	return explain("forgive "+string(id), err)
}

// BrownOut implements migration.Lease.
func (l *Lease) BrownOut(ctx context.Context, id migration.ChangeID) error {
	hider := l.runner.config.Hider
	if hider == nil {
		return segue.Errorf(segue.KindUnsupported, "change %s cannot be hidden first: the applications have no roles to hide it from", id).
			WithHint("let Segue give every release a role of its own (roles: {group: ...}), or leave the brown-out away")
	}
	err := l.once(ctx, id, func(tx pgx.Tx) error {
		state, err := readChange(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case state.Hidden:
			return nil
		case state.Change.Phase != migration.PhaseContract || state.Status != migration.StatusOwed:
			return wrong("hide", id, "it is %s, and %s", state.Change.Phase, state.Status).WithHint("only a contract that has not begun can be hidden first")
		}
		restore, err := hider.Hide(ctx, tx, state.Change)
		if err != nil {
			return err
		}
		body, err := encode("restore of change "+string(id), restore)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE "segue"."change" SET hidden = now(), restore = $2 WHERE id = $1`, string(id), body)
		return err
	})
	return explain("hide "+string(id), err)
}

// Restore implements migration.Lease.
func (l *Lease) Restore(ctx context.Context, id migration.ChangeID) error {
	err := l.once(ctx, id, func(tx pgx.Tx) error {
		state, err := readChange(ctx, tx, id)
		if err != nil || !state.Hidden {
			return err
		}
		return show(ctx, tx, id)
	})
	return explain("show "+string(id), err)
}

// reveal shows what an earlier holder left hidden: its brown-out ended with it.
func (l *Lease) reveal(ctx context.Context) error {
	changes, err := readChanges(ctx, l.conn)
	if err != nil {
		return err
	}
	session := Session{Conn: l.conn, lease: l}
	for _, known := range changes {
		id := known.Change.ID
		if !known.Hidden {
			continue
		}
		if err := session.Update(ctx, func(tx pgx.Tx) error { return show(ctx, tx, id) }); err != nil {
			return explain("show "+string(id)+", which an earlier holder of the lease hid", err)
		}
	}
	return nil
}

// show gives back what was hidden.
func show(ctx context.Context, tx pgx.Tx, id migration.ChangeID) error {
	if err := giveBack(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE "segue"."change" SET hidden = NULL, restore = NULL WHERE id = $1`, string(id))
	return err
}
