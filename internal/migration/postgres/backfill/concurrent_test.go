package backfill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/testenv"
)

// form is what a row says in its old columns and in its new ones; nil is NULL.
type form struct {
	old, new []*string
}

func (f form) clone() form { return form{slices.Clone(f.old), slices.Clone(f.new)} }

func (f form) String() string {
	show := func(values []*string) string {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = "NULL"
			if v != nil {
				texts[i] = fmt.Sprintf("%q", *v)
			}
		}
		return strings.Join(texts, ", ")
	}
	return "(" + show(f.old) + " | " + show(f.new) + ")"
}

// world is a change of a table's form, as SQL and as a model.
type world struct {
	name string
	// columns of the table besides its key, with pad; old and new among them.
	columns  string
	old, new []string
	job      migration.Backfill
	// forward and reverse are the model of the expressions.
	forward, reverse func([]*string) []*string
	// olds and news draw what a release writes.
	olds, news func(*rand.Rand) []*string
	// nulls says that the new release may write nothing but NULLs.
	nulls bool
}

func words3(r *rand.Rand) string { return []string{"Ann", "Bo", "Chi", "Di", "Ed"}[r.IntN(5)] }

func worlds() []world {
	split := func(old []*string) []*string {
		if old[0] == nil {
			return []*string{nil, nil}
		}
		parts := append(strings.Split(*old[0], " "), "", "")
		return []*string{new(parts[0]), new(parts[1])}
	}
	join := func(news []*string) []*string {
		var parts []string
		for _, n := range news {
			if n != nil {
				parts = append(parts, *n)
			}
		}
		if parts == nil {
			return []*string{nil}
		}
		return []*string{new(strings.Join(parts, " "))}
	}
	same := func(values []*string) []*string { return []*string{values[0]} }
	forwardSplit := []migration.Assignment{{Column: "first", Expr: "split_part(people.name, ' ', 1)"}, {Column: "last", Expr: "split_part(name, ' ', 2)"}}
	backSplit := set("name", "CASE WHEN first IS NOT NULL OR last IS NOT NULL THEN concat_ws(' ', first, last) END")
	number := func(old []*string) []*string {
		if old[0] == nil || strings.Trim(*old[0], "0123456789") != "" {
			return []*string{nil}
		}
		n := strings.TrimLeft(*old[0], "0")
		if n == "" {
			n = "0"
		}
		return []*string{&n}
	}
	return []world{
		{
			name: "split", columns: "name text, first text, last text", old: []string{"name"}, new: []string{"first", "last"},
			job:     sync2(forwardSplit, backSplit, "first IS NULL AND split_part(name, ' ', 1) IS NOT NULL"),
			forward: split, reverse: join, nulls: true,
			olds: func(r *rand.Rand) []*string {
				if r.IntN(8) == 0 {
					return []*string{nil}
				}
				return []*string{new([]string{"", words3(r), words3(r) + " " + words3(r), words3(r) + "  " + words3(r), "A B C"}[r.IntN(5)])}
			},
			news: func(r *rand.Rand) []*string {
				return []*string{new(words3(r) + " " + words3(r)), new(words3(r) + " the " + words3(r))} // more than the old form can say
			},
		},
		{
			name: "rename", columns: `name text NOT NULL DEFAULT '?', "New Name" text`, old: []string{"name"}, new: []string{"New Name"},
			job:     sync2(set("New Name", `"name"`), set("name", `"New Name"`), `"New Name" IS DISTINCT FROM "name"`),
			forward: same, reverse: same,
			olds: func(r *rand.Rand) []*string { return []*string{new(words3(r) + fmt.Sprint(r.IntN(1000)))} },
			news: func(r *rand.Rand) []*string { return []*string{new(words3(r) + fmt.Sprint(r.IntN(1000)))} },
		},
		{
			name: "retype", columns: "code text, number bigint", old: []string{"code"}, new: []string{"number"},
			job:     sync2(set("number", "code::bigint"), set("code", "number::text"), "number IS NULL AND code IS NOT NULL AND code <> 'none'"),
			forward: number, reverse: same, nulls: true,
			olds: func(r *rand.Rand) []*string {
				return []*string{[]*string{nil, new("007"), new("0"), new(fmt.Sprint(r.IntN(1000)))}[r.IntN(4)]}
			},
			news: func(r *rand.Rand) []*string { return []*string{new(fmt.Sprint(r.IntN(100000)))} },
		},
	}
}

