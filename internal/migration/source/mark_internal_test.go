package source

import "testing"

func TestForeignMarks(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"-- +migrate Up":                        true, // sql-migrate
		"-- +migrate Down\r\n":                  true,
		"--+goose Down":                         true,
		"-- migrate:down":                       true,
		"-- rambler down":                       true,
		"--//@UNDO":                             true, // MyBatis
		"-- //@UNDO":                            true,
		"-- @UNDO":                              true,
		"-- Down Migration":                     true, // node-pg-migrate
		"-- Up Migration":                       true,
		"# --- !Downs":                          true, // Play
		"-- !Downs":                             true,
		"-- Down":                               true,
		"-- DOWN:":                              true,
		"--- rollback ---":                      true,
		"-- what goes up must come down":        false,
		"-- rollback is not possible from here": false,
		"-- slows down":                         false,
		"-- undo the mess of 0003":              false,
		"-- segue: phase=contract":              false,
		"-- ------------------------":           false,
		"-- mail to down@example.org":           false,
		"SELECT 1 -- down":                      false,
		"-- @see https://example.org":           false,
		"-- @author maria":                      false,
		"-- +1 from maria":                      false,
		"-- @deprecated":                        false,
		"-- up":                                 false,
	} {
		if got := foreignMark.MatchString(line); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}
