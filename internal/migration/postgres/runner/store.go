package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// bodyFormat is that of the JSON in changes and files. A body of a higher one was written by a newer Segue, and may mean what this one does not know.
const bodyFormat = 1

const selectChange = `SELECT id, format, body, release, status, recorded, began, ended, error, progress, report, hidden, forgiver, reason FROM "segue"."change"`

// readChanges reads the journal, in the order in which changes were recorded.
func readChanges(ctx context.Context, q querier) ([]migration.ChangeState, error) {
	rows, err := q.Query(ctx, selectChange+" ORDER BY seq")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanChange)
}

// readChange reads one, and keeps it from others until the end of the transaction; KindNotFound when it was never recorded.
func readChange(ctx context.Context, q querier, id migration.ChangeID) (migration.ChangeState, error) {
	rows, err := q.Query(ctx, selectChange+" WHERE id = $1 FOR UPDATE", string(id))
	if err != nil {
		return migration.ChangeState{}, err
	}
	state, err := pgx.CollectExactlyOneRow(rows, scanChange)
	if errors.Is(err, pgx.ErrNoRows) {
		return state, segue.Errorf(segue.KindNotFound, "change %s is not recorded in the database", id).WithHint("record the plan first")
	}
	return state, err
}

func scanChange(row pgx.CollectableRow) (migration.ChangeState, error) {
	var s migration.ChangeState
	var id, release, status string
	var format int
	var body, progress, report []byte
	var began, ended, hidden *time.Time
	err := row.Scan(&id, &format, &body, &release, &status, &s.Recorded, &began, &ended, &s.Error, &progress, &report, &hidden, &s.By, &s.Why)
	if err != nil {
		return s, err
	}
	if err := decode("change "+id, format, body, &s.Change); err != nil {
		return s, err
	}
	s.Release, s.Status, s.Recorded = segue.ReleaseName(release), migration.Status(status), s.Recorded.UTC()
	s.Began, s.Ended, s.Since, s.Hidden = at(began), at(ended), at(hidden), hidden != nil
	if progress != nil {
		if err := decode("progress of change "+id, format, progress, &s.Progress); err != nil {
			return s, err
		}
	}
	if report != nil {
		s.Report = &migration.Report{}
		return s, decode("report of change "+id, format, report, s.Report)
	}
	return s, nil
}

// decode reads a body of the journal.
func decode(what string, format int, body []byte, into any) error {
	if format > bodyFormat {
		return segue.Errorf(segue.KindUnsupported, "read %s: it has format %d, and this Segue knows up to %d", what, format, bodyFormat).
			WithHint("a newer Segue has worked on this database: use that one, or a newer one still")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return segue.Errorf(segue.KindCorrupt, "read %s: %w", what, err)
	}
	return nil
}

func encode(what string, from any) (string, error) {
	body, err := json.Marshal(from)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", what, err)
	}
	return string(body), nil
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// writeChange writes a change down as owed, in place of what is there.
func writeChange(ctx context.Context, tx pgx.Tx, release segue.ReleaseName, change migration.Change) error {
	body, err := encode("change "+string(change.ID), change)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM "segue"."action" WHERE change = $1`, string(change.ID)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO "segue"."change" (id, phase, release, format, body, status, recorded) VALUES ($1, $2, $3, $4, $5, 'owed', now())
		ON CONFLICT (id) DO UPDATE SET phase = $2, release = $3, format = $4, body = $5, status = 'owed', recorded = now(), began = NULL, ended = NULL,
			error = '', progress = NULL, report = NULL, hidden = NULL, restore = NULL, forgiver = '', reason = ''`,
		string(change.ID), string(change.Phase), string(release), bodyFormat, body)
	return err
}

// brief is what has to be known of a change to tell how far a file is.
type brief struct {
	id     migration.ChangeID
	status migration.Status
	origin []migration.StatementID
}

