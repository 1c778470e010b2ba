package migrationtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// backfillResumes ends a backfill before each of its batches in turn: what was done is not done again.
func backfillResumes(b *bench) {
	lease := b.lease("one")
	fill := b.fill(lease)
	var last int64
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(b.Context())
		asked := 0
		report, err := lease.Run(ctx, fill.ID, migration.RunOptions{Budget: 1, Hold: func() string {
			// One batch, and then the end.
			if asked++; asked > 1 {
				cancel()
			}
			return ""
		}}, func(migration.Progress) {})
		cancel()
		progress := b.status(fill.ID).Progress
		if err == nil {
			if report.Violators != 0 {
				b.Errorf("report: %+v", report)
			}
			break
		}
		b.brokenOff(err)
		if progress.Done < last || n > 1000 {
			b.Fatalf("run %d: %d rows are done, %d were", n, progress.Done, last)
		}
		last = progress.Done
	}
	b.wantStatus(fill.ID, migration.StatusDone)
	b.want(notFilled, "0")
}

func backfillIsHeld(b *bench) {
	lease := b.lease("one")
	fill := b.fill(lease)
	var held, told atomic.Bool
	held.Store(true)
	_, err := lease.Run(b.Context(), fill.ID, migration.RunOptions{Budget: 1, Hold: func() string {
		if held.Load() {
			return "a rollout is under way"
		}
		return ""
	}}, func(p migration.Progress) {
		if strings.Contains(p.Waiting, "a rollout is under way") {
			if p.Done > 0 {
				b.Errorf("%d rows are done while it is held", p.Done)
			}
			told.Store(true)
			held.Store(false)
		}
	})
	if err != nil || !told.Load() {
		b.Errorf("held backfill: %v, told so: %t", err, told.Load())
	}
	b.want(notFilled, "0")
}

func backfillIsCanceled(b *bench) {
	lease := b.lease("one")
	fill := b.fill(lease)
	ctx, cancel := context.WithCancel(b.Context())
	_, err := lease.Run(ctx, fill.ID, migration.RunOptions{Budget: 1, Hold: func() string { cancel(); return "" }}, func(migration.Progress) {})
	b.brokenOff(err)
	if err := lease.Cancel(b.Context(), fill.ID); err != nil {
		b.Fatal(err)
	}
	if err := lease.Cancel(b.Context(), fill.ID); err != nil {
		b.Errorf("canceled twice: %v", err)
	}
	b.wantStatus(fill.ID, migration.StatusCanceled)
	b.exec("INSERT INTO customers (id, name, email) VALUES (100000, 'Old', 'OLD')")
	b.want("SELECT count(*) FROM customers WHERE id = 100000 AND mail IS NULL", "1")
	_, err = lease.Run(b.Context(), fill.ID, migration.RunOptions{}, func(migration.Progress) {})
	b.wantKind(err, segue.KindConflict)

	plan := b.sound(moves())
	if _, offered := plan.Change(fill.ID); !offered {
		b.Fatalf("it is not planned again: %v", ids(plan.Changes))
	}
	b.record(lease, plan)
	b.wantStatus(fill.ID, migration.StatusOwed)
	b.run(lease, fill.ID)
	b.want(notFilled, "0")
	b.wantKind(lease.Cancel(b.Context(), fill.ID), segue.KindRefused)
}

