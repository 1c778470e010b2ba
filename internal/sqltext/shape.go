// Package sqltext reads SQL as far as planning needs it: tokens, statements, comments, and what a statement changes. It is no validator: the server is.
// Whatever it does not know is KindOther, with its text, and never an error by itself.
package sqltext

// Dialect is whose SQL it is.
type Dialect int

// The dialects.
const (
	Postgres Dialect = iota
	SQLite
	MySQL
)

// Name is a possibly qualified identifier, unquoted and folded as the dialect does.
type Name struct {
	Schema string
	Name   string
}

// Zero says whether it names nothing.
func (n Name) Zero() bool { return n.Name == "" }

// Kind says what a statement does.
type Kind string

// The statements that planning knows.
const (
	KindCreateTable    Kind = "create table"
	KindCreateTableAs  Kind = "create table as"
	KindAlterTable     Kind = "alter table"
	KindDropTable      Kind = "drop table"
	KindCreateIndex    Kind = "create index"
	KindDropIndex      Kind = "drop index"
	KindAlterIndex     Kind = "alter index"
	KindReindex        Kind = "reindex"
	KindCreateView     Kind = "create view"
	KindDropView       Kind = "drop view"
	KindCreateType     Kind = "create type"
	KindAlterType      Kind = "alter type"
	KindDropType       Kind = "drop type"
	KindCreateDomain   Kind = "create domain"
	KindAlterDomain    Kind = "alter domain"
	KindCreateFunction Kind = "create function"
	KindDropFunction   Kind = "drop function"
	KindCreateTrigger  Kind = "create trigger"
	KindDropTrigger    Kind = "drop trigger"
	KindCreateSequence Kind = "create sequence"
	KindAlterSequence  Kind = "alter sequence"
	KindDropSequence   Kind = "drop sequence"
	KindCreateExt      Kind = "create extension"
	KindCreateSchema   Kind = "create schema"
	KindDropSchema     Kind = "drop schema"
	KindGrant          Kind = "grant"
	KindRevoke         Kind = "revoke"
	KindComment        Kind = "comment"
	KindInsert         Kind = "insert"
	KindUpdate         Kind = "update"
	KindDelete         Kind = "delete"
	KindTruncate       Kind = "truncate"
	KindSelect         Kind = "select"
	KindSet            Kind = "set"
	KindVacuum         Kind = "vacuum"
	KindBegin          Kind = "begin"
	KindCommit         Kind = "commit"
	KindDo             Kind = "do"
	KindOther          Kind = "other"
)

// Shape is what a statement says, as far as it was understood. Expressions are text as written.
type Shape struct {
	Kind Kind
	// Table it is about, where it is about one; Name of the other object (index, view, type, function, trigger, constraint).
	Table Name
	Name  Name
	// Names are all objects of a DROP or TRUNCATE of several.
	Names []Name

	IfExists, IfNotExists, OrReplace    bool
	Concurrently, Unique, Only, Cascade bool
	Temporary, Materialized             bool
	// PartitionOf names the parent in CREATE TABLE ... PARTITION OF.
	PartitionOf Name

	// Clauses are ALTER TABLE's subcommands or CREATE TABLE's columns and constraints, in order.
	Clauses []Clause
	// Elements are the columns or expressions of an index, as written; Columns those of an INSERT (nil: positional) or of a plain index.
	Elements []string
	Columns  []string
	Method   string

	// Of UPDATE, DELETE and INSERT.
	Set       []Assignment
	From      string
	Where     string
	Returning string
	// Star is true where the select list or RETURNING has a bare or qualified *.
	Star bool
	// Conflict is INSERT's ON CONFLICT target, as written, and HasConflict whether there is one.
	Conflict    string
	HasConflict bool

	// Value is ALTER TYPE ... ADD VALUE's; NewName is of any RENAME.
	Value   string
	NewName string
	// Action is the keyword of ALTER TYPE, ALTER DOMAIN, ALTER INDEX: "add value", "rename value", "rename", "attach partition", ...
	Action string
	// SQL is the whole statement.
	SQL string
}

// Assignment is one `column = expression` of SET.
type Assignment struct {
	Column string
	Expr   string
}

// ClauseKind says what a clause of ALTER TABLE or CREATE TABLE does.
type ClauseKind string

// The clauses that planning knows.
const (
	ClauseAddColumn          ClauseKind = "add column"
	ClauseDropColumn         ClauseKind = "drop column"
	ClauseRenameColumn       ClauseKind = "rename column"
	ClauseRenameTable        ClauseKind = "rename table"
	ClauseRenameConstraint   ClauseKind = "rename constraint"
	ClauseSetType            ClauseKind = "set type"
	ClauseSetDefault         ClauseKind = "set default"
	ClauseDropDefault        ClauseKind = "drop default"
	ClauseSetNotNull         ClauseKind = "set not null"
	ClauseDropNotNull        ClauseKind = "drop not null"
	ClauseAddConstraint      ClauseKind = "add constraint"
	ClauseDropConstraint     ClauseKind = "drop constraint"
	ClauseValidateConstraint ClauseKind = "validate constraint"
	ClauseSetSchema          ClauseKind = "set schema"
	ClauseOwner              ClauseKind = "owner to"
	ClauseSetOption          ClauseKind = "set option"
	ClauseIdentity           ClauseKind = "identity"
	ClauseDropExpression     ClauseKind = "drop expression"
	ClauseSetExpression      ClauseKind = "set expression"
	ClauseAttachPartition    ClauseKind = "attach partition"
	ClauseDetachPartition    ClauseKind = "detach partition"
	ClauseRowSecurity        ClauseKind = "row security"
	ClauseOther              ClauseKind = "other"
)

// Clause is one part of ALTER TABLE or CREATE TABLE.
type Clause struct {
	Kind   ClauseKind
	Column string
	// Type of an added or retyped column, as written; Using is ALTER TYPE's, Collate either's.
	Type, Using, Collate string
	// Default as written; HasDefault tells DEFAULT NULL from none.
	Default    string
	HasDefault bool
	NotNull    bool
	// Generated is "stored" or "virtual" with Expr; Identity is "always" or "by default".
	Generated, Identity, Expr string
	// Constraints are those written inline with a column, or the one of ADD CONSTRAINT.
	Constraints []Constraint
	// Name of a constraint, partition or option; NewName of a rename.
	Name, NewName                  string
	IfExists, IfNotExists, Cascade bool
	Concurrently                   bool
	// SQL is the clause as written, without ALTER TABLE.
	SQL string
}

// ConstraintKind sorts constraints.
type ConstraintKind string

// The constraints.
const (
	ConstraintCheck      ConstraintKind = "check"
	ConstraintForeignKey ConstraintKind = "foreign key"
	ConstraintUnique     ConstraintKind = "unique"
	ConstraintPrimaryKey ConstraintKind = "primary key"
	ConstraintExclude    ConstraintKind = "exclude"
	ConstraintNotNull    ConstraintKind = "not null"
)

// Constraint is one rule of a table.
type Constraint struct {
	Kind ConstraintKind
	// Name is "" where the server makes one up.
	Name    string
	Columns []string
	// Expr of a CHECK; References and RefColumns of a foreign key.
	Expr       string
	References Name
	RefColumns []string
	UsingIndex string
	NotValid   bool
	// NotEnforced and Deferrable as written.
	NotEnforced, Deferrable bool
	SQL                     string
}
