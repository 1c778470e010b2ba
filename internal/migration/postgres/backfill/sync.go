package backfill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// Side is the setting with which a session says which form of rows it knows: "old" or "new". It is set for a release's role
// (ALTER ROLE app_r41 SET segue.side = 'old'), or by the application itself. Without it, what is written tells.
const Side = "segue.side"

// sideBackfill is the setting of a backfill's own writes, which the triggers let pass.
const sideBackfill = "backfill"

// syncer writes the trigger of a sync.
type syncer struct {
	sync  migration.Sync
	table Table
	// forward and reverse are the columns that are computed; before and after all that tell a write of the old form from one of the new.
	forward, reverse, before, after []Column
}

// SyncSQL gives the statements that create and drop what keeps two forms of a table's rows in step: a trigger, and a function of the same name in
// Segue's schema. It is a BEFORE trigger that changes the row at hand and sends no statement, so that nothing can answer itself; it runs before NOT NULL
// is checked.
//
// The server itself reads the expressions, as SELECT list over the row, and so they mean what they mean in an UPDATE; that costs about 1.5 µs a row more
// than rewritten ones would. Names are looked up as they are in the session that creates the trigger, whoever writes.
//
// What was written tells who wrote. Of an UPDATE: the form that changed counts, and when both did the writer knows both. Of an INSERT: new columns that
// are empty or at their default are an older release's; otherwise old columns that are empty or at their default are a newer one's; otherwise the writer
// knows both. The setting Side decides where that is wrong: for a new release that inserts nothing but NULLs.
//
// A failing way forward, such as a text that is no number, must not fail the old release: the new form is left empty, the server's log has a line, and
// whoever counts violators finds the row. That costs 0.4 µs a row. A failing way back fails the statement: the new release wrote what the old one
// cannot read.
//
// With session_replication_role = replica, and so for a logical replication's worker, the trigger does not run: what arrives so must have both forms.
// The server fires triggers of a kind by name, and one that changes what Forward reads must come first.
func SyncSQL(sync migration.Sync, table Table) (create, drop []string, err error) {
	s := syncer{sync: sync, table: table}
	if s.forward, err = table.columns(targets(sync.Forward)); err != nil {
		return nil, nil, err
	}
	if s.reverse, err = table.columns(targets(sync.Reverse)); err != nil {
		return nil, nil, err
	}
	if s.after, err = table.columns(joined(sync.New, targets(sync.Forward))); err != nil {
		return nil, nil, err
	}
	old := slices.DeleteFunc(joined(sync.Old, targets(sync.Reverse)), func(name string) bool {
		return slices.ContainsFunc(s.after, func(c Column) bool { return c.Name == name })
	})
	if s.before, err = table.columns(old); err != nil {
		return nil, nil, err
	}
	body, err := s.body()
	if err != nil {
		return nil, nil, err
	}
	tag := "$segue$"
	for i := 0; strings.Contains(body, tag); i++ {
		tag = fmt.Sprintf("$segue%d$", i)
	}
	function := quote(Schema) + "." + quote(sync.Name) + "()"
	create = []string{
		"CREATE OR REPLACE FUNCTION " + function + " RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS " + tag + body + tag,
		fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW WHEN (current_setting('%s', true) IS DISTINCT FROM '%s') EXECUTE FUNCTION %s",
			quote(sync.Name), table.sql(), Side, sideBackfill, function),
	}
	drop = []string{
		"DROP TRIGGER IF EXISTS " + quote(sync.Name) + " ON " + table.sql(),
		"DROP FUNCTION IF EXISTS " + function,
	}
	return create, drop, nil
}

// joined gives all names once.
func joined(lists ...[]string) []string {
	names := slices.Concat(lists...)
	slices.Sort(names)
	return slices.Compact(names)
}