// bothReleasesWrite has the old and the new release write rows while a backfill runs, and after it: each reads what the other wrote.
func bothReleasesWrite(b *bench) {
	if b.Exec == nil {
		b.Skip("no SQL is run")
	}
	lease := b.lease("one")
	fill := b.fill(lease)
	var writers sync.WaitGroup
	begin, stop := make(chan struct{}), make(chan struct{})
	write := func(form string) {
		<-begin
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for statement := range strings.SplitSeq(form, ";") {
				statement = strings.NewReplacer("$id", fmt.Sprint(i*37%3000+1), "$new", fmt.Sprint(i), "$value", fmt.Sprintf("W%d", i)).Replace(statement)
				if err := b.Exec(b.Context(), statement); err != nil {
					b.Errorf("%s: %v", statement, err)
					return
				}
			}
		}
	}
	writers.Go(func() {
		write("UPDATE customers SET email = '$value' WHERE id = $id;INSERT INTO customers (id, name, email) VALUES (100000 + $new, 'Old', '$value')")
	})
	writers.Go(func() {
		write("UPDATE customers SET mail = lower('$value') WHERE id = $id + 1;INSERT INTO customers (id, name, mail) VALUES (200000 + $new, 'New', lower('$value'))")
	})
	var once sync.Once
	_, err := lease.Run(b.Context(), fill.ID, migration.RunOptions{Budget: 0.3, Hold: func() string {
		// The triggers are there from before the first batch on.
		once.Do(func() { close(begin) })
		return ""
	}}, func(migration.Progress) {})
	if err != nil {
		b.Error(err)
	}
	once.Do(func() { close(begin) })
	close(stop)
	writers.Wait()
	b.exec("UPDATE customers SET email = 'BY OLD' WHERE id = 1")
	b.exec("UPDATE customers SET mail = 'by new' WHERE id = 2")
	b.exec("INSERT INTO customers (id, name, email) VALUES (300001, 'Old', 'OLD')")
	b.exec("INSERT INTO customers (id, name, mail) VALUES (300002, 'New', 'new')")
	b.want("SELECT mail FROM customers WHERE id = 1", "by old")
	b.want("SELECT email FROM customers WHERE id = 2", "BY NEW")
	b.want("SELECT mail FROM customers WHERE id = 300001", "old")
	b.want("SELECT email FROM customers WHERE id = 300002", "NEW")
	b.want(notFilled, "0")
	b.want("SELECT count(*) FROM customers WHERE email IS NULL OR email <> upper(mail)", "0")
}

func leaseIsExclusive(b *bench) {
	lease := b.lease("the first one")
	for _, driver := range []migration.Driver{b.driver, b.Open(b.T)} {
		_, err := driver.Lease(b.Context(), "the second one")
		b.wantKind(err, segue.KindConflict)
		if err != nil && !strings.Contains(err.Error(), "the first one") {
			b.Errorf("the refusal does not say who has it: %v", err)
		}
	}
	if state := b.state(); state.Holder != "the first one" || state.Since.IsZero() {
		b.Errorf("holder %q since %v", state.Holder, state.Since)
	}
	if err := lease.Release(b.Context()); err != nil {
		b.Fatal(err)
	}
	if state := b.state(); state.Holder != "" {
		b.Errorf("after the release it is held by %q", state.Holder)
	}
	b.lease("the second one")
	b.wantKind(lease.Record(b.Context(), newRelease, migration.Plan{}), segue.KindConflict)
}

// leaseIsFenced takes the lease away: whoever had it writes nothing any more, and hears of it.
func leaseIsFenced(b *bench) {
	first := b.lease("first")
	plan := b.sound(adds(), moves())
	b.record(first, plan)
	b.Steal(b.T)
	_, err := first.Run(b.Context(), plan.Changes[0].ID, migration.RunOptions{}, func(migration.Progress) {})
	b.wantKind(err, segue.KindConflict)
	b.wantKind(first.Record(b.Context(), newRelease, plan), segue.KindConflict)
	b.wantKind(first.Cancel(b.Context(), plan.Changes[0].ID), segue.KindConflict)
	b.wantKind(first.Forgive(b.Context(), plan.Changes[0].ID, "me", "why"), segue.KindConflict)
	select {
	case <-first.Lost():
	case <-b.Context().Done():
		b.Error("Lost is not closed")
	}
	_ = first.Release(b.Context()) // of what is lost: nothing to say
	b.fails("SELECT phone FROM customers")
	b.driver = b.Open(b.T)
	b.run(b.lease("second"), plan.Changes[0].ID)
}

