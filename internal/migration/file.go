package migration

import (
	"fmt"
	"time"
)

// File is one migration as the team wrote it.
type File struct {
	// Version is what the team's own history table calls it ("0003", "20260301120000", "1.2"); it is also the order's key, which only the reader
	// knows how to compare: files come in order.
	Version string `json:"version"`
	// Title is the rest of its name.
	Title string `json:"title,omitempty"`
	// Path is relative to the project's folder.
	Path string `json:"path"`
	// Sum is the SHA-256 of its content, in hex: an edited file is told by it.
	Sum string `json:"sum"`
	// HistorySum is the checksum as the team's own history table keeps it, where it keeps one (Flyway).
	HistorySum string `json:"history_sum,omitempty"`
	// NoTransaction is true when the team marked it to run outside of one.
	NoTransaction bool `json:"no_transaction,omitempty"`
	// Repeatable files (Flyway's R__) run again whenever their content changes.
	Repeatable bool `json:"repeatable,omitempty"`
	// Statements are those of the way up, in order.
	Statements []Statement `json:"statements"`
}

// StatementID names a statement of a file: "0003#2", from 1.
type StatementID string

// MakeStatementID names the n-th statement, from 1, of a version.
func MakeStatementID(version string, n int) StatementID {
	return StatementID(fmt.Sprintf("%s#%d", version, n))
}

// Statement is one statement of a file.
type Statement struct {
	ID StatementID `json:"id"`
	// SQL without the semicolon and without comments around it.
	SQL string   `json:"sql"`
	At  Position `json:"at"`
	// Hints come from comments before it (`-- segue: ...`); those at the head of a file count for all of its statements.
	Hints Hints `json:"hints,omitzero"`
}

// Hints are what the team says in comments. Nothing needs them.
type Hints struct {
	// Phase overrules the classification (`phase=contract`).
	Phase Phase `json:"phase,omitempty"`
	// After is how long a contract waits after the last need for it (`after=7d`).
	After time.Duration `json:"after,omitempty"`
	// AssumeSafe takes the statement as it is, unsplit; Reason is owed (`assume-safe reason="..."`).
	AssumeSafe bool   `json:"assume_safe,omitempty"`
	Reason     string `json:"reason,omitempty"`
	// Keep gives, per column that older releases still read, the expression that keeps it in step with what newer ones write
	// (`keep name = first_name || ' ' || last_name`): the way back of a backfill.
	Keep []Assignment `json:"keep,omitempty"`
}

// Zero says whether there are none.
func (h Hints) Zero() bool {
	return h.Phase == "" && h.After == 0 && !h.AssumeSafe && h.Reason == "" && len(h.Keep) == 0
}

// Assignment is one `column = expression`.
type Assignment struct {
	Column string `json:"column"`
	Expr   string `json:"expr"`
}

// Position is a place in a file, from 1.
type Position struct {
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives path:line:column, as far as known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.Path
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.Path, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.Path, p.Line, p.Column)
	}
}

// Fault is something wrong with a file, a statement or the server, said so that a person can mend it.
type Fault struct {
	At      Position `json:"at,omitzero"`
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty"`
}

// String gives place and message on one line.
func (f Fault) String() string {
	if at := f.At.String(); at != "" {
		return at + ": " + f.Message
	}
	return f.Message
}

// FileStatus says how far a file is.
type FileStatus string

const (
	// FilePending has not begun.
	FilePending FileStatus = "pending"
	// FilePartly has changes done and changes open (a cascade).
	FilePartly FileStatus = "partly"
	// FileApplied is done whole, by Segue or by the team's own runner.
	FileApplied FileStatus = "applied"
)

// FileState is a file of the folder, or one that only the history knows.
type FileState struct {
	Version string     `json:"version"`
	Path    string     `json:"path,omitempty"`
	Status  FileStatus `json:"status"`
	// By is "segue" or the runner's name, for applied ones.
	By string `json:"by,omitempty"`
}
