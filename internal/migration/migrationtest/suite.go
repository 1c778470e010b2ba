package migrationtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Suite runs the conformance suite: what migration.Driver and migration.Lease promise. open gives a new subject for each test.
func Suite(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for name, test := range map[string]func(b *bench){
		"PlanOfNothing":            planOfNothing,
		"PlanOfNew":                planOfNew,
		"PlanChangesNothing":       planChangesNothing,
		"PlanOfPartly":             planOfPartly,
		"PlanOfEdited":             planOfEdited,
		"CarriedOrMeantNow":        carriedOrMeantNow,
		"RecordIsIdempotent":       recordIsIdempotent,
		"RunsExactlyOnce":          runsExactlyOnce,
		"UnknownChange":            unknownChange,
		"OrderIsKept":              orderIsKept,
		"BrokenOffAnywhere":        brokenOffAnywhere,
		"BackfillResumes":          backfillResumes,
		"BackfillIsHeld":           backfillIsHeld,
		"BackfillIsCanceled":       backfillIsCanceled,
		"BothReleasesWrite":        bothReleasesWrite,
		"LeaseIsExclusive":         leaseIsExclusive,
		"LeaseIsFenced":            leaseIsFenced,
		"LeaseEndsWithItsDriver":   leaseEndsWithItsDriver,
		"GateOfSilence":            gateOfSilence,
		"GateOfNeed":               gateOfNeed,
		"GateOfFill":               gateOfFill,
		"ContractRuns":             contractRuns,
		"Matrix":                   matrix,
		"Forgiven":                 forgiven,
		"BrownOutIsTakenBack":      brownOutIsTakenBack,
		"BrownOutEndsWithItsLease": brownOutEndsWithItsLease,
		"StateIsTruthful":          stateIsTruthful,
		"HistoryIsTruthful":        historyIsTruthful,
		"CredentialsOrUnsupported": credentialsOrUnsupported,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newBench(t, open))
		})
	}
}

func planOfNothing(b *bench) {
	plan := b.sound()
	if len(plan.Changes) > 0 || len(plan.Files) > 0 {
		b.Errorf("plan of no files: %+v", plan)
	}
	if state := b.state(); len(state.Changes) > 0 || state.Holder != "" {
		b.Errorf("state of a database that nobody changed: %+v", state)
	}
}

func planOfNew(b *bench) {
	plan := b.sound(adds(), moves())
	seen := map[migration.ChangeID]bool{}
	covered := map[migration.StatementID]migration.Phase{}
	contract := false
	for _, change := range plan.Changes {
		if seen[change.ID] {
			b.Errorf("two changes are called %s", change.ID)
		}
		seen[change.ID] = true
		if change.Title == "" || change.At.Line == 0 || len(change.Origin) == 0 {
			b.Errorf("%s has title %q, place %q, origin %v", change.ID, change.Title, change.At, change.Origin)
		}
		for _, first := range change.After {
			if !seen[first] {
				b.Errorf("%s comes before %s, which it needs", change.ID, first)
			}
		}
		if contract = contract || change.Phase == migration.PhaseContract; contract && change.Phase != migration.PhaseContract {
			b.Errorf("%s, %s, comes after a contract", change.ID, change.Phase)
		}
		for _, id := range change.Origin {
			covered[id] = change.Phase
		}
		if (change.Backfill != nil) != (change.Phase == migration.PhaseBackfill) && change.Phase != migration.PhaseContract {
			b.Errorf("%s is %s, and its backfill is %v", change.ID, change.Phase, change.Backfill)
		}
	}
	for _, file := range []migration.File{adds(), moves()} {
		for _, statement := range file.Statements {
			if _, ok := covered[statement.ID]; !ok {
				b.Errorf("nothing stands for %s: %s", statement.ID, statement.SQL)
			}
		}
	}
	for id, want := range map[migration.StatementID]migration.Phase{"0001#1": migration.PhaseExpand, "0002#1": migration.PhaseExpand, "0002#3": migration.PhaseContract} {
		if covered[id] != want {
			b.Errorf("%s is %s, want %s", id, covered[id], want)
		}
	}
	if len(plan.Of(migration.PhaseBackfill)) == 0 {
		b.Errorf("%q is no backfill", fillMail)
	}
	for i, want := range []string{"0001", "0002"} {
		if plan.Files[i].Version != want || plan.Files[i].Status != migration.FilePending {
			b.Errorf("file %d is %+v", i, plan.Files[i])
		}
	}
}

func planChangesNothing(b *bench) {
	first := b.sound(adds(), moves())
	second := b.sound(adds(), moves())
	if diff := cmp.Diff(ids(first.Changes), ids(second.Changes)); diff != "" {
		b.Errorf("the same plan again differs:\n%s", diff)
	}
	b.fails("SELECT phone FROM customers")
	if state := b.state(); len(state.Changes) > 0 {
		b.Errorf("planning recorded %d changes", len(state.Changes))
	}
}

func planOfPartly(b *bench) {
	lease := b.lease("one")
	b.expanded(lease)
	// The next controller plans the same folder, and a file more.
	b.driver = b.Open(b.T)
	plan := b.sound(adds(), moves(), takes())
	want := map[string]migration.FileStatus{"0001": migration.FileApplied, "0002": migration.FilePartly, "0003": migration.FilePending}
	for _, file := range plan.Files {
		if want[file.Version] != file.Status {
			b.Errorf("file %s is %s, want %s", file.Version, file.Status, want[file.Version])
		}
	}
	for _, change := range plan.Changes {
		if change.Phase != migration.PhaseContract {
			b.Errorf("%s (%s) is planned again", change.ID, change.Title)
		}
	}
	if !slices.ContainsFunc(plan.Changes, func(c migration.Change) bool { return slices.Contains(c.Origin, "0002#3") }) {
		b.Error("the contract that is owed is not in the plan")
	}
}