func sync2(forward, reverse []migration.Assignment, violators string) migration.Backfill {
	var old, fresh []string
	for _, a := range reverse {
		old = append(old, a.Column)
	}
	for _, a := range forward {
		fresh = append(fresh, a.Column)
	}
	return migration.Backfill{
		Table: "public.people", Set: forward, Violators: violators,
		Sync: &migration.Sync{Name: "segue_people_sync", Table: "public.people", Forward: forward, Reverse: reverse, Old: old, New: fresh, Until: migration.PhaseContract},
	}
}

// keys gives the key of the n-th row, one value a column, for each kind of key.
var keys = []struct {
	name, columns, primary string
	names                  []string
	of                     func(n int) []any
}{
	{"bigint", "id bigint", "id", []string{"id"}, func(n int) []any { return []any{int64(n) * 7} }},
	{"composite", `tenant int, code text COLLATE "und-x-icu"`, "tenant, code", []string{"tenant", "code"}, func(n int) []any {
		return []any{n % 5, fmt.Sprintf("%c %d-ß", "aAzZ-"[n%4], n)}
	}},
	{"uuid", "id uuid", "id", []string{"id"}, func(n int) []any { return []any{fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n*2654435761), n)} }},
}

// stage is a table with its model, and writers of three releases at work on it.
type stage struct {
	*bench
	world world
	names []string
	of    func(n int) []any
	seed  uint64

	locks   []sync.Mutex // of rows
	rows    []*form      // nil: not there
	writes  atomic.Int64
	slowest atomic.Int64
}

const stageRows = 1500

func newStage(tb testing.TB, w world, key int) *stage {
	tb.Helper()
	s := &stage{bench: newBench(tb), world: w, names: keys[key].names, of: keys[key].of, seed: rand.Uint64(), locks: make([]sync.Mutex, stageRows), rows: make([]*form, stageRows)}
	tb.Logf("seed %d", s.seed)
	s.world.job.Key = s.names
	s.exec(fmt.Sprintf("CREATE TABLE people (%s, gone int, %s, pad int, PRIMARY KEY (%s)); ALTER TABLE people DROP COLUMN gone", keys[key].columns, w.columns, keys[key].primary))
	r := rand.New(rand.NewPCG(s.seed, 0))
	batch := &pgx.Batch{}
	for n := range s.rows {
		if r.IntN(4) == 0 {
			continue
		}
		old := w.olds(r)
		s.rows[n] = &form{old: old, new: w.forward(old)}
		batch.Queue(s.insert(w.old), append(s.of(n), values(old)...)...)
	}
	if err := s.conn.SendBatch(tb.Context(), batch).Close(); err != nil {
		tb.Fatal(err)
	}
	return s
}

func values(texts []*string) []any {
	all := make([]any, len(texts))
	for i, v := range texts {
		if v != nil {
			all[i] = *v
		}
	}
	return all
}

func (s *stage) insert(columns []string) string {
	all := append(slices.Clone(s.names), columns...)
	places := make([]string, len(all))
	for i := range all {
		places[i] = s.place(i, all[i])
	}
	return fmt.Sprintf("INSERT INTO people (%s) VALUES (%s)", quoteAll(all), strings.Join(places, ", "))
}

func (s *stage) place(i int, column string) string {
	if column == "number" {
		return fmt.Sprintf("$%d::text::bigint", i+1)
	}
	return fmt.Sprintf("$%d", i+1)
}

func (s *stage) where() string {
	parts := make([]string, len(s.names))
	for i, name := range s.names {
		parts[i] = fmt.Sprintf("%s = $%d", quote(name), i+1)
	}
	return strings.Join(parts, " AND ")
}

func (s *stage) update(columns []string) string {
	sets := make([]string, len(columns))
	for i, c := range columns {
		sets[i] = quote(c) + " = " + s.place(len(s.names)+i, c)
	}
	return "UPDATE people SET " + strings.Join(sets, ", ") + " WHERE " + s.where()
}

