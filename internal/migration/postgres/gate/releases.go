package gate

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// ownTriggers begins the names of the triggers that Segue makes.
const ownTriggers = "segue_"

// older says whether a release is from before the one that brought the change.
func (a *asking) older(p migration.Presence) bool {
	for _, other := range a.request.Releases {
		if other.Release == a.request.Brought {
			return p.Order < other.Order
		}
	}
	return p.Release != a.request.Brought
}

// presence finds a release in the ledger.
func (a *asking) presence(name segue.ReleaseName) (p migration.Presence, known bool) {
	for _, p := range a.request.Releases {
		if p.Release == name {
			return p, true
		}
	}
	return p, false
}

// alive says whether a release runs or may come back.
func (a *asking) alive(p migration.Presence) bool {
	return len(p.Running) > 0 || p.Until.After(a.request.Now)
}

// how says in words that a release is there.
func how(p migration.Presence) string {
	if n := len(p.Running); n > 0 {
		return fmt.Sprintf("%s runs on %d servers", p.Release, n)
	}
	return fmt.Sprintf("%s can be rolled back to", p.Release)
}

// releases looks at the ledger: who is there at all, and who would miss what no statement names. What the others need, their statements tell.
func (a *asking) releases(context.Context) error {
	if len(a.request.Releases) == 0 {
		a.ground(checkReleases, migration.AnswerUnknown, "no release is known")
		return nil
	}
	clear := true
	for _, p := range a.request.Releases {
		if !a.older(p) {
			continue
		}
		a.ended = latest(a.ended, p.Ended)
		if a.alive(p) {
			a.active, clear = true, false
			a.unseen(p)
			continue
		}
		if free := p.Ended.Add(a.request.Change.Wait); !p.Ended.IsZero() && free.After(a.request.Now) {
			clear = false
			ended := a.request.Now.Sub(p.Ended).Round(time.Second)
			ground := a.ground(checkReleases, migration.AnswerUnsafe, "%s ended %s ago, and %s are to pass", p.Release, ended, a.request.Change.Wait)
			ground.Release, ground.Until = p.Release, free
		}
	}
	if clear {
		a.ground(checkReleases, migration.AnswerSafe, "no release from before %s runs or can come back", cmp.Or(a.request.Brought, "it"))
	}
	return nil
}

// unseen says what an older release that is there would miss, and no statement of it would show.
func (a *asking) unseen(p migration.Presence) {
	for _, o := range a.request.Change.Removes {
		answer := migration.AnswerUnknown
		switch o.Kind {
		case migration.ObjectTrigger:
			answer = migration.AnswerUnsafe
		case migration.ObjectOther:
		case migration.ObjectTable, migration.ObjectColumn, migration.ObjectIndex, migration.ObjectConstraint, migration.ObjectView, migration.ObjectType,
			migration.ObjectFunction, migration.ObjectDefault, migration.ObjectWrite:
			continue
		}
		ground := a.ground(checkReleases, answer, "%s, and may count on %s, which no statement names", how(p), o)
		ground.Release = p.Release
		if len(p.Running) == 0 {
			ground.Until = p.Until
		}
	}
}

// present says of each release that is there what its statements come to.
func (a *asking) present() {
	for _, p := range a.request.Releases {
		if !a.alive(p) {
			continue
		}
		count := a.counts[p.Release]
		switch {
		case count.bad > 0: // each is a ground of its own
		case count.fine > 0 && (count.recorded || a.covers(p)):
			a.ground(checkStatements, migration.AnswerSafe, "%s, and its %d statements work without it", how(p), count.fine).Release = p.Release
		case !a.older(p) && ownOnly(a.request.Change.Removes):
			a.ground(checkStatements, migration.AnswerSafe, "%s does without Segue's triggers", p.Release).Release = p.Release
		case p.Role == "" && a.covers(p) && a.counts[""].counted > 0:
			a.ground(checkStatements, migration.AnswerSafe, "%s, and is among those whose statements were counted without a name", how(p)).Release = p.Release
		default:
			text := "no statement of it is known that could be tried"
			if count.fine > 0 || p.Role == "" && a.counts[""].counted > 0 {
				text = "statements were not counted for long enough while it ran"
			}
			ground := a.ground(checkStatements, migration.AnswerUnknown, "%s, and %s", how(p), text)
			ground.Release = p.Release
			if len(p.Running) == 0 {
				ground.Until = p.Until
			}
		}
	}
}

// covers says whether the server counted statements for long enough while a release ran.
func (a *asking) covers(p migration.Presence) bool {
	if a.watched.IsZero() {
		return false
	}
	until := a.request.Now
	if len(p.Running) == 0 {
		until = p.Ended
	}
	return !a.watched.Add(a.window()).After(until)
}

// ownOnly says whether only triggers of Segue's own go, which are there for older releases.
func ownOnly(removes []migration.Object) bool {
	for _, o := range removes {
		if o.Kind != migration.ObjectTrigger || !strings.HasPrefix(o.Name, ownTriggers) {
			return false
		}
	}
	return len(removes) > 0
}

// sessions looks for connections of older releases that the ledger does not account for.
func (a *asking) sessions(ctx context.Context) error {
	asked, strangers := 0, 0
	for _, p := range a.request.Releases {
		if p.Role == "" || !a.older(p) || len(p.Running) > 0 {
			continue
		}
		var sessions int
		const query = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()"
		if err := a.config.Server.Pool().QueryRow(ctx, query, p.Role).Scan(&sessions); err != nil {
			return server.Explain("look for sessions", err)
		}
		asked++
		if sessions > 0 {
			strangers++
			a.ground(checkSessions, migration.AnswerUnsafe, "%d sessions are logged in with the role of %s, which does not run", sessions, p.Release).Release = p.Release
		}
	}
	if asked > 0 && strangers == 0 {
		a.ground(checkSessions, migration.AnswerSafe, "no session is logged in with the role of an older release")
	}
	return nil
}
