package spec

import (
	"time"

	"github.com/segue-deploy/segue"
)

// The types of this file are segue.yaml as it is written: the decoder fills them, the JSON Schema is made from them. A `jsonschema` tag is the
// description that editors show; a field without omitempty must be there; `later` marks what is known and not supported, with the hint.

// file is the whole of it.
type file struct {
	Project   string                 `json:"project" jsonschema:"name of the project: letters, digits, '.', '_' and '-'"`
	Services  ordered[serviceBlock]  `json:"services" jsonschema:"the services of the project, by name"`
	Databases ordered[databaseBlock] `json:"databases,omitzero" jsonschema:"the databases whose schema moves with the releases, by name"`
	Witness   *Witness               `json:"witness,omitempty" jsonschema:"synthetic users who work through every rollout"`
}

// serviceBlock is one service.
type serviceBlock struct {
	Workload       workloadBlock      `json:"workload" jsonschema:"what runs the service's instances, and where"`
	Balancer       *balancerBlock     `json:"balancer,omitempty" jsonschema:"what spreads requests over them; leave it out for workers"`
	Strategy       strategyBlock      `json:"strategy,omitzero" jsonschema:"how the fleet goes from one release to the next"`
	Judges         judgesBlock        `json:"judges,omitzero" jsonschema:"what the candidate is judged by"`
	MinReady       *int               `json:"min_ready,omitempty" jsonschema:"ready servers in rotation that no step goes below; default: all servers less max_unavailable, all of them with surge"`
	RollbackWindow *time.Duration     `json:"rollback_window,omitempty" jsonschema:"how long after a rollout the previous release is kept ready to come back; default 24h"`
	Releases       map[string]Release `json:"releases,omitempty" jsonschema:"what is special about single releases, by name"`
}

// Release is what a file says of one release by name.
type Release struct {
	Breaking bool   `json:"breaking,omitempty" jsonschema:"old and new cannot share their surroundings: only all-at-once may carry it"`
	Artifact string `json:"artifact,omitempty" jsonschema:"file or folder of this release, in place of the workload's artifact"`
}

// workloadBlock is a workload: its driver, its servers, and the driver's own keys.
type workloadBlock struct {
	Driver     workloadDriver `json:"driver" jsonschema:"what runs the instances"`
	Servers    servers        `json:"servers,omitzero" jsonschema:"a number of servers, or their names, or name and partition of each"`
	Partitions []partition    `json:"partitions,omitempty" jsonschema:"groups of servers that are rolled one after the other, in this order; in place of servers"`
	ProcessWorkload
}

// partition is a named group of servers.
type partition struct {
	Name    string  `json:"name" jsonschema:"name of the partition"`
	Servers servers `json:"servers" jsonschema:"a number of servers, or their names"`
}

// balancerBlock is a balancer: its driver and that driver's own keys.
type balancerBlock struct {
	Driver balancerDriver `json:"driver" jsonschema:"what spreads the requests"`
	EmbeddedBalancer
}

// strategyBlock says how a service goes from one release to the next.
type strategyBlock struct {
	Kind           strategyKind   `json:"kind,omitempty" jsonschema:"the strategy; default rolling"`
	Batches        []batch        `json:"batches,omitempty" jsonschema:"cumulative targets, per partition; the last one is always followed by all; default [1, 100%]"`
	Bake           *time.Duration `json:"bake,omitempty" jsonschema:"how long the mixed fleet is observed after the first batch; default 5m"`
	BakeEach       bool           `json:"bake_each,omitempty" jsonschema:"observe that long after every batch"`
	Surge          bool           `json:"surge,omitempty" jsonschema:"start the new instance beside the old one before that is drained"`
	MaxUnavailable count          `json:"max_unavailable,omitzero" jsonschema:"servers out of rotation at one time, as a number or a percentage; default 1"`
	Approve        bool           `json:"approve,omitempty" jsonschema:"wait for a person's yes after the first batch"`
	OnFailure      failurePolicy  `json:"on_failure,omitempty" jsonschema:"what a failed gate does; default rollback"`
	Mirror         *mirrorBlock   `json:"mirror,omitempty" jsonschema:"in parallel: which requests the candidate gets copies of before it gets its own"`
}

// mirrorBlock says which requests are copied.
type mirrorBlock struct {
	Share   *percent       `json:"share,omitempty" jsonschema:"share of the requests that may be copied; default 10%"`
	For     *time.Duration `json:"for,omitempty" jsonschema:"how long answers are compared; default 1m"`
	Methods []string       `json:"methods,omitempty" jsonschema:"methods beside GET and HEAD that may be copied on paths, where doing it more than once does no harm"`
	Paths   []string       `json:"paths,omitempty" jsonschema:"paths, with what is below them, on which these methods may be copied"`
}