func leaseEndsWithItsDriver(b *bench) {
	lease := b.lease("first")
	if err := b.driver.Close(); err != nil {
		b.Fatal(err)
	}
	<-lease.Lost()
	b.driver = b.Open(b.T)
	b.lease("second")
}

func (b *bench) gate(change migration.Change, recorded []migration.Query, releases ...migration.Presence) migration.Gate {
	b.Helper()
	gate, err := b.driver.Gate(b.Context(), migration.GateRequest{
		Change: change, Releases: releases, Brought: newRelease, Recorded: recorded, Now: time.Now(),
	})
	if err != nil {
		b.Fatal(err)
	}
	if gate.Change != change.ID || gate.Answer != migration.AnswerUnknown && len(gate.Grounds) == 0 {
		b.Errorf("gate of %s: %+v", change.ID, gate)
	}
	return gate
}

// contractOf is the change that drops the column of the standard set.
func contractOf(plan migration.Plan) migration.Change {
	for _, change := range plan.Of(migration.PhaseContract) {
		if slices.ContainsFunc(change.Removes, func(o migration.Object) bool { return o.Kind == migration.ObjectColumn && o.Name == "email" }) {
			return change
		}
	}
	return migration.Change{}
}

func gateOfSilence(b *bench) {
	change := contractOf(b.expanded(b.lease("one")))
	running := []segue.ServerName{"web-1"}
	for name, releases := range map[string][]migration.Presence{
		"nothing is known":       nil,
		"the old one runs":       {{Release: oldRelease, Order: 1, Running: running}, {Release: newRelease, Order: 2, Running: running}},
		"the old one may return": {{Release: oldRelease, Order: 1, Until: time.Now().Add(time.Hour)}, {Release: newRelease, Order: 2, Running: running}},
	} {
		if gate := b.gate(change, nil, releases...); gate.Answer == migration.AnswerSafe {
			b.Errorf("%s: silence is taken for a yes: %+v", name, gate)
		}
	}
}

func gateOfNeed(b *bench) {
	change := contractOf(b.expanded(b.lease("one")))
	running := []segue.ServerName{"web-1"}
	both := []migration.Presence{{Release: oldRelease, Order: 1, Running: running}, {Release: newRelease, Order: 2, Running: running}}
	needs := []migration.Query{
		{Release: oldRelease, SQL: oldReads, Source: "recorded"}, {Release: newRelease, SQL: newReads, Source: "recorded"},
	}
	gate := b.gate(change, needs, both...)
	if gate.Answer != migration.AnswerUnsafe {
		b.Errorf("the old release reads it, and the gate says %s: %+v", gate.Answer, gate.Grounds)
	}
	if !slices.ContainsFunc(gate.Grounds, func(g migration.Ground) bool {
		return g.Answer == migration.AnswerUnsafe && g.Release == oldRelease && (g.Statement == oldReads || g.Statement == "")
	}) {
		b.Errorf("the grounds do not name the old release and its statement: %+v", gate.Grounds)
	}
	gate = b.gate(change, needs[1:], both[1])
	if gate.Answer == migration.AnswerUnsafe {
		b.Errorf("nothing that is known needs it, and the gate says %s: %+v", gate.Answer, gate.Grounds)
	}
}

