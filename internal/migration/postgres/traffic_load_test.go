package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// null stands for NULL, anything for whatever is not NULL, and either for both, where values are compared.
const null, anything, either = "∅", "*", "?"

// tongue is how a release speaks about rows of a table: $1 is the number of a row, $2 and so on its values.
type tongue struct {
	insert, update, read, remove, all string
	// also are statements that must work whenever the release runs, and change nothing that the model knows.
	also []string
	// fields is how many values the release knows, and value makes new ones.
	fields int
	value  [2]func(n int64) string
	// derive gives the values that follow from those that the release writes.
	derive func(row) row
	// stale says that a prepared statement may have to be prepared again, as the plan's caveats say.
	stale bool
}

// speak is the plain tongue over columns of a table, whose rows are numbered by id.
func speak(table string, columns ...string) tongue {
	values, sets := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		values[i], sets[i] = "$"+strconv.Itoa(i+2), column+" = $"+strconv.Itoa(i+2)
	}
	list := strings.Join(columns, ", ")
	return tongue{
		insert: "INSERT INTO " + table + " (id, " + list + ") VALUES ($1, " + strings.Join(values, ", ") + ")",
		update: "UPDATE " + table + " SET " + strings.Join(sets, ", ") + " WHERE id = $1",
		read:   "SELECT " + list + " FROM " + table + " WHERE id = $1",
		remove: "DELETE FROM " + table + " WHERE id = $1",
		all:    "SELECT id, " + list + " FROM " + table,
		fields: len(columns),
	}
}

// making gives the values that a release writes.
func (g tongue) making(value ...func(n int64) string) tongue {
	copy(g.value[:], value)
	return g
}

// preparing says that statements may have to be prepared again.
func (g tongue) preparing() tongue {
	g.stale = true
	return g
}

// and adds statements to a tongue.
func (g tongue) and(statements ...string) tongue {
	g.also = append(slices.Clone(g.also), statements...)
	return g
}

// row is what a row should hold.
type row [2]string

// model is what all rows should hold. A row's stripe is locked while its statement is under way, so that several connections can write the same rows.
type model struct {
	stripes [64]stripe
	next    atomic.Int64
	// blank is what a release leaves in values that it does not write.
	blank row
}

type stripe struct {
	mu   sync.Mutex
	rows map[int64]row
}

func newModel(blank row, rows map[int64]row) *model {
	m := &model{blank: blank}
	for i := range m.stripes {
		m.stripes[i].rows = map[int64]row{}
	}
	for id, r := range rows {
		m.stripe(id).rows[id] = r
	}
	m.next.Store(1_000_000)
	return m
}

func (m *model) stripe(id int64) *stripe { return &m.stripes[id%int64(len(m.stripes))] }

// rows is all of it.
func (m *model) rows() map[int64]row {
	all := map[int64]row{}
	for i := range m.stripes {
		m.stripes[i].mu.Lock()
		maps.Copy(all, m.stripes[i].rows)
		m.stripes[i].mu.Unlock()
	}
	return all
}

// same compares what was read with what should be there.
func same(got []string, want row) bool {
	for i, value := range got {
		if want[i] != value && want[i] != either && (want[i] != anything || value == null) {
			return false
		}
	}
	return true
}

// load is the application under traffic.
type load struct {
	*world
	model *model
	seed  uint64
	// longest statement by the clock, and which.
	mu       sync.Mutex
	longest  time.Duration
	which    string
	stale    atomic.Int64
	crews    atomic.Uint64
	sent     atomic.Int64
	failures atomic.Int64
}

// crew are the connections of one release, at work until they are stopped.
type crew struct {
	load   *load
	name   string
	tongue tongue
	stop   chan struct{}
	ended  sync.Once
	done   sync.WaitGroup
	rounds [2]atomic.Int64
	// ready is told after each round.
	ready chan struct{}
	conns [2]*pgx.Conn
}

// start puts a release to work on two connections.
func (l *load) start(name string, g tongue) *crew {
	l.Helper()
	c := &crew{load: l, name: name, tongue: g, stop: make(chan struct{}), ready: make(chan struct{}, 1)}
	for i := range c.conns {
		var err error
		if c.conns[i], err = pgx.Connect(l.Context(), l.url+application(l.url)); err != nil {
			l.Fatal(err)
		}
	}
	l.Cleanup(c.end)
	for i := range c.conns {
		rng := rand.New(rand.NewPCG(l.seed, l.crews.Add(1)))
		c.done.Go(func() { c.work(i, rng) })
	}
	return c
}

