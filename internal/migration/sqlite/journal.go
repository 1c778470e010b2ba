package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// tables are Segue's own in the database. Times are Unix nanoseconds, 0 for none. They are not STRICT, and use nothing else that is new: an application
// with an older SQLite has to read a schema that they are part of.
const tables = `
CREATE TABLE IF NOT EXISTS segue_lease (
	id INTEGER PRIMARY KEY CHECK (id = 1), token INTEGER NOT NULL, holder TEXT NOT NULL, since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS segue_change (
	seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, release TEXT NOT NULL, status TEXT NOT NULL, recorded INTEGER NOT NULL,
	began INTEGER NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0, report TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '',
	forgiver TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS segue_backfill (
	change TEXT PRIMARY KEY, cursor TEXT NOT NULL, pass INTEGER NOT NULL, rows INTEGER NOT NULL, changed INTEGER NOT NULL, total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS segue_folder (id INTEGER PRIMARY KEY CHECK (id = 1), versions TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segue_file (
	version TEXT PRIMARY KEY, body TEXT NOT NULL, history TEXT NOT NULL, complete INTEGER NOT NULL DEFAULT 0);
`

// fileRow is what is kept of a file of the team's, so that the history table can be kept truthful and an edit be told.
type fileRow struct {
	File    migration.File    `json:"file"`
	History migration.History `json:"history"`
	// complete says that its history is written.
	complete bool
}

// hasJournal says whether the tables are there.
func hasJournal(ctx context.Context, q querier) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'segue_file'").Scan(&n)
	return n > 0, err
}

const selectChange = `SELECT id, body, release, status, recorded, began, ended, report, error, forgiver, reason,
	coalesce(b.rows, 0), coalesce(b.total, 0), coalesce(b.changed, 0)
	FROM segue_change c LEFT JOIN segue_backfill b ON b.change = c.id`

// readChanges reads the journal, in the order in which changes were recorded.
func readChanges(ctx context.Context, q querier) ([]migration.ChangeState, error) {
	if there, err := hasJournal(ctx, q); err != nil || !there {
		return nil, err
	}
	return collect(ctx, q, scanChange, selectChange+" ORDER BY seq")
}

func scanChange(row scanner) (migration.ChangeState, error) {
	var s migration.ChangeState
	var id, body, report string
	var recorded, began, ended int64
	var progress migration.Progress
	err := row.Scan(&id, &body, &s.Release, &s.Status, &recorded, &began, &ended, &report, &s.Error, &s.By, &s.Why,
		&progress.Done, &progress.Total, &progress.Changed)
	if err != nil {
		return s, err
	}
	s.Recorded, s.Began, s.Ended = at(recorded), at(began), at(ended)
	if err := json.Unmarshal([]byte(body), &s.Change); err != nil {
		return s, segue.Errorf(segue.KindCorrupt, "read change %s: %w", id, err)
	}
	if s.Status == migration.StatusDone {
		s.Report = &migration.Report{}
		if err := json.Unmarshal([]byte(report), s.Report); err != nil {
			return s, segue.Errorf(segue.KindCorrupt, "read report of change %s: %w", id, err)
		}
	}
	if progress != (migration.Progress{}) {
		s.Progress, s.Progress.ID, s.Progress.Actions = progress, s.Change.ID, len(s.Change.Actions)
	}
	return s, nil
}

// readChange reads one; KindNotFound when it was never recorded.
func readChange(ctx context.Context, q querier, id migration.ChangeID) (migration.ChangeState, error) {
	state, err := scanChange(q.QueryRowContext(ctx, selectChange+" WHERE id = ?", string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return state, segue.Errorf(segue.KindNotFound, "change %s is not recorded in the database", id).WithHint("record the plan first")
	}
	return state, err
}

// recordChange writes a change down unless it is there; one that was taken back is owed again.
func recordChange(ctx context.Context, tx *sql.Conn, release segue.ReleaseName, change migration.Change, now time.Time) error {
	body, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("write change %s: %w", change.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO segue_change (id, body, release, status, recorded) VALUES (?1, ?2, ?3, 'owed', ?4)
		ON CONFLICT (id) DO UPDATE SET body = ?2, release = ?3, status = 'owed', recorded = ?4, began = 0, ended = 0, error = '' WHERE status = 'canceled'`,
		string(change.ID), string(body), string(release), now.UnixNano())
	return err
}

// readFiles reads what was recorded of files, by version.
func readFiles(ctx context.Context, q querier) (map[string]fileRow, error) {
	if there, err := hasJournal(ctx, q); err != nil || !there {
		return nil, err
	}
	rows, err := collect(ctx, q, readFile, "SELECT body, history, complete FROM segue_file")
	files := make(map[string]fileRow, len(rows))
	for _, row := range rows {
		files[row.File.Version] = row
	}
	return files, err
}

func readFile(row scanner) (f fileRow, err error) {
	var body, history string
	if err := row.Scan(&body, &history, &f.complete); err != nil {
		return f, err
	}
	if err := errors.Join(json.Unmarshal([]byte(body), &f.File), json.Unmarshal([]byte(history), &f.History)); err != nil {
		return f, segue.Errorf(segue.KindCorrupt, "read a file from the journal: %w", err)
	}
	return f, nil
}

// State implements migration.Driver.
func (d *Driver) State(ctx context.Context) (state migration.State, err error) {
	if state.Server, err = d.Inspect(ctx); err != nil {
		return state, err
	}
	if state.Changes, err = readChanges(ctx, d.read); err != nil {
		return state, d.explain("read state", err)
	}
	if there, err := hasJournal(ctx, d.read); err != nil || !there || !d.locked() {
		return state, d.explain("read state", err)
	}
	holder, since, err := readHolder(ctx, d.read)
	if err != nil {
		return state, d.explain("read state", err)
	}
	state.Holder, state.Since = holder, since
	return state, nil
}

func readHolder(ctx context.Context, q querier) (holder string, since time.Time, err error) {
	var nanos int64
	err = q.QueryRowContext(ctx, "SELECT holder, since FROM segue_lease").Scan(&holder, &nanos)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return holder, at(nanos), err
}

// ofVersion says whether a change stands for a statement of a file.
func ofVersion(change migration.Change, version string) bool {
	return slices.ContainsFunc(change.Origin, func(id migration.StatementID) bool { return versionOf(id) == version })
}

// versionOf is the file's part of a statement's name.
func versionOf(id migration.StatementID) string {
	text := string(id)
	if i := strings.LastIndexByte(text, '#'); i >= 0 {
		return text[:i]
	}
	return text
}

func at(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
