// Package gate says what still needs a part of a PostgreSQL database: whether a contract change may run, and which releases' statements work with which stage
// of the schema. The server itself is asked, on a copy of the schema without rows: every statement that was seen is prepared and planned there, before and
// after. What it cannot tell (bodies of functions, whole rows, silence) is told by rules that err on the side of "unknown".
package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// DefaultWindow is how long the server must have been watched for silence to count: a day has every hour of a daily job in it.
const DefaultWindow = 24 * time.Hour

// What a gate looks at, as its grounds name it.
const (
	checkReleases     = "releases"
	checkSessions     = "sessions"
	checkStatements   = "statements"
	checkStatistics   = "statistics"
	checkDependencies = "dependencies"
	checkFunctions    = "functions"
	checkSlots        = "slots"
	checkReplicas     = "replicas"
)

// Memory keeps the latest snapshot of each server's statistics between two looks: "" is the database's own server, replicas go by their host and port.
type Memory interface {
	// Load gives the zero Snapshot where there is none.
	Load(ctx context.Context, name string) (Snapshot, error)
	Save(ctx context.Context, name string, snapshot Snapshot) error
}

// Config says what a Gatekeeper may ask.
type Config struct {
	Server *server.Server
	// Memory may be nil: then the last call of a statement is only known to be before now.
	Memory Memory
	// Replicas are URLs of standbys that applications read from. They are secrets.
	Replicas []string
	// Slots is the answer where a consumer of changes (logical replication) reads the table: AnswerUnknown for "", AnswerUnsafe where such a consumer
	// must never be broken.
	Slots migration.Answer
}

// Gatekeeper answers for one database. It may be used by several at the same time.
type Gatekeeper struct{ config Config }

// New makes a gatekeeper; nothing is asked of the server yet.
func New(config Config) *Gatekeeper { return &Gatekeeper{config: config} }

// asking is one asking of a gate.
type asking struct {
	*Gatekeeper
	request migration.GateRequest
	gate    migration.Gate

	prober        *prober
	before, after schema
	targets       []target
	// related are the names of what stands on the targets, and could be named in their place.
	related map[string]bool
	// lame are functions that do not work as things are.
	lame       map[string]bool
	tightening tightening
	// active is true while an older release runs or may come back; ended is when the last of them stopped.
	active bool
	ended  time.Time
	// watched is since when the database's own server has counted every statement; zero when it has not.
	watched    time.Time
	statements []*statement
	counts     map[segue.ReleaseName]count
	told       map[tale]int
}

// count is of the statements of a release.
type count struct {
	// fine ones work without what goes, bad ones may not.
	fine, bad int
	// counted are known from the server; recorded says that some are known from elsewhere.
	counted  int
	recorded bool
}

// tale is what statements are told alike by.
type tale struct {
	release segue.ReleaseName
	answer  migration.Answer
}

// Ask says whether a contract change may run now, with every ground that was looked at. An error means that it could not be found out at all.
func (k *Gatekeeper) Ask(ctx context.Context, request migration.GateRequest) (gate migration.Gate, err error) {
	start := time.Now()
	a := &asking{Gatekeeper: k, request: request, gate: migration.Gate{Change: request.Change.ID, At: request.Now}}
	a.counts, a.told = map[segue.ReleaseName]count{}, map[tale]int{}
	err = k.onCopy(ctx, func(p *prober) error {
		a.prober = p
		for _, look := range []func(context.Context) error{a.releases, a.sessions, a.read, a.schema, a.slots} {
			if err := look(ctx); err != nil {
				return fmt.Errorf("ask the gate of %s: %w", request.Change.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return gate, err
	}
	a.gate.Settle()
	a.gate.Statements, a.gate.Took = len(a.statements), time.Since(start)
	return a.gate, nil
}

func (a *asking) ground(check string, answer migration.Answer, format string, args ...any) *migration.Ground {
	a.gate.Grounds = append(a.gate.Grounds, migration.Ground{Check: check, Answer: answer, Text: fmt.Sprintf(format, args...)})
	return &a.gate.Grounds[len(a.gate.Grounds)-1]
}

// schema tries everything on the copy: before, then with the change, and after.
func (a *asking) schema(ctx context.Context) (err error) {
	if a.before, err = readSchema(ctx, a.prober.conn); err != nil {
		return err
	}
	if a.targets, err = resolve(ctx, a.prober.conn, a.request.Change.Removes); err != nil {
		return err
	}
	bodies, err := readFunctions(ctx, a.prober.conn)
	if err != nil {
		return err
	}
	if err := a.lameFunctions(ctx, bodies); err != nil {
		return err
	}
	dependents, err := a.dependents(ctx)
	if err != nil {
		return err
	}
	rules, err := readRules(ctx, a.prober.conn)
	if err != nil {
		return err
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	applied, err := a.apply(ctx, dependents)
	if err != nil {
		return err
	}
	if err := a.functions(ctx, bodies, applied); err != nil || !applied {
		return err
	}
	if a.after, err = readSchema(ctx, a.prober.conn); err != nil {
		return err
	}
	if a.tightening, err = a.readTightening(ctx, rules); err != nil {
		return err
	}
	a.writes(bodies)
	return a.compare(ctx)
}

// apply does the change to the copy.
func (a *asking) apply(ctx context.Context, dependents []string) (applied bool, err error) {
	if err := a.prober.look(ctx, ""); err != nil {
		return false, err
	}
	err = apply(ctx, a.prober.conn, a.request.Change)
	failure := refusal(err)
	switch {
	case err != nil && failure == nil:
		return false, server.Explain("apply the change to the copy", err)
	case err == nil:
		a.cascaded(dependents)
		return true, nil
	case failure.code == "2BP01" && len(dependents) > 0:
		for _, text := range dependents {
			a.ground(checkDependencies, migration.AnswerUnsafe, "%s needs it", text)
		}
	case failure.code == "2BP01":
		a.ground(checkDependencies, migration.AnswerUnsafe, "the server refuses it: %s", failure.message)
	default:
		a.ground(checkDependencies, migration.AnswerUnknown, "it could not be tried on a copy of the schema: %s", failure.message)
	}
	return false, nil
}

// refusal gives what the server said, nil where an error is none of its answers.
func refusal(err error) *outcome {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	return &outcome{code: failure.Code, message: failure.Message}
}