// gateOfFill asks about work on rows that was put off until older releases are gone: no statement shows who counts on rows as they are.
func gateOfFill(b *bench) {
	lease := b.lease("one")
	b.expanded(lease)
	file := File("0004", "UPDATE customers SET name = 'NAME' WHERE name = 'Customer'")
	file.Statements[0].Hints.Phase = migration.PhaseContract
	plan := b.sound(adds(), moves(), file)
	i := slices.IndexFunc(plan.Changes, func(c migration.Change) bool { return slices.Contains(c.Origin, file.Statements[0].ID) })
	if i < 0 || plan.Changes[i].Phase != migration.PhaseContract || plan.Changes[i].Backfill == nil {
		b.Fatalf("a fill that is put off is planned as %+v", plan.Changes)
	}
	change := plan.Changes[i]
	running := []segue.ServerName{"web-1"}
	work := []migration.Query{{Release: oldRelease, SQL: bothRead, Source: "recorded"}, {Release: newRelease, SQL: bothRead, Source: "recorded"}}
	fresh := migration.Presence{Release: newRelease, Order: 2, Running: running}
	for name, old := range map[string]migration.Presence{
		"runs": {Release: oldRelease, Order: 1, Running: running}, "may return": {Release: oldRelease, Order: 1, Until: time.Now().Add(time.Hour)},
	} {
		if gate := b.gate(change, work, old, fresh); gate.Answer == migration.AnswerSafe {
			b.Errorf("the old release %s, and the gate lets its rows be changed: %+v", name, gate.Grounds)
		}
	}
	gone := migration.Presence{Release: oldRelease, Order: 1, Ended: time.Now().Add(-time.Hour)}
	for _, ground := range b.gate(change, work, gone, fresh).Grounds {
		if ground.Check == "releases" && ground.Answer != migration.AnswerSafe {
			b.Errorf("the old release is gone, and the gate says %+v", ground)
		}
	}
	b.record(lease, plan)
	b.runPhases(lease, plan, migration.PhaseContract)
	b.want("SELECT count(*) FROM customers WHERE name = 'Customer'", "0")
}

func contractRuns(b *bench) {
	lease := b.lease("one")
	plan := b.expanded(lease)
	b.runPhases(lease, plan, migration.PhaseContract)
	b.fails("SELECT email FROM customers")
	b.exec("INSERT INTO customers (id, name, mail) VALUES (100000, 'New', 'new')")
	after := b.sound(adds(), moves())
	if len(after.Changes) > 0 || after.Files[1].Status != migration.FileApplied || after.Files[1].By != "segue" {
		b.Errorf("after everything: %+v", after)
	}
}

func matrix(b *bench) {
	plan := b.sound(adds(), moves())
	var before []migration.Change
	for _, change := range plan.Changes {
		if change.Phase != migration.PhaseContract {
			before = append(before, change)
		}
	}
	queries := []migration.Query{
		{Release: oldRelease, SQL: oldReads}, {Release: oldRelease, SQL: bothRead}, {Release: newRelease, SQL: newReads}, {Release: newRelease, SQL: bothRead},
	}
	got, err := b.driver.Check(b.Context(), migration.CheckRequest{Queries: queries, Before: before, After: plan.Of(migration.PhaseContract)})
	if err != nil {
		b.Fatal(err)
	}
	type cell struct {
		release segue.ReleaseName
		stage   migration.Stage
	}
	misfits := map[cell]int{}
	for _, c := range got.Cells {
		if c.Tried != 2 {
			b.Errorf("%s at %s: %d statements were tried", c.Release, c.Stage, c.Tried)
		}
		misfits[cell{c.Release, c.Stage}] = len(c.Misfits)
	}
	want := map[cell]int{
		{oldRelease, migration.StageNow}: 0, {oldRelease, migration.StageExpanded}: 0, {oldRelease, migration.StageContracted}: 1,
		{newRelease, migration.StageNow}: 1, {newRelease, migration.StageExpanded}: 0, {newRelease, migration.StageContracted}: 0,
	}
	if diff := cmp.Diff(want, misfits, cmp.AllowUnexported(cell{})); diff != "" {
		b.Errorf("misfits:\n%s", diff)
	}
}

func forgiven(b *bench) {
	lease := b.lease("one")
	plan := b.expanded(lease)
	for _, change := range plan.Of(migration.PhaseContract) {
		if err := lease.Forgive(b.Context(), change.ID, "maria", "the column stays"); err != nil {
			b.Fatal(err)
		}
		state := b.status(change.ID)
		if state.Status != migration.StatusForgiven || state.By != "maria" || state.Why != "the column stays" {
			b.Errorf("forgiven: %+v", state)
		}
		_, err := lease.Run(b.Context(), change.ID, migration.RunOptions{}, func(migration.Progress) {})
		b.wantKind(err, segue.KindConflict)
	}
	if after := b.sound(adds(), moves()); len(after.Changes) > 0 {
		b.Errorf("what is forgiven is planned again: %v", ids(after.Changes))
	}
	b.exec("UPDATE customers SET email = 'STILL THERE' WHERE id = 1")
}

