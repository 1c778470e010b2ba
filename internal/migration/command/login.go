package command

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Login is how a runner reaches a PostgreSQL server. It goes to the program by its environment alone.
type Login struct {
	// URL is put into Variable, DATABASE_URL where that is "". It is a secret.
	URL, Variable string
	// Application is the application_name by which Watch knows the program's sessions.
	Application string
	// Lock and Statement are the lock_timeout and statement_timeout that sessions begin with; 0 leaves the server's own.
	Lock, Statement time.Duration
}

// Environ gives an environment with the login in it. Programs that read libpq's variables (psycopg, the pg gem, Diesel, sqlx) begin their sessions with
// its settings; what a program sets itself, or names in its URL, is stronger.
func (l Login) Environ(base []string) []string {
	var options []string
	base = slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		if name == "PGOPTIONS" && value != "" {
			options = append(options, value)
		}
		return name == "PGOPTIONS" || name == "PGAPPNAME" && l.Application != "" || name == l.variable()
	})
	option := func(name, value string) {
		options = append(options, "-c "+name+"="+strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(value))
	}
	if l.Lock > 0 {
		option("lock_timeout", milliseconds(l.Lock))
	}
	if l.Statement > 0 {
		option("statement_timeout", milliseconds(l.Statement))
	}
	if l.Application != "" {
		option("application_name", l.Application)
		base = append(base, "PGAPPNAME="+l.Application)
	}
	if len(options) > 0 {
		base = append(base, "PGOPTIONS="+strings.Join(options, " "))
	}
	return append(base, l.variable()+"="+l.URL)
}

func (l Login) variable() string { return cmp.Or(l.Variable, "DATABASE_URL") }

// String holds no secret.
func (l Login) String() string { return fmt.Sprintf("login as %s", l.Application) }

// milliseconds is at least one: 0 would mean for ever.
func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