// write does something to a row as a release would, and gives the row as the model has it then.
func (s *stage) write(ctx context.Context, tx pgx.Tx, r *rand.Rand, n int) (*form, error) {
	now := s.rows[n]
	key := s.of(n)
	w := s.world
	old, news := w.olds(r), w.news(r)
	exec := func(sql string, args ...any) error {
		tag, err := tx.Exec(ctx, sql, append(key, args...)...)
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%d rows", tag.RowsAffected())
		}
		if err != nil {
			err = fmt.Errorf("row %d: %s: %w", n, sql, err)
		}
		return err
	}
	release := 1 + r.IntN(3)
	if now == nil {
		switch release {
		case 1:
			return &form{old, w.forward(old)}, exec(s.insert(w.old), values(old)...)
		case 2:
			return &form{w.reverse(news), news}, exec(s.insert(w.new), values(news)...)
		default:
			old = w.reverse(news)
			return &form{old, news}, exec(s.insert(append(slices.Clone(w.old), w.new...)), values(append(slices.Clone(old), news...))...)
		}
	}
	next := now.clone()
	switch step := r.IntN(10); {
	case step == 0:
		return nil, exec("DELETE FROM people WHERE " + s.where())
	case step == 1:
		return now, exec("UPDATE people SET pad = coalesce(pad, 0) + 1 WHERE " + s.where())
	case step == 2 && w.nulls && release == 2:
		// A new release that empties what is empty already says nothing: it does so to a row that it has written.
		empty := make([]*string, len(w.new))
		if err := exec(s.update(w.new), values(news)...); err != nil {
			return nil, err
		}
		return &form{w.reverse(empty), empty}, exec(s.update(w.new), values(empty)...)
	case step == 3 && release == 2:
		i := r.IntN(len(w.new))
		next.new[i] = news[i]
		next.old = w.reverse(next.new)
		return &next, exec(s.update(w.new[i:i+1]), values(news[i:i+1])...)
	case step == 4 && release == 1 && len(s.names) == 1: // the way an ORM saves
		if same(now.old, old) {
			return now, nil
		}
		return &form{old, w.forward(old)}, exec(s.insert(w.old)+" ON CONFLICT ("+quoteAll(s.names)+") DO UPDATE SET "+quote(w.old[0])+" = EXCLUDED."+quote(w.old[0]), values(old)...)
	case release == 1:
		if same(now.old, old) {
			return now, exec(s.update(w.old), values(old)...)
		}
		return &form{old, w.forward(old)}, exec(s.update(w.old), values(old)...)
	case release == 2:
		return &form{w.reverse(news), news}, exec(s.update(w.new), values(news)...)
	default:
		old = w.reverse(news)
		return &form{old, news}, exec(s.update(append(slices.Clone(w.old), w.new...)), values(append(slices.Clone(old), news...))...)
	}
}

func same(a, b []*string) bool {
	return slices.EqualFunc(a, b, func(x, y *string) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y })
}