func (s syncer) body() (string, error) {
	differs, err := s.table.differs(s.sync.Reverse, "")
	if err != nil {
		return "", err
	}
	reverse := "NULL;"
	if len(s.reverse) > 0 {
		reverse = s.fill(differs) + s.compute(s.sync.Reverse, "NEW")
	}
	return `
#variable_conflict use_column
DECLARE
	segue_side CONSTANT text := coalesce(current_setting('` + Side + `', true), '');
	segue_old boolean;
	segue_new boolean;
BEGIN
	IF TG_OP = 'INSERT' THEN
		segue_old := segue_side = 'old' OR segue_side <> 'new' AND ` + untouched(s.forward, "NEW") + `;
		segue_new := segue_side = 'new' OR ` + absent(s.reverse) + `;
	ELSE
		` + s.update(differs) + `
	END IF;
	IF segue_old THEN
		` + s.advance() + `
	ELSIF segue_new THEN
		` + reverse + `
	END IF;
	RETURN NEW;
END
`, nil
}

// update tells who wrote an UPDATE. One that changed neither form gives a row its new form when it has none yet.
func (s syncer) update(differs string) string {
	return `segue_old := ` + changed(s.before) + `;
		segue_new := ` + changed(s.after) + `;
		IF segue_old AND segue_new THEN
			segue_old := segue_side = 'old';
			segue_new := segue_side = 'new';
		ELSIF NOT segue_old AND NOT segue_new AND ` + untouched(s.forward, "NEW") + ` THEN
			segue_old := ` + s.unfilled("NEW", differs) + `;
		END IF;`
}

// unfilled is the condition that an untouched row is not one whose new form was emptied on purpose: the old form says otherwise.
func (s syncer) unfilled(row, differs string) string {
	if len(s.reverse) == 0 {
		return "true"
	}
	return "(SELECT " + differs + " FROM (SELECT " + row + ".*) AS " + quote(s.table.Name) + ")"
}

// advance computes the new form from the old one.
func (s syncer) advance() string {
	empty := make([]string, len(s.forward))
	for i, c := range s.forward {
		value := "NULL"
		if c.Default != "" && c.steady() {
			value = c.Default
		}
		empty[i] = "NEW." + quote(c.Name) + " := " + value + ";"
	}
	return `BEGIN
			` + s.compute(s.sync.Forward, "NEW") + `
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'segue: % leaves the new form of a row of % empty: it cannot be computed from the old one (SQLSTATE %)', TG_NAME, TG_TABLE_NAME, SQLSTATE;
			` + strings.Join(empty, " ") + `
		END;`
}

// fill completes a row that has no new form yet when the new release writes a part of it: otherwise the way back would take the rest as empty.
func (s syncer) fill(differs string) string {
	if len(s.forward) < 2 {
		return ""
	}
	filled := make([]migration.Assignment, len(s.sync.Forward))
	for i, a := range s.sync.Forward {
		c := s.forward[slices.IndexFunc(s.forward, func(c Column) bool { return c.Name == a.Column })]
		filled[i] = migration.Assignment{
			Column: a.Column, Expr: "CASE WHEN " + c.of("NEW") + " IS DISTINCT FROM " + c.of("OLD") + " THEN NEW." + quote(c.Name) + " ELSE " + c.cast(a.Expr) + " END",
		}
	}
	return `IF TG_OP = 'UPDATE' AND ` + untouched(s.forward, "OLD") + ` THEN
			BEGIN
				IF ` + s.unfilled("OLD", differs) + ` THEN
					` + s.compute(filled, "OLD") + `
				END IF;
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END IF;
		`
}

// compute assigns expressions over a row, OLD or NEW, to NEW. All of them see the row as it was before.
func (s syncer) compute(set []migration.Assignment, row string) string {
	values, into := make([]string, len(set)), make([]string, len(set))
	for i, a := range set {
		values[i], into[i] = grouped(a.Expr), "NEW."+quote(a.Column)
	}
	return fmt.Sprintf("SELECT %s INTO %s FROM (SELECT %s.*) AS %s;", strings.Join(values, ", "), strings.Join(into, ", "), row, quote(s.table.Name))
}
