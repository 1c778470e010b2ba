package gate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// mostTold bounds how many statements of one release and answer are named.
const mostTold = 5

// read gathers the statements: what was recorded, and what the servers have counted.
func (a *asking) read(ctx context.Context) error {
	for _, query := range a.request.Recorded {
		a.add(query, time.Time{})
	}
	statistics, err := a.remembered(ctx, "", func(past Snapshot) (Statistics, error) {
		return ReadStatistics(ctx, a.config.Server.Pool(), past, a.request.Releases, a.request.Now)
	})
	if err != nil {
		return err
	}
	a.silence(checkStatistics, "", statistics)
	if err := a.replicas(ctx); err != nil {
		return err
	}
	return a.searchPaths(ctx)
}

// remembered reads statistics beside the snapshot that was kept of them, and keeps the new one.
func (a *asking) remembered(ctx context.Context, name string, read func(past Snapshot) (Statistics, error)) (Statistics, error) {
	var past Snapshot
	if a.config.Memory != nil {
		var err error
		if past, err = a.config.Memory.Load(ctx, name); err != nil {
			return Statistics{}, fmt.Errorf("load snapshot of statistics: %w", err)
		}
	}
	statistics, err := read(past)
	if err != nil || a.config.Memory == nil || statistics.Snapshot.Started.IsZero() {
		return statistics, err
	}
	if err := a.config.Memory.Save(ctx, name, statistics.Snapshot); err != nil {
		return statistics, fmt.Errorf("save snapshot of statistics: %w", err)
	}
	return statistics, nil
}

func (a *asking) readReplica(ctx context.Context, name, url string) (Statistics, error) {
	return a.remembered(ctx, name, func(past Snapshot) (Statistics, error) {
		return readReplica(ctx, url, past, a.request.Releases, a.request.Now)
	})
}

// silence takes the statements of a server, and says whether what is not among them was not sent.
func (a *asking) silence(check, prefix string, statistics Statistics) {
	for i, query := range statistics.Queries {
		a.add(query, statistics.from[i])
	}
	if statistics.Missing != "" {
		a.ground(check, migration.AnswerUnknown, "%s%s", prefix, statistics.Missing)
		return
	}
	window, watched := a.window(), statistics.watched()
	if check == checkStatistics {
		a.watched = watched
	}
	if enough := watched.Add(window); enough.After(a.request.Now) {
		why := ""
		if !statistics.Snapshot.Evicted.IsZero() && !statistics.Snapshot.Evicted.Before(statistics.Snapshot.Since) {
			why = ", when statements were dropped for want of room (raise pg_stat_statements.max)"
		}
		asked := ""
		if window >= time.Second {
			asked = fmt.Sprintf(", and %s are asked for", window)
		}
		a.ground(check, migration.AnswerUnknown, "%sstatements are counted without a gap for %s%s%s", prefix,
			max(0, a.request.Now.Sub(watched)).Round(time.Second), why, asked).Until = enough
		return
	}
	if len(statistics.Queries) == 0 {
		a.ground(check, migration.AnswerUnknown, "%sno statement of an application was ever seen", prefix)
		return
	}
	a.ground(check, migration.AnswerSafe, "%s%d statements are known, and none was missed since %s", prefix, len(statistics.Queries), watched.UTC().Format(time.RFC3339))
}

// window is how long silence must last to count.
func (a *asking) window() time.Duration {
	if a.request.Window > 0 {
		return a.request.Window
	}
	return DefaultWindow
}

func (a *asking) add(query migration.Query, from time.Time) {
	if s, ok := newStatement(query); ok {
		s.from = from
		a.statements = append(a.statements, s)
	}
}

// searchPaths reads where roles look names up.
func (a *asking) searchPaths(ctx context.Context) error {
	paths, err := rolePaths(ctx, a.config.Server.Pool())
	if err != nil {
		return err
	}
	for _, s := range a.statements {
		s.along(paths)
	}
	return nil
}

// rolePaths gives the search paths that were set for roles.
func rolePaths(ctx context.Context, conn querier) (map[string]string, error) {
	rows, err := conn.Query(ctx, `SELECT r.rolname::text, substr(c, length('search_path=') + 1) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
		CROSS JOIN unnest(s.setconfig) c WHERE c LIKE 'search\_path=%' AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
		ORDER BY s.setdatabase`)
	if err != nil {
		return nil, server.Explain("read search paths of roles", err)
	}
	paths := map[string]string{}
	var role, path string
	_, err = pgx.ForEachRow(rows, []any{&role, &path}, func() error {
		paths[role] = path
		return nil
	})
	return paths, server.Explain("read search paths of roles", err)
}

