package oracle

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRefusalSaysItsLine(t *testing.T) {
	t.Parallel()
	const sql = "CREATE TABLE é (\n  id int,\n  nam text,,\n  x int\n)"
	for position, want := range map[int32]string{0: "", 1: "", 17: "", 18: ", in line 2 of it", 38: ", in line 3 of it", 1000: ""} {
		if got := (refusal{&pgconn.PgError{Position: position}}).line(sql); got != want {
			t.Errorf("at character %d: %q, want %q", position, got, want)
		}
	}
}
