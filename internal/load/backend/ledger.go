package backend

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ledger says how often each id was applied. The file behind it has one line per application, "ID SERVER RELEASE
// UNIX_NANOSECONDS", appended in one write; several backends share it.
type Ledger struct {
	// Applied counts the applications of each id.
	Applied map[string]int
	// Entries are all applications in the order they were written.
	Entries []Entry
}

// Entry is one application.
type Entry struct {
	ID, Server, Release string
	At                  time.Time
}

// ReadLedger reads a ledger file; one that does not exist is empty.
func ReadLedger(path string) (Ledger, error) {
	ledger := Ledger{Applied: map[string]int{}}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger, nil
	}
	if err != nil {
		return ledger, fmt.Errorf("open ledger: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		entry, err := parseEntry(lines.Text())
		if err != nil {
			return ledger, fmt.Errorf("read ledger %s line %d: %w", path, n, err)
		}
		ledger.Applied[entry.ID]++
		ledger.Entries = append(ledger.Entries, entry)
	}
	if err := lines.Err(); err != nil {
		return ledger, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return ledger, nil
}

// parseEntry reads one line.
func parseEntry(line string) (Entry, error) {
	columns := strings.Fields(line)
	if len(columns) != 4 {
		return Entry{}, fmt.Errorf("%q has %d columns instead of 4", line, len(columns))
	}
	at, err := strconv.ParseInt(columns[3], 10, 64)
	if err != nil {
		return Entry{}, fmt.Errorf("read time: %w", err)
	}
	return Entry{ID: columns[0], Server: columns[1], Release: columns[2], At: time.Unix(0, at)}, nil
}

// Duplicates returns the ids that were applied more than once, sorted.
func (l Ledger) Duplicates() []string {
	var twice []string
	for id, n := range l.Applied {
		if n > 1 {
			twice = append(twice, id)
		}
	}
	slices.Sort(twice)
	return twice
}

// ledgerFile appends to a ledger.
type ledgerFile struct {
	file            *os.File
	server, release string
}

// openLedger opens a ledger for appending, creating it where it is missing. Without a path nothing is kept.
func openLedger(path, server, release string) (*ledgerFile, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // a nil ledger file is usable and keeps nothing
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &ledgerFile{file: file, server: oneWord(server), release: oneWord(release)}, nil
}

// apply appends one line in one write, which the system does whole or not at all beside other writers.
func (l *ledgerFile) apply(id string, now time.Time) error {
	if l == nil {
		return nil
	}
	if _, err := fmt.Fprintf(l.file, "%s %s %s %d\n", id, l.server, l.release, now.UnixNano()); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// close ends the writing.
func (l *ledgerFile) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// oneWord makes a name fit for a ledger's column.
func oneWord(name string) string {
	if name = strings.Join(strings.Fields(name), "_"); name == "" {
		return "-"
	}
	return name
}