// application gives the connections of the application a name of their own.
func application(url string) string {
	mark := "?"
	if strings.Contains(url, "?") {
		mark = "&"
	}
	return mark + "application_name=app"
}

// more waits until both connections went so many more rounds.
func (c *crew) more() {
	c.load.Helper()
	var want [2]int64
	for i := range want {
		want[i] = c.rounds[i].Load() + rounds
	}
	for !c.load.Failed() && (c.rounds[0].Load() < want[0] || c.rounds[1].Load() < want[1]) {
		<-c.ready
	}
}

// end stops the release.
func (c *crew) end() {
	c.ended.Do(func() {
		close(c.stop)
		c.done.Wait()
		for _, conn := range c.conns {
			_ = conn.Close(context.WithoutCancel(c.load.Context()))
		}
	})
}

func (c *crew) work(i int, rng *rand.Rand) {
	defer func() { // whoever waits for a round of a connection that gave up must not wait for ever
		c.rounds[i].Add(1 << 40)
		c.tell()
	}()
	w := worker{crew: c, conn: c.conns[i], rng: rng}
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := w.round(); err != nil {
			c.load.Errorf("%s: %v", c.name, err)
			if c.load.failures.Add(1) > 5 {
				return
			}
		}
		c.rounds[i].Add(1)
		c.tell()
		// A moment's thought, so that the machine is not all the application's.
		_, _ = w.conn.Exec(context.WithoutCancel(c.load.Context()), "SELECT pg_sleep(0.002)")
	}
}

func (c *crew) tell() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

type worker struct {
	*crew
	conn *pgx.Conn
	rng  *rand.Rand
}

// round is one thing that an application does.
func (w *worker) round() error {
	m, g := w.load.model, w.tongue
	switch dice := w.rng.IntN(10); {
	case dice < 2 && g.insert != "":
		id := m.next.Add(1)
		return w.locked(id, func(s *stripe) error {
			fresh := m.blank
			args := w.values(id, &fresh)
			if err := w.changes(g.insert, args...); err != nil {
				return err
			}
			s.rows[id] = fresh
			return w.check(id, s)
		})
	case dice < 5 && g.update != "":
		return w.some(func(id int64, s *stripe) error { return w.update(id, s, dice == 4) })
	case dice < 6 && g.remove != "":
		return w.some(func(id int64, s *stripe) error {
			err := w.changes(g.remove, id)
			if err == nil {
				delete(s.rows, id)
			}
			return err
		})
	case dice < 8:
		return w.some(w.check)
	case dice < 9 && len(g.also) > 0:
		_, err := w.send(g.also[w.rng.IntN(len(g.also))])
		return err
	default:
		return w.some(w.check)
	}
}

// update writes a row, in a transaction with a look at it where that is asked for.
func (w *worker) update(id int64, s *stripe, inTransaction bool) error {
	written := s.rows[id]
	args := w.values(id, &written)
	if !inTransaction {
		err := w.changes(w.tongue.update, args...)
		if err == nil {
			s.rows[id] = written
			err = w.check(id, s)
		}
		return err
	}
	if _, err := w.send("BEGIN"); err != nil {
		return err
	}
	before := s.rows[id]
	err := w.changes(w.tongue.update, args...)
	if err == nil {
		s.rows[id] = written
		err = w.check(id, s)
	}
	if _, endErr := w.send("COMMIT"); err != nil || endErr != nil {
		s.rows[id] = before
		err = errors.Join(err, endErr)
	}
	if w.outdated(err) {
		return w.update(id, s, false)
	}
	return err
}

// outdated says that a statement has to be prepared again, where that was foretold.
func (w *worker) outdated(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || failure.Code != "0A000" || !w.tongue.stale {
		return false
	}
	w.load.stale.Add(1)
	return true
}

// values makes new ones for a row, and gives the arguments of the statement.
func (w *worker) values(id int64, into *row) []any {
	args := []any{id}
	for i := range w.tongue.fields {
		into[i] = w.tongue.value[i](w.rng.Int64N(1 << 40))
		var arg any = into[i]
		if into[i] == null {
			arg = nil
		}
		args = append(args, arg)
	}
	if w.tongue.derive != nil {
		*into = w.tongue.derive(*into)
	}
	return args
}

