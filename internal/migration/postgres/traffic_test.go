package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/testenv"
)

// rounds is how often each connection does something in each stage of a passage, at the least.
const rounds = 60

// The commonest changes, each with two releases at work: while it is made ready for the new one, side by side, after a rollback, and while what is old is
// taken away. No statement fails or waits long behind Segue, and in the end every row is what was written.
func TestTraffic(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "", "autovacuum_naptime=1s")
	for name, test := range map[string]func(*testing.T, *cluster.Cluster){
		"under kills": underKills, "beside autovacuum": besideAutovacuum, "stopped": stopped, "by position": byPosition,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
	for _, p := range slices.Concat(addedColumns(), changedColumns(), promises(), rules(), tables(), traps()) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && !p.short {
				t.Skip("long")
			}
			newJourney(newWorldOn(t, c), p).travel()
		})
	}
}

// journey is a passage under way.
type journey struct {
	*load
	passage
	driver *postgres.Driver
	lease  migration.Lease
	plan   migration.Plan
	// runner carries a change out.
	runner interface {
		run(change migration.Change) (migration.Report, error)
	}
	// said are the caveats of the plan.
	said string
	// caused is the longest wait behind Segue that the reports tell of.
	caused time.Duration
}

func newJourney(w *world, p passage) *journey {
	w.Helper()
	for _, g := range []*tongue{&p.old, &p.new} {
		if g.value[0] == nil {
			g.value = p.value
		}
	}
	w.exec(p.before...)
	w.exec("VACUUM ANALYZE")
	got, err := rowsOf(w.Context(), w.app, p.old.all, pgx.QueryExecModeExec)
	if err != nil || w.Failed() {
		w.Fatal(err)
	}
	rows := map[int64]row{}
	for _, one := range got {
		id, _ := strconv.ParseInt(one[0], 10, 64)
		r := p.blank
		copy(r[:], one[1:])
		rows[id] = r
	}
	l := &load{world: w, model: newModel(p.blank, rows), seed: rand.Uint64()}
	w.Logf("seed %d", l.seed)
	j := &journey{load: l, passage: p, driver: w.open(postgres.Config{})}
	j.runner = straight{j}
	w.Cleanup(func() {
		if j.lease != nil {
			_ = j.lease.Release(context.Background())
		}
		_ = j.driver.Close()
	})
	return j
}

// straight runs changes as they come.
type straight struct{ *journey }

func (s straight) run(change migration.Change) (migration.Report, error) {
	return s.lease.Run(s.Context(), change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) {})
}

// travel goes all the way.
func (j *journey) travel() {
	seen, stalls := j.watchWaits(), testenv.Stalls(j.T)
	old := j.start("old", j.old)
	j.prepare()
	j.carry(func(c migration.Change) bool {
		return c.Phase == migration.PhaseExpand || c.Phase == migration.PhaseBackfill
	})
	fresh := j.start("new", j.new)
	old.more()
	fresh.more()
	j.rollBack(old, fresh)
	fresh = j.start("new", j.new)
	j.carry(func(c migration.Change) bool { return c.Phase == migration.PhaseContract })
	fresh.more()
	fresh.end()
	j.audit("after the contract, the new release", j.new)
	j.ended()
	waited := seen()
	j.Logf("%d statements; the longest took %s (%s); the longest wait behind Segue: %s seen, %s reported; %d statements prepared again",
		j.sent.Load(), j.longest.Round(time.Millisecond), j.which, waited.Round(time.Millisecond), j.caused.Round(time.Millisecond), j.stale.Load())
	if j.stale.Load() > 0 && !strings.Contains(j.said, "cached plan must not change result type") {
		j.Errorf("statements had to be prepared again, and no caveat says so: %s", j.said)
	}
	if most := 2 * 2 * int64(len(j.old.also)+4); j.stale.Load() > most {
		j.Errorf("%d statements had to be prepared again, and %d were foretold at the most", j.stale.Load(), most)
	}
	if max(waited, j.caused) >= time.Second+stalls() {
		j.Errorf("a statement of the application waited %s behind Segue", max(waited, j.caused))
	}
}

// rollBack takes the new release away, and gives the old one everything back.
func (j *journey) rollBack(old, fresh *crew) {
	old.end()
	fresh.end()
	j.audit("side by side, the old release", j.old)
	j.audit("side by side, the new release", j.new)
	old = j.start("old", j.old)
	old.more()
	old.end()
	j.audit("rolled back, the old release", j.old)
	j.audit("rolled back, the new release", j.new)
}

// prepare plans and records.
func (j *journey) prepare() {
	j.Helper()
	var err error
	j.plan, err = j.driver.Plan(j.Context(), migration.PlanRequest{Files: j.files, Release: "v2", Running: []segue.ReleaseName{"v1"}})
	if err != nil || len(j.plan.Faults) > 0 {
		j.Fatalf("%v, %s", err, faultsOf(j.plan.Faults))
	}
	if got, want := short(j.plan), strings.TrimSpace(strings.ReplaceAll(j.passage.plan, "\t", "")); got != want {
		j.Errorf("planned:\n%s\nwant:\n%s", got, want)
	}
	for _, change := range j.plan.Changes {
		j.said += strings.Join(change.Caveats, "\n") + "\n"
	}
	for _, want := range j.caveats {
		if !strings.Contains(j.said, want) {
			j.Errorf("no caveat says %q:\n%s", want, j.said)
		}
	}
	if j.lease, err = j.driver.Lease(context.WithoutCancel(j.Context()), "test"); err != nil {
		j.Fatal(err)
	}
	if err := j.lease.Record(j.Context(), "v2", j.plan); err != nil {
		j.Fatal(err)
	}
}

// short is a plan in a line per change.
func short(plan migration.Plan) string {
	var lines []string
	for _, change := range plan.Changes {
		lines = append(lines, fmt.Sprintf("%s %s", change.Phase, change.Title))
	}
	return strings.Join(lines, "\n")
}

// carry carries changes out, in order.
func (j *journey) carry(which func(migration.Change) bool) {
	j.Helper()
	for _, change := range j.plan.Changes {
		if !which(change) {
			continue
		}
		report, err := j.runner.run(change)
		if err != nil {
			j.Errorf("run %s: %v (%s)", change.Title, err, segue.HintOf(err))
			return
		}
		j.caused = max(j.caused, report.Caused)
	}
}

// ended looks at what the contract leaves.
func (j *journey) ended() {
	j.Helper()
	for _, query := range j.holds {
		if got := j.get(query); got != "0" {
			j.Errorf("%s: %s", query, got)
		}
	}
	for statement, code := range j.refused {
		_, err := j.app.Exec(j.Context(), statement)
		failure, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || failure.Code != code {
			j.Errorf("of the old release, %s: %v, want %s", statement, err, code)
		}
	}
	if got := j.get(`SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal`); got != "0" {
		j.Errorf("%s triggers are left", got)
	}
	if got := j.get(`SELECT count(*) FROM pg_index WHERE NOT indisvalid`); got != "0" {
		j.Errorf("%s indexes are invalid", got)
	}
	again, err := j.driver.Plan(j.Context(), migration.PlanRequest{Files: j.files, Release: "v2"})
	if err != nil || len(again.Changes)+len(again.Faults) > 0 {
		j.Errorf("planned again: %s %s, %v", short(again), faultsOf(again.Faults), err)
	}
}