func readBriefs(ctx context.Context, q querier) ([]brief, error) {
	rows, err := q.Query(ctx, `SELECT id, status, coalesce(body->'origin', '[]') FROM "segue"."change" ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b brief, err error) {
		var origin []byte
		if err := row.Scan(&b.id, &b.status, &origin); err != nil {
			return b, err
		}
		// An origin that cannot be read belongs to a body that cannot be, and that is said where it is needed.
		_ = json.Unmarshal(origin, &b.origin)
		return b, nil
	})
}

// fileRow is what is kept of a file of the team's, so that the history table can be kept truthful and an edit be told.
type fileRow struct {
	file     migration.File
	history  migration.History
	complete bool
}

func readFiles(ctx context.Context, q querier) (map[string]fileRow, error) {
	rows, err := q.Query(ctx, `SELECT version, format, body, history, complete IS NOT NULL FROM "segue"."file"`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	files := map[string]fileRow{}
	for rows.Next() {
		var version string
		var format int
		var body, history []byte
		var row fileRow
		if err := rows.Scan(&version, &format, &body, &history, &row.complete); err != nil {
			return nil, err
		}
		if err := errors.Join(decode("file "+version, format, body, &row.file), decode("history of file "+version, format, history, &row.history)); err != nil {
			return nil, err
		}
		files[version] = row
	}
	return files, rows.Err()
}

// entry is the journal's line of an action.
type entry struct {
	sum  string
	done bool
	cost migration.Report
}

func readActions(ctx context.Context, q querier, id migration.ChangeID) (map[int]entry, error) {
	rows, err := q.Query(ctx, `SELECT ordinal, sum, done IS NOT NULL, cost FROM "segue"."action" WHERE change = $1`, string(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	entries := map[int]entry{}
	for rows.Next() {
		var ordinal int
		var e entry
		var cost []byte
		if err := rows.Scan(&ordinal, &e.sum, &e.done, &cost); err != nil {
			return nil, err
		}
		if cost != nil {
			if err := decode("cost of change "+string(id), bodyFormat, cost, &e.cost); err != nil {
				return nil, err
			}
		}
		entries[ordinal] = e
	}
	return entries, rows.Err()
}

// sumOf tells a statement from another.
func sumOf(statement string) string {
	sum := sha256.Sum256([]byte(statement))
	return hex.EncodeToString(sum[:])
}

// OfVersion says whether a change stands for a statement of a file.
func OfVersion(change migration.Change, version string) bool {
	return ofVersion(change.Origin, version)
}

// Folder gives the files of the team's folder as it was last recorded, by their versions alone, in order, and which of them are done whole.
func Folder(ctx context.Context, tx pgx.Tx) (folder []migration.File, complete []string, err error) {
	var text []byte
	if err := tx.QueryRow(ctx, `SELECT versions FROM "segue"."folder"`).Scan(&text); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, err
	}
	var versions []string
	if text != nil {
		if err := decode("the folder's files", bodyFormat, text, &versions); err != nil {
			return nil, nil, err
		}
	}
	for _, version := range versions {
		folder = append(folder, migration.File{Version: version})
	}
	rows, err := tx.Query(ctx, `SELECT version FROM "segue"."file" WHERE complete IS NOT NULL ORDER BY version`)
	if err != nil {
		return nil, nil, err
	}
	complete, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return folder, complete, err
}

func writeFolder(ctx context.Context, tx pgx.Tx, versions []string) error {
	if len(versions) == 0 {
		return nil
	}
	text, err := encode("the folder's files", versions)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO "segue"."folder" (versions) VALUES ($1) ON CONFLICT (one) DO UPDATE SET versions = $1`, text)
	return err
}

// ofVersion says whether a change stands for a statement of a file.
func ofVersion(origin []migration.StatementID, version string) bool {
	return slices.ContainsFunc(origin, func(id migration.StatementID) bool { return versionOf(id) == version })
}

// versionOf is the file's part of a statement's name.
func versionOf(id migration.StatementID) string {
	text := string(id)
	if i := strings.LastIndexByte(text, '#'); i >= 0 {
		return text[:i]
	}
	return text
}