func (w *worker) locked(id int64, work func(s *stripe) error) error {
	s := w.load.model.stripe(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return work(s)
}

// some takes a row that is there.
func (w *worker) some(work func(id int64, s *stripe) error) error {
	for range 1000 {
		id := 1 + w.rng.Int64N(seeded)
		switch last := w.load.model.next.Load(); w.rng.IntN(3) {
		case 0:
			id = 1 + w.rng.Int64N(20) // rows that everybody writes
		case 1:
			id = last - w.rng.Int64N(min(last-1_000_000+1, 20))
		}
		there := false
		err := w.locked(id, func(s *stripe) error {
			if _, there = s.rows[id]; !there {
				return nil
			}
			return work(id, s)
		})
		if there || err != nil {
			return err
		}
	}
	return errors.New("there are hardly any rows left")
}

// check reads a row as the release sees it.
func (w *worker) check(id int64, s *stripe) error {
	got, err := w.send(w.tongue.read, id)
	if err != nil {
		return err
	}
	if len(got) != 1 || !same(got[0][:w.tongue.fields], s.rows[id]) {
		return fmt.Errorf("%s: row %d is %q, want %q", w.tongue.read, id, got, s.rows[id])
	}
	return nil
}

// changes wants exactly one row to be written.
func (w *worker) changes(statement string, args ...any) error {
	start := time.Now()
	tag, err := w.conn.Exec(context.WithoutCancel(w.load.Context()), statement, args...)
	w.load.took(w.name, statement, time.Since(start))
	if w.conn.PgConn().TxStatus() == 'I' && w.outdated(err) {
		return w.changes(statement, args...)
	}
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("%d rows", tag.RowsAffected())
	}
	if err != nil {
		return fmt.Errorf("%s %v: %w", statement, args, err)
	}
	return nil
}

// send gives the rows of a statement as text.
func (w *worker) send(statement string, args ...any) ([][]string, error) {
	start := time.Now()
	got, err := rowsOf(w.load.Context(), w.conn, statement, args...)
	w.load.took(w.name, statement, time.Since(start))
	if w.conn.PgConn().TxStatus() == 'I' && w.outdated(err) {
		return w.send(statement, args...)
	}
	return got, err
}

func rowsOf(ctx context.Context, conn interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, statement string, args ...any,
) (all [][]string, err error) {
	rows, err := conn.Query(context.WithoutCancel(ctx), statement, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w", statement, args, err)
	}
	for rows.Next() {
		var one []string
		for _, value := range rows.RawValues() {
			if value == nil {
				one = append(one, null)
				continue
			}
			one = append(one, string(value))
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s %v: %w", statement, args, err)
	}
	return all, nil
}

func (l *load) took(name, statement string, d time.Duration) {
	l.sent.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if d > l.longest {
		l.longest, l.which = d, name+": "+statement
	}
}

// audit compares every row, as a release sees it, with the model. Nobody writes meanwhile.
func (l *load) audit(when string, g tongue) {
	l.Helper()
	got, err := rowsOf(l.Context(), l.app, g.all, pgx.QueryExecModeExec)
	if err != nil {
		l.Errorf("%s: %v", when, err)
		return
	}
	want := l.model.rows()
	wrong := 0
	for _, one := range got {
		id, err := strconv.ParseInt(one[0], 10, 64)
		row, there := want[id]
		if wanted := there && same(one[1:], row); err != nil || !wanted {
			if wrong++; wrong < 4 {
				l.Errorf("%s: row %s is %q, want %q (%t)", when, one[0], one[1:], row[:g.fields], there)
			}
		}
		delete(want, id)
	}
	if wrong > 0 || len(want) > 0 {
		l.Errorf("%s: %d rows are wrong and %d are missing, of %d", when, wrong, len(want), len(got))
	}
}

// words makes values of a prefix.
func words(prefix string) func(int64) string {
	return func(n int64) string { return prefix + strconv.FormatInt(n, 36) }
}

// numbers makes values below a bound.
func numbers(below int64) func(int64) string {
	return func(n int64) string { return strconv.FormatInt(n%below, 10) }
}

// oneOf makes values of a list.
func oneOf(values ...string) func(int64) string {
	return func(n int64) string { return values[n%int64(len(values))] }
}