// work writes until ctx is done: transactions of up to four rows in any order. Rows are locked in the model, so that only a batch can stand in the way.
func (s *stage) work(ctx context.Context, number int) error {
	r := rand.New(rand.NewPCG(s.seed, uint64(number)))
	conn, err := pgx.Connect(context.WithoutCancel(ctx), s.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		some := r.Perm(stageRows)[:1+r.IntN(4)]
		slices.Sort(some)
		for _, n := range some {
			s.locks[n].Lock()
		}
		err := s.transaction(context.WithoutCancel(ctx), conn, r, some)
		for _, n := range some {
			s.locks[n].Unlock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) transaction(ctx context.Context, conn *pgx.Conn, r *rand.Rand, some []int) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	next := map[int]*form{}
	for _, i := range r.Perm(len(some)) {
		start := time.Now()
		form, err := s.write(ctx, tx, r, some[i])
		if err != nil {
			return err
		}
		next[some[i]] = form
		if took := int64(time.Since(start)); took > s.slowest.Load() {
			s.slowest.Store(took)
		}
	}
	if r.IntN(10) == 0 { // and forget it
		return nil
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	for n, form := range next {
		s.rows[n] = form
	}
	s.writes.Add(1)
	return nil
}

// audit compares every row with the model.
func (s *stage) audit() {
	s.Helper()
	all := append(slices.Clone(s.world.old), s.world.new...)
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = quote(c) + "::text"
	}
	found := 0
	for n, want := range s.rows {
		got := make([]*string, len(all))
		into := make([]any, len(all))
		for i := range got {
			into[i] = &got[i]
		}
		err := s.conn.QueryRow(s.Context(), "SELECT "+strings.Join(texts, ", ")+" FROM people WHERE "+s.where(), s.of(n)...).Scan(into...)
		switch {
		case errors.Is(err, pgx.ErrNoRows) && want == nil:
			continue
		case err != nil:
			s.Errorf("row %d, %s: %v", n, want, err)
			continue
		}
		found++
		is := form{got[:len(s.world.old)], got[len(s.world.old):]}
		if want == nil || !same(is.old, want.old) || !same(is.new, want.new) {
			s.Errorf("row %d is %s, want %s", n, is, want)
		}
	}
	if got := s.ask("SELECT count(*) FROM people"); got != fmt.Sprint(found) {
		s.Errorf("%s rows, want %d", got, found)
	}
}

// crash lets a backfill run and kills it in one way or another after some transactions; at last it lets it come to its end.
func (s *stage) crash(kills int) migration.Report {
	s.Helper()
	r := rand.New(rand.NewPCG(s.seed, 1<<32))
	killer := s.connect()
	for ; ; kills-- {
		ctx, cancel := context.WithCancel(s.Context())
		left := 1 + r.IntN(4)
		var session Session
		strike := func(before bool) func(pgx.Tx) error {
			return func(pgx.Tx) error {
				if before {
					left--
				}
				if kills <= 0 || left > 0 {
					return nil
				}
				switch way := r.IntN(8); {
				case way == 0 && before:
					return errors.New("broken off at the beginning")
				case way == 1 && !before:
					return errors.New("broken off before the commit")
				case way == 2:
					cancel()
				case way == 3:
					_ = session.Conn.PgConn().Conn().Close()
				case way == 4:
					_, err := killer.Exec(s.Context(), "SELECT pg_terminate_backend($1)", session.Conn.PgConn().PID())
					return err
				}
				return nil
			}
		}
		session = s.session(strike(true), strike(false))
		report, err := s.backfiller.Work(ctx, session, change(s.world.job), migration.RunOptions{Budget: 1}, quiet)
		cancel()
		if err == nil {
			return report
		}
		if kills <= 0 {
			s.Fatalf("not killed, and yet: %v", err)
		}
	}
}

func TestThreeReleasesWriteMeanwhile(t *testing.T) {
	for i, w := range worlds() {
		t.Run(w.name+" by "+keys[i%len(keys)].name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, w, i%len(keys))
			s.backfiller.batch.First, s.backfiller.batch.Most = 10, 60
			stalls := testenv.Stalls(t)
			ctx, stop := context.WithCancel(t.Context())
			failed := make(chan error, 3)
			start := func(number int) { go func() { failed <- s.work(ctx, number) }() }
			// Only the old release is there before the triggers are.
			conn := s.session(nil, nil)
			s.install(conn)
			for number := range 3 {
				start(number + 1)
			}
			report := s.crash(10)
			stop()
			for range 3 {
				if err := <-failed; err != nil {
					var failure *pgconn.PgError
					if errors.As(err, &failure) && failure.Code == "40P01" {
						t.Errorf("a writer fell victim to a deadlock: %v", err)
					}
					t.Error(err)
				}
			}
			s.audit()
			slowest := time.Duration(s.slowest.Load())
			t.Logf("%d transactions, slowest statement %s, caused %s; %d rows, %d changed, %d batches", s.writes.Load(), slowest, report.Caused,
				report.Rows, report.Changed, report.Batches)
			if slowest > time.Second+stalls() {
				t.Errorf("a writer's statement took %s", slowest)
			}
		})
	}
}

// install runs the backfill up to its triggers.
func (s *stage) install(session Session) {
	s.Helper()
	stop := errors.New("enough")
	seen := 0
	update := session.Update
	session.Update = func(ctx context.Context, work func(pgx.Tx) error) error {
		if seen++; seen > 2 {
			return stop
		}
		return update(ctx, work)
	}
	if _, err := s.backfiller.Work(s.Context(), session, change(s.world.job), migration.RunOptions{}, quiet); !errors.Is(err, stop) {
		s.Fatal(err)
	}
}