func brownOutIsTakenBack(b *bench) {
	lease := b.lease("one")
	change := contractOf(b.expanded(lease))
	err := lease.BrownOut(b.Context(), change.ID)
	if segue.KindOf(err) == segue.KindUnsupported && err != nil {
		b.wantKind(lease.Restore(b.Context(), change.ID), segue.KindUnsupported)
		return
	}
	if err != nil {
		b.Fatal(err)
	}
	if state := b.status(change.ID); !state.Hidden || state.Since.IsZero() {
		b.Errorf("hidden: %+v", state)
	}
	b.fails(oldReads)
	b.exec(newReads)
	for range 2 {
		if err := lease.Restore(b.Context(), change.ID); err != nil {
			b.Fatal(err)
		}
	}
	if state := b.status(change.ID); state.Hidden {
		b.Errorf("restored: %+v", state)
	}
	b.exec(oldReads)
}

// brownOutEndsWithItsLease hides something and shows it no more, as a holder does that dies: the next one finds it shown.
func brownOutEndsWithItsLease(b *bench) {
	first := b.lease("one")
	change := contractOf(b.expanded(first))
	err := first.BrownOut(b.Context(), change.ID)
	if segue.KindOf(err) == segue.KindUnsupported && err != nil {
		return
	}
	if err != nil {
		b.Fatal(err)
	}
	if err := first.Release(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.fails(oldReads)
	b.lease("two")
	if state := b.status(change.ID); state.Hidden || !state.Since.IsZero() {
		b.Errorf("under another lease: %+v", state)
	}
	b.exec(oldReads)
}

func stateIsTruthful(b *bench) {
	lease := b.lease("one")
	fill := b.fill(lease)
	ctx, cancel := context.WithCancel(b.Context())
	asked := 0
	_, err := lease.Run(ctx, fill.ID, migration.RunOptions{Budget: 1, Hold: func() string {
		if asked++; asked > 1 {
			cancel()
		}
		return ""
	}}, func(migration.Progress) {})
	cancel()
	if err != nil {
		b.brokenOff(err)
		state := b.status(fill.ID)
		if state.Status != migration.StatusRunning || state.Began.IsZero() || !state.Ended.IsZero() || state.Progress.Done == 0 || state.Report != nil {
			b.Errorf("in its middle: %+v", state)
		}
	}
	b.run(lease, fill.ID)
	state := b.status(fill.ID)
	if state.Status != migration.StatusDone || !orderedTimes(state.Recorded, state.Began, state.Ended) || state.Began.IsZero() || state.Report == nil || state.Report.Rows == 0 {
		b.Errorf("done: %+v", state)
	}
}

func historyIsTruthful(b *bench) {
	if b.History.Format == "" {
		b.Skip("no history table")
	}
	applied := func(want ...string) {
		b.Helper()
		got, err := b.Applied(b.Context())
		if err != nil || !slices.Equal(got, want) {
			b.Errorf("the history has %v, %v; want %v", got, err, want)
		}
	}
	lease := b.lease("one")
	plan := b.expanded(lease)
	applied("0001")
	b.runPhases(lease, plan, migration.PhaseContract)
	applied("0001", "0002")
}

func credentialsOrUnsupported(b *bench) {
	credentials, err := b.driver.Credentials(b.Context(), newRelease)
	if err != nil {
		b.wantKind(err, segue.KindUnsupported)
		return
	}
	again, err := b.driver.Credentials(b.Context(), newRelease)
	if err != nil || again.Role != credentials.Role || credentials.Role == "" || credentials.URL == "" {
		b.Errorf("credentials again: role %q, %v; want %q", again.Role, err, credentials.Role)
	}
	for range 2 {
		if err := b.driver.Retire(b.Context(), newRelease); err != nil {
			b.Error(err)
		}
	}
}