func planOfEdited(b *bench) {
	lease := b.lease("one")
	first := b.sound(adds())
	b.record(lease, first)
	b.runPhases(lease, first, migration.PhaseExpand)
	edited := File("0001", strings.Replace(addPhone, "phone", "telephone", 1))
	plan := b.plan(edited)
	if len(plan.Faults) == 0 || plan.Faults[0].At.Path != edited.Path || plan.Faults[0].Hint == "" {
		b.Errorf("faults of an edited file: %+v", plan.Faults)
	}
	if plan := b.plan(adds()); len(plan.Faults) > 0 {
		b.Errorf("faults of the file as it was: %+v", plan.Faults)
	}
}

func carriedOrMeantNow(b *bench) {
	for _, change := range b.sound(adds(), moves()).Of(migration.PhaseContract) {
		if !change.Carried {
			b.Errorf("%s was split off a mixed file and is not carried", change.ID)
		}
	}
	lease := b.lease("one")
	plan := b.sound(adds())
	b.record(lease, plan)
	b.runPhases(lease, plan, migration.PhaseExpand)
	contracts := b.sound(adds(), takes()).Of(migration.PhaseContract)
	if len(contracts) != 1 || contracts[0].Carried || len(contracts[0].Removes) == 0 {
		b.Errorf("contracts of a file of its own: %+v", contracts)
	}
}

func recordIsIdempotent(b *bench) {
	lease := b.lease("one")
	plan := b.sound(adds(), moves())
	b.record(lease, plan)
	first := b.state()
	b.record(lease, plan)
	b.run(lease, plan.Changes[0].ID)
	b.record(lease, plan)
	b.wantStatus(plan.Changes[0].ID, migration.StatusDone)
	second := b.state()
	if len(first.Changes) != len(plan.Changes) || len(second.Changes) != len(plan.Changes) {
		b.Errorf("%d changes are recorded once, %d twice, of %d", len(first.Changes), len(second.Changes), len(plan.Changes))
	}
	for i, change := range plan.Changes {
		if got := first.Changes[i]; got.Change.ID != change.ID || got.Status != migration.StatusOwed || got.Release != newRelease || got.Recorded.IsZero() {
			b.Errorf("recorded %d: %+v", i, got)
		}
	}
}

func runsExactlyOnce(b *bench) {
	lease := b.lease("one")
	plan := b.sound(File("0001", addPhone, `INSERT INTO customers (id, name) VALUES (0, 'Once')`))
	b.record(lease, plan)
	var reports []migration.Report
	for _, change := range plan.Changes {
		reports = append(reports, b.run(lease, change.ID))
	}
	if err := lease.Release(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.driver = b.Open(b.T)
	lease = b.lease("two")
	b.record(lease, plan)
	for i, change := range plan.Changes {
		if diff := cmp.Diff(reports[i], b.run(lease, change.ID)); diff != "" {
			b.Errorf("the report of %s is another one when it is run again:\n%s", change.ID, diff)
		}
	}
	b.want("SELECT count(*) FROM customers WHERE id = 0", "1")
	if plan := b.sound(File("0001", addPhone, `INSERT INTO customers (id, name) VALUES (0, 'Once')`)); len(plan.Changes) > 0 || plan.Files[0].Status != migration.FileApplied {
		b.Errorf("plan of an applied file: %+v", plan)
	}
}

func unknownChange(b *bench) {
	lease := b.lease("one")
	b.record(lease, b.sound(adds()))
	_, err := lease.Run(b.Context(), "0099#1", migration.RunOptions{}, func(migration.Progress) {})
	b.wantKind(err, segue.KindNotFound)
	b.wantKind(lease.Cancel(b.Context(), "0099#1"), segue.KindNotFound)
	b.wantKind(lease.Forgive(b.Context(), "0099#1", "me", "why"), segue.KindNotFound)
}

func orderIsKept(b *bench) {
	lease := b.lease("one")
	plan := b.sound(moves())
	b.record(lease, plan)
	for _, change := range plan.Changes {
		if len(change.After) == 0 {
			continue
		}
		_, err := lease.Run(b.Context(), change.ID, migration.RunOptions{}, func(migration.Progress) {})
		b.wantKind(err, segue.KindConflict)
		b.wantStatus(change.ID, migration.StatusOwed)
	}
}

// brokenOffAnywhere ends every run at the first sign of progress, takes the lease anew, as the next controller, and goes on, until all is done.
func brokenOffAnywhere(b *bench) {
	lease := b.lease("1")
	plan := b.sound(adds(), moves())
	b.record(lease, plan)
	for _, change := range plan.Changes {
		for n := 1; ; n++ {
			ctx, cancel := context.WithCancel(b.Context())
			seen := 0
			_, err := lease.Run(ctx, change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) {
				if seen++; seen >= n {
					cancel()
				}
			})
			cancel()
			if err == nil {
				break
			}
			b.brokenOff(err)
			if n > 100 {
				b.Fatalf("%s is not done after %d runs", change.ID, n)
			}
			if err := lease.Release(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.driver = b.Open(b.T)
			lease = b.lease("next")
		}
		b.wantStatus(change.ID, migration.StatusDone)
	}
	b.want("SELECT count(*) FROM customers", rows)
	b.want("SELECT count(*) FROM customers WHERE mail = 'm' || id || '@example.com' AND phone IS NULL", rows)
	b.fails("SELECT email FROM customers")
	b.exec("INSERT INTO customers (id, name, mail) VALUES (100000, 'New', 'new')")
}

func orderedTimes(times ...time.Time) bool {
	return slices.IsSortedFunc(times, time.Time.Compare)
}