// along gives a statement the search path of its role.
func (s *statement) along(paths map[string]string) {
	path, ok := paths[s.Role]
	if !ok {
		return
	}
	s.search = strings.ReplaceAll(path, `"$user"`, server.Identifier(s.Role))
	s.path = []string{}
	for _, token := range read(s.search).tokens {
		if token.Text != "," {
			s.path = append(s.path, token.Value())
		}
	}
}

// settle finds, on the schema as it is, the form in which each statement is taken, and what it stands on.
func (a *asking) settle(ctx context.Context) error {
	if err := a.prober.settle(ctx, a.statements, a.before); err != nil {
		return err
	}
	gone := a.gone()
	for _, s := range a.statements {
		if s.form == "" || !spoken(s.read, gone) {
			continue
		}
		if err := a.prober.look(ctx, s.search); err != nil {
			return err
		}
		var err error
		if s.stands, s.sure, err = a.prober.needed(ctx, s.form, s.worked.parameters, gone); err != nil {
			return err
		}
	}
	return nil
}

// settle tries statements that have no form yet, in one after the other, and keeps the first that works.
func (p *prober) settle(ctx context.Context, statements []*statement, now schema) error {
	open := map[string][]*statement{}
	for _, s := range statements {
		if s.form == "" && s.read.planned() {
			open[s.search] = append(open[s.search], s)
		}
	}
	for path, list := range open {
		err := p.look(ctx, path)
		if err != nil && refusal(err) == nil {
			return err
		}
		if err != nil { // a path that cannot be set says nothing about the statements
			for _, s := range list {
				s.worked = outcome{code: "22023", message: "its search path cannot be set"}
			}
			continue
		}
		for form := 0; len(list) > 0; form++ {
			if list, err = p.form(ctx, list, form, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// form tries the nth form of statements, and gives those that did not work in it.
func (p *prober) form(ctx context.Context, statements []*statement, n int, now schema) (left []*statement, err error) {
	var texts []string
	var tried []*statement
	for _, s := range statements {
		if forms := variants(s.read); n < len(forms) && (n == 0 || s.worked.unreadable()) {
			texts, tried = append(texts, forms[n]), append(tried, s)
		}
	}
	outcomes, err := p.try(ctx, texts)
	if err != nil {
		return nil, err
	}
	for i, s := range tried {
		if outcomes[i].works() {
			s.form, s.worked, s.was = texts[i], outcomes[i], now
			continue
		}
		if n == 0 {
			s.worked = outcomes[i]
		}
		left = append(left, s)
	}
	return left, nil
}

// again tries statements once more, in the form that worked.
func (p *prober) again(ctx context.Context, statements []*statement) (map[*statement]outcome, error) {
	found := make(map[*statement]outcome, len(statements))
	byPath := map[string][]*statement{}
	for _, s := range statements {
		if s.form != "" {
			byPath[s.search] = append(byPath[s.search], s)
		}
	}
	for path, list := range byPath {
		if err := p.look(ctx, path); err != nil {
			return nil, err
		}
		texts := make([]string, len(list))
		for i, s := range list {
			texts[i] = s.form
		}
		outcomes, err := p.try(ctx, texts)
		if err != nil {
			return nil, err
		}
		for i, s := range list {
			found[s] = outcomes[i]
		}
	}
	return found, nil
}

// compare tries the statements on the schema as it will be.
func (a *asking) compare(ctx context.Context) error {
	outcomes, err := a.prober.again(ctx, a.statements)
	if err != nil {
		return err
	}
	stale := 0
	for _, s := range a.statements {
		answer, text := a.weigh(s, outcomes[s])
		count := a.counts[s.Release]
		switch answer {
		case "":
			stale++
		case migration.AnswerSafe:
			if s.touches() {
				count.fine++
			}
		default:
			count.bad++
			a.tell(s, answer, text)
		}
		switch {
		case !s.touches():
		case s.Source == "statistics":
			count.counted++
		default:
			count.recorded = true
		}
		a.counts[s.Release] = count
	}
	alike := func(x, y tale) int { return cmp.Or(cmp.Compare(x.release, y.release), cmp.Compare(x.answer, y.answer)) }
	for _, like := range slices.SortedFunc(maps.Keys(a.told), alike) {
		if n := a.told[like]; n > mostTold {
			a.ground(checkStatements, like.answer, "%d more statements are like these", n-mostTold).Release = like.release
		}
	}
	if len(a.statements) == 0 {
		a.ground(checkStatements, migration.AnswerUnknown, "no statement is known that could be tried")
	}
	if fine := a.counts[""].fine; fine > 0 {
		a.ground(checkStatements, migration.AnswerSafe, "%d statements of whomever work without it", fine)
	}
	if stale > 0 {
		a.ground(checkStatements, migration.AnswerSafe, "%d statements that need it were not sent since the last release that may", stale)
	}
	a.present()
	return nil
}

// weigh says what a statement means for the answer: "" that nobody sends it any more.
func (a *asking) weigh(s *statement, after outcome) (migration.Answer, string) {
	if s.form == "" {
		if !vague(a.request.Change.Removes, a.targets) && !possible(s.outer, a.targets, a.related) {
			return migration.AnswerSafe, ""
		}
		message := s.worked.message
		if message == "" {
			message = "it is no query"
		}
		return a.atMost(migration.AnswerUnknown, s), sqltext.Brief(sqltext.Postgres, s.SQL) + " cannot be tried as it is: " + message
	}
	m, unsure := s.misfit(after, a.after), s.unsure(after, a.after)
	switch {
	case m == nil && slices.ContainsFunc(s.stands, a.vanishes):
		return a.atMost(migration.AnswerUnsafe, s), "it needs it, and would silently mean something else"
	case m == nil && !s.sure && spoken(s.read, a.gone()):
		return a.atMost(migration.AnswerUnknown, s), "it has a name like it, and the server does not say which one is meant"
	case m == nil && unsure != "":
		return a.atMost(migration.AnswerUnknown, s), unsure
	case m == nil:
		return a.tightened(s)
	case after.code != "" && (strings.HasPrefix(after.code, "53") || strings.HasPrefix(after.code, "57")):
		return a.atMost(migration.AnswerUnknown, s), "it could not be tried: " + m.Message
	case m.Shape && a.newer(s):
		// It reads by name what it was made for; but what it has prepared fails once: "cached plan must not change result type".
		return migration.AnswerUnknown, m.Message + ": sessions that have it prepared fail once"
	default:
		return a.atMost(migration.AnswerUnsafe, s), told(*m)
	}
}

// told says what becomes of a statement.
func told(m migration.Misfit) string {
	if m.Code == "" {
		return sqltext.Brief(sqltext.Postgres, m.Query.SQL) + ": " + m.Message
	}
	return sqltext.Brief(sqltext.Postgres, m.Query.SQL) + " would fail: " + m.Message
}

// vanishes says whether nothing of a target's name takes its place.
func (a *asking) vanishes(t target) bool {
	if t.column != "" {
		return !a.after.relations[t.full()].has(t.column)
	}
	return !a.after.names[t.full()]
}

// newer says whether a statement is known to be of the release that brought the change, or of one after it.
func (a *asking) newer(s *statement) bool {
	p, known := a.presence(s.Release)
	if s.Release != "" {
		return known && !a.older(p)
	}
	return !a.active && len(a.request.Releases) > 0 && s.Source == "statistics" && !s.from.IsZero() && !s.from.Before(a.ended)
}

// atMost lowers an answer for what is not, or may not be, sent any more; "" for not at all.
func (a *asking) atMost(answer migration.Answer, s *statement) migration.Answer {
	p, known := a.presence(s.Release)
	ended := a.ended
	if s.Release != "" {
		if known && (!a.older(p) || a.alive(p)) {
			return answer
		}
		if s.Source != "statistics" || known && p.Role != "" {
			return "" // of a release that is gone; its role is looked for among the sessions
		}
		ended = p.Ended
	} else if a.active || ended.IsZero() || s.Source != "statistics" {
		return answer
	}
	switch {
	case !s.Seen.After(ended):
		return ""
	case s.from.IsZero() || s.from.Before(ended):
		return migration.AnswerUnknown // its last call may have been before that, or after
	default:
		return answer
	}
}

func (a *asking) tell(s *statement, answer migration.Answer, text string) {
	like := tale{s.Release, answer}
	if a.told[like]++; a.told[like] > mostTold {
		return
	}
	ground := a.ground(checkStatements, answer, "%s", text)
	ground.Release, ground.Statement, ground.Seen = s.Release, s.SQL, s.Seen
}