// judgesBlock is what the candidate is judged by.
type judgesBlock struct {
	Errors     errorsJudge    `json:"errors,omitzero" jsonschema:"share of failed answers (5xx, and what the balancer could not deliver)"`
	Latency    latencyJudge   `json:"latency,omitzero" jsonschema:"99th percentile of the time to answer"`
	Crashes    crashesJudge   `json:"crashes,omitzero" jsonschema:"instances that end by themselves"`
	Witness    *bool          `json:"witness,omitempty" jsonschema:"findings of the witness fail the rollout; default true where there is a witness"`
	MinSamples *int           `json:"min_samples,omitempty" jsonschema:"requests on each side below which nothing is said; default 100"`
	Wait       *time.Duration `json:"wait,omitempty" jsonschema:"how much longer than bake to wait for enough data before a person is asked; default 0s: go on without, and say so"`

	Budget  *budget        `json:"budget,omitempty" jsonschema:"false-alarm rate that the judges of evidence may use up together in one rollout, or off; default 5%"`
	Logs    logsJudge      `json:"logs,omitzero" jsonschema:"what instances write; default on"`
	Metrics metricsJudge   `json:"metrics,omitzero" jsonschema:"requests by evidence, and the instances' own metrics; default on where there is a balancer"`
	Warm    *time.Duration `json:"warm,omitempty" jsonschema:"age up to which a process is slow by nature, and only what is severe counts; default 1m"`
	Kayenta *toggle        `json:"kayenta,omitempty" jsonschema:"report what Spinnaker's Kayenta would say, too; it decides nothing; default off"`
	Caveats string         `json:"caveats,omitempty" jsonschema:"file of the findings that the team knows of and lives with; default caveats.yaml, where there is one"`
	Second  *toggle        `json:"second,omitempty" jsonschema:"put stable on trial where the candidate failed: was it the version, or the machine? default on"`
	Placebo *toggle        `json:"placebo,omitempty" jsonschema:"judge one stable server against the others while nothing is rolled out, to measure false alarms; default on"`
}

// errorsJudge is the limit of failed answers, or off.
type errorsJudge struct {
	errorsBlock
	off bool
}

type errorsBlock struct {
	Limit *percent `json:"limit,omitempty" jsonschema:"share by which the candidate may be worse than stable; default 1%"`
}

// latencyJudge is the limit of the 99th percentile, or off.
type latencyJudge struct {
	latencyBlock
	off bool
}

type latencyBlock struct {
	Ratio *float64       `json:"ratio,omitempty" jsonschema:"how many times stable's the candidate's may be; default 2"`
	Floor *time.Duration `json:"floor,omitempty" jsonschema:"what is below never fails; default 100ms"`
}

// logsJudge judges what instances write, or is off.
type logsJudge struct {
	logsBlock
	off bool
}

type logsBlock struct {
	Expected []string `json:"expected,omitempty" jsonschema:"text of lines that releases are known to bring"`
}

// metricsJudge judges requests and metrics, or is off.
type metricsJudge struct {
	metricsBlock
	off bool
}

type metricsBlock struct {
	Scrape     *scrapeBlock     `json:"scrape,omitempty" jsonschema:"where an instance shows its own metrics, in Prometheus' text format"`
	Prometheus *prometheusBlock `json:"prometheus,omitempty" jsonschema:"a Prometheus server that is asked"`
}

type scrapeBlock struct {
	Path string `json:"path,omitempty" jsonschema:"path of the metrics; default /metrics"`
	Port int    `json:"port,omitempty" jsonschema:"port of the metrics; default: the instance's own"`
}

type prometheusBlock struct {
	URL       string            `json:"url" jsonschema:"URL of the server"`
	TokenFile string            `json:"token_file,omitempty" jsonschema:"file of a bearer token"`
	Label     string            `json:"label,omitempty" jsonschema:"label that names the server in the answers; default instance"`
	Queries   map[string]string `json:"queries" jsonschema:"PromQL queries that give one series per server, by a name for findings"`
}

// crashesJudge is the number of crashes that are put up with.
type crashesJudge struct {
	Limit int `json:"limit,omitempty" jsonschema:"crashes of candidate instances that are put up with; default 0"`
}

