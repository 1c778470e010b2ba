// Package server is one PostgreSQL server as the driver sees it: connections, catalogue, scratch copies, what stands in the way.
package server

import "time"

// Catalog is a database's schema and its sizes, read in one snapshot, user schemas only (not pg_*, information_schema, segue).
type Catalog struct {
	// Version as server_version_num ("150018").
	Version int
	// SearchPath is the schemas that unqualified names are looked up in, first first.
	SearchPath []string
	Tables     []Table
	Views      []View
	Functions  []Function
	Enums      []Enum
	Extensions []string
}

// Table is a table or partition.
type Table struct {
	Schema, Name string
	OID          uint32
	// Rows as the statistics say (-1: never analyzed), Bytes with indexes and TOAST, Heap without.
	Rows        int64
	Bytes, Heap int64
	// Partitioned is a parent; Parent names a partition's, qualified.
	Partitioned bool
	Parent      string
	Columns     []Column
	Constraints []Constraint
	Indexes     []Index
	Triggers    []Trigger
	// Rules name what CREATE RULE made and is on, by the command that it rewrites ("UPDATE").
	Rules       map[string]string
	RowSecurity bool
	// Owner is the role that owns it.
	Owner string
}

// Column is one column, in order.
type Column struct {
	Name string
	// Type as format_type gives it ("character varying(50)").
	Type    string
	NotNull bool
	// Default as an expression; Generated is "stored", "virtual" or ""; Identity "always", "by default" or "".
	Default   string
	Generated string
	Identity  string
	Collation string
	// Nulls is the share of NULLs by the statistics, -1 when not known.
	Nulls float64
	// Computes lists generated columns that are computed from it; Watched what else of its table stands on it: policies and triggers of the team's
	// ("policy own on table public.t").
	Computes, Watched []string
}

// Constraint is one of a table's. Kind is pg_constraint.contype: c, f, p, u, x, n.
type Constraint struct {
	Name       string
	Kind       byte
	Columns    []string
	References string // qualified table of a foreign key
	RefColumns []string
	Definition string
	Validated  bool
	Index      string
}

// Index is one of a table's.
type Index struct {
	Name       string
	Columns    []string // "" for an expression
	Unique     bool
	Primary    bool
	Valid      bool
	Ready      bool
	Predicate  string
	Definition string
	Bytes      int64
}

// Trigger is one of a table's.
type Trigger struct {
	Name, Function, Definition string
	Enabled                    bool
}

// View is a view or materialized view with its columns, in order; Reads are the columns that it depends on, "schema.table.column".
type View struct {
	Schema, Name string
	Materialized bool
	Definition   string
	Columns      []string
	Reads        []string
}

// Function is one of the user's own; Types are those of its arguments, without their names.
type Function struct {
	Schema, Name, Arguments, Types, Language, Source string
	// Reads are columns by dependency (BEGIN ATOMIC), "schema.table.column".
	Reads []string
}

// Enum is an enum type with its values in order.
type Enum struct {
	Schema, Name string
	Values       []string
}

// Activity is what goes on in a table right now, looked at before a lock is asked for.
type Activity struct {
	// Oldest transaction that holds any lock on it, and who.
	Oldest time.Duration
	PID    int
	Query  string
	// Waiting statements on it.
	Waiting int
	// Lag of the slowest standby, 0 for none.
	Lag time.Duration
}
