package backend

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SettingsFile is the name of a file beside the program whose NAME=VALUE lines go before the environment, so that
// releases of one program can differ in how they behave.
const SettingsFile = "backend.env"

// Config says how a backend behaves. The zero value answers at once and keeps no ledger; times and sizes that are zero
// have the defaults given.
type Config struct {
	// Release and Server are said in every answer (SEGUE_RELEASE or RELEASE; SEGUE_SERVER or SERVER).
	Release, Server string
	// Ledger is the file that POSTs are recorded in; "" keeps none (LEDGER).
	Ledger string
	// Service is how long a GET or POST is worked on (SERVICE_TIME).
	Service time.Duration
	// Boot is how long after its start the backend gets ready; until then /readyz answers 503 (BOOT_TIME).
	Boot time.Duration
	// Linger is how long the backend, asked to stop, goes on answering with "Connection: close" and not ready, before it
	// stops accepting (LINGER).
	Linger time.Duration
	// Grace is how long requests in flight may take after that (GRACE, default 30 s).
	Grace time.Duration
	// Stream is how long GET /stream takes (STREAM_TIME, default 5 s).
	Stream time.Duration
	// BodyBytes is the size of the answer to GET / (BODY_BYTES, default 1024).
	BodyBytes int
	// IdleTimeout closes connections that rest longer (IDLE_TIMEOUT, 0 never).
	IdleTimeout time.Duration

	// Unready never gets ready (UNREADY=1).
	Unready bool
	// CrashAfter exits the program with status 3 this long after its start, 0 never (CRASH_AFTER).
	CrashAfter time.Duration
	// ErrorShare is the share of GETs and POSTs, 0 to 1, that are answered 500, evenly spread (ERROR_SHARE).
	ErrorShare float64
}

// ConfigFrom reads the configuration from an environment such as os.LookupEnv; it reports every fault.
func ConfigFrom(lookup func(string) (string, bool)) (Config, error) {
	read := settings{lookup: lookup}
	config := Config{
		Release:     read.text("SEGUE_RELEASE", "RELEASE"),
		Server:      read.text("SEGUE_SERVER", "SERVER"),
		Ledger:      read.text("LEDGER"),
		Service:     read.duration("SERVICE_TIME"),
		Boot:        read.duration("BOOT_TIME"),
		Linger:      read.duration("LINGER"),
		Grace:       read.duration("GRACE"),
		Stream:      read.duration("STREAM_TIME"),
		BodyBytes:   int(read.number("BODY_BYTES")),
		IdleTimeout: read.duration("IDLE_TIMEOUT"),
		Unready:     read.text("UNREADY") == "1",
		CrashAfter:  read.duration("CRASH_AFTER"),
		ErrorShare:  read.number("ERROR_SHARE"),
	}
	return config, errors.Join(read.faults...)
}

// WithFile returns a lookup in which the NAME=VALUE lines of a file go before another lookup; a missing file says nothing.
func WithFile(path string, next func(string) (string, bool)) (func(string) (string, bool), error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return next, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open settings: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	values := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("read settings %s: %q is not NAME=VALUE", path, line)
		}
		values[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read settings %s: %w", path, err)
	}
	return func(name string) (string, bool) {
		if value, found := values[name]; found {
			return value, true
		}
		return next(name)
	}, nil
}

// WriteSettings writes the settings file of a release into its folder.
func WriteSettings(folder string, values map[string]string) error {
	var text strings.Builder
	for name, value := range values {
		fmt.Fprintf(&text, "%s=%s\n", name, value)
	}
	if err := os.WriteFile(filepath.Join(folder, SettingsFile), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// settings reads values and collects their faults.
type settings struct {
	lookup func(string) (string, bool)
	faults []error
}

// text returns the first of some names that has a value.
func (s *settings) text(names ...string) string {
	for _, name := range names {
		if value, found := s.lookup(name); found && value != "" {
			return value
		}
	}
	return ""
}

// duration returns a duration such as "200ms", 0 without a value.
func (s *settings) duration(name string) time.Duration {
	value := s.text(name)
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s must not be negative", value)
	}
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("read %s: %w", name, err))
	}
	return d
}

// number returns a number that is not negative, 0 without a value.
func (s *settings) number(name string) float64 {
	value := s.text(name)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseFloat(value, 64)
	if err == nil && n < 0 {
		err = fmt.Errorf("%s must not be negative", value)
	}
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("read %s: %w", name, err))
	}
	return n
}