// databaseBlock is a database and the migrations that come with releases.
type databaseBlock struct {
	Driver     databaseDriver         `json:"driver" jsonschema:"what the database is"`
	URL        string                 `json:"url" jsonschema:"how to reach it: postgres://..., or the path of an SQLite file; best as a variable"`
	Migrations string                 `json:"migrations,omitempty" jsonschema:"folder of the migrations, as the team has them; may have {release} in it"`
	Format     databaseFormat         `json:"format,omitempty" jsonschema:"whose folder it is; default: found out"`
	History    string                 `json:"history,omitempty" jsonschema:"table in which the team's own runner keeps what it ran; default: that runner's"`
	Command    []string               `json:"command,omitempty" jsonschema:"runs the migrations in place of Segue (Rails, Django, Alembic), within Segue's locks and gates"`
	Services   []string               `json:"services,omitempty" jsonschema:"services that use it; default: all"`
	Statements string                 `json:"statements,omitempty" jsonschema:"file of the statements that a release sends, as segue record writes it; may have {release} in it"`
	Scratch    string                 `json:"scratch,omitempty" jsonschema:"URL of another server of the same version for scratch copies; default: the server itself"`
	Replicas   []string               `json:"replicas,omitempty" jsonschema:"URLs of the replicas, whose statistics the gate asks, too"`
	Roles      *rolesBlock            `json:"roles,omitempty" jsonschema:"a login role per release, so that every statement is known to be a release's"`
	Backfill   backfillBlock          `json:"backfill,omitzero" jsonschema:"how fast long work goes"`
	Contract   contractBlock          `json:"contract,omitzero" jsonschema:"what a contract step waits for"`
	Schemas    map[string]schemaBlock `json:"schemas,omitempty" jsonschema:"JSON Schemas of semi-structured columns, by table.column"`
}

type rolesBlock struct {
	Group    string `json:"group" jsonschema:"NOLOGIN group that is granted access to the tables; the logins of releases become its members"`
	Variable string `json:"variable,omitempty" jsonschema:"environment variable that instances get their URL in; default DATABASE_URL"`
}

type backfillBlock struct {
	Budget  *percent        `json:"budget,omitempty" jsonschema:"share of the time that backfills may work; default 50%"`
	Rollout backfillRollout `json:"during_rollout,omitempty" jsonschema:"what a backfill does while a rollout is under way; default pause"`
}

type contractBlock struct {
	After    *time.Duration `json:"after,omitempty" jsonschema:"how long after the last older release a contract step waits at least; default 0s: the rollback window alone"`
	Watch    *time.Duration `json:"watch,omitempty" jsonschema:"how long statements must have been watched for silence to count; default 1h"`
	BrownOut *time.Duration `json:"brown_out,omitempty" jsonschema:"how long what goes is hidden before it is removed; default 1m"`
}

type schemaBlock struct {
	File string     `json:"file" jsonschema:"the JSON Schema; may have {release} in it"`
	Mode schemaMode `json:"mode,omitempty" jsonschema:"which releases must be able to read whose values; default full"`
}

// Drivers and strategies that this version has, and those that are known to come.
const (
	driverProcess  = "process"
	driverEmbedded = "embedded"
	driverPostgres = "postgres"
	driverSQLite   = "sqlite"
)

type (
	databaseDriver  string
	databaseFormat  string
	backfillRollout string
	schemaMode      string
	workloadDriver  string
	balancerDriver  string
	strategyKind    segue.StrategyKind
	failurePolicy   segue.FailurePolicy
)

func (workloadDriver) choices() (known, later []string) {
	return []string{driverProcess}, []string{"docker", "systemd", "kubernetes"}
}

func (balancerDriver) choices() (known, later []string) {
	return []string{driverEmbedded}, []string{"haproxy", "nginx", "caddy", "gateway"}
}

func (databaseDriver) choices() (known, later []string) {
	return []string{driverPostgres, driverSQLite}, []string{"mysql", "mariadb"}
}

func (databaseFormat) choices() (known, later []string) {
	return []string{"plain", "goose", "golang-migrate", "flyway", "tern", "dbmate"}, []string{"liquibase", "sqitch"}
}

func (backfillRollout) choices() (known, later []string) { return []string{"pause", "continue"}, nil }

func (schemaMode) choices() (known, later []string) {
	return []string{"backward", "forward", "full", "none"}, nil
}

func (d *databaseDriver) parseText(text string) error  { return choose("database driver", text, d) }
func (f *databaseFormat) parseText(text string) error  { return choose("format", text, f) }
func (b *backfillRollout) parseText(text string) error { return choose("choice", text, b) }
func (m *schemaMode) parseText(text string) error      { return choose("mode", text, m) }

func (strategyKind) choices() (known, later []string) {
	return []string{string(segue.Rolling), string(segue.AllAtOnce), string(segue.Parallel)},
		[]string{"canary", "blue-green", "switchover", "partitioned", "handoff"}
}

func (failurePolicy) choices() (known, later []string) {
	return []string{string(segue.FailRollback), string(segue.FailHold)}, nil
}

func (w *workloadDriver) parseText(text string) error { return choose("workload driver", text, w) }
func (b *balancerDriver) parseText(text string) error { return choose("balancer driver", text, b) }
func (s *strategyKind) parseText(text string) error   { return choose("strategy", text, s) }
func (p *failurePolicy) parseText(text string) error {
	return choose("policy", text, p)
}
