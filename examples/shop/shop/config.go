package shop

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is what a shop needs to know at its start.
type Config struct {
	// Release is the name baked in at the build; it selects the features and, for a bad release, its fault.
	Release string
	// Server is the name of the place it runs on (SEGUE_SERVER), said in the X-Shop-Server header.
	Server string
	// Listen is the address to serve on (--listen, ADDRESS, or PORT on the loopback address).
	Listen string
	// Database is the path of an SQLite file, or the address of a PostgreSQL database (--database, DATABASE_URL).
	Database string
	// Migrate runs the release's migrations at the start (SHOP_MIGRATE=off leaves that to somebody else).
	Migrate bool
	// Customers is how many a new shop has in its books (SHOP_CUSTOMERS).
	Customers int
	// Heard, if not nil, hears of every statement that is sent to the database.
	Heard func(statement string)
	// HashRounds is the PBKDF2 count for new passwords (--hash-rounds, SHOP_HASH_ROUNDS). The default of 1000 is cheap, so
	// that load tests measure the shop and not the hash; OWASP asks for 600,000.
	HashRounds int
	// Linger is how long a shop that is asked to stop goes on answering, not ready and with "Connection: close", before it
	// stops accepting (--linger).
	Linger time.Duration
	// Grace is how long requests in flight may take after that (--grace).
	Grace time.Duration

	// CrashAfter, ErrorShare and Delay set what the bad releases do (SHOP_CRASH_AFTER, SHOP_ERROR_SHARE, SHOP_DELAY).
	CrashAfter time.Duration
	ErrorShare float64
	Delay      time.Duration
}

// maxHashRounds bounds the PBKDF2 count, of new passwords as of stored ones.
const maxHashRounds = 10_000_000

// maxCustomers bounds the customers that are made up.
const maxCustomers = 10_000_000

// ReadConfig reads flags and environment; lookup is os.LookupEnv or like it. Flags go first. Every fault is reported.
func ReadConfig(release string, arguments []string, lookup func(string) (string, bool)) (Config, error) {
	env := func(name, otherwise string) string {
		value, _ := lookup(name)
		return cmp.Or(value, otherwise)
	}
	config := Config{Release: release, Server: env("SEGUE_SERVER", "")}
	var database, rounds, crash, share, delay string
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	address := env("ADDRESS", "127.0.0.1:"+env("PORT", "8080"))
	flags.StringVar(&config.Listen, "listen", address, "`address` to serve on")
	flags.StringVar(&database, "database", env("DATABASE_URL", "shop.db"), "SQLite `file` (a path or a file: URL), or postgres:// address")
	flags.StringVar(&rounds, "hash-rounds", env("SHOP_HASH_ROUNDS", "1000"), "PBKDF2 `count` for new passwords")
	flags.DurationVar(&config.Linger, "linger", 100*time.Millisecond, "`time` to go on answering when asked to stop")
	flags.DurationVar(&config.Grace, "grace", 25*time.Second, "`time` for requests in flight after that")
	if err := flags.Parse(arguments); err != nil {
		return config, fmt.Errorf("read flags: %w", err)
	}
	crash, share, delay = env("SHOP_CRASH_AFTER", "3s"), env("SHOP_ERROR_SHARE", "0.02"), env("SHOP_DELAY", "150ms")

	var faults []error
	note := func(name string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("read %s: %w", name, err))
		}
	}
	var err error
	config.Database, err = databasePath(database)
	note("database", err)
	config.HashRounds, err = strconv.Atoi(rounds)
	if err == nil && (config.HashRounds < 1 || config.HashRounds > maxHashRounds) {
		err = fmt.Errorf("%d is not between 1 and %d", config.HashRounds, maxHashRounds)
	}
	note("hash-rounds", err)
	config.Migrate = env("SHOP_MIGRATE", "on") != "off"
	config.Customers, err = strconv.Atoi(env("SHOP_CUSTOMERS", "0"))
	if err == nil && (config.Customers < 0 || config.Customers > maxCustomers) {
		err = fmt.Errorf("%d is not between 0 and %d", config.Customers, maxCustomers)
	}
	note("SHOP_CUSTOMERS", err)
	config.CrashAfter, err = time.ParseDuration(crash)
	note("SHOP_CRASH_AFTER", err)
	config.ErrorShare, err = strconv.ParseFloat(share, 64)
	note("SHOP_ERROR_SHARE", err)
	config.Delay, err = time.ParseDuration(delay)
	note("SHOP_DELAY", err)
	return config, errors.Join(faults...)
}

// databasePath turns a DATABASE_URL into the path of a file; the address of a PostgreSQL database stays what it is.
func databasePath(address string) (string, error) {
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return address, nil
	}
	for _, scheme := range []string{"file:", "sqlite:"} {
		rest, found := strings.CutPrefix(address, scheme)
		if !found {
			continue
		}
		rest, _, _ = strings.Cut(rest, "?")
		path, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
		if err != nil {
			return "", fmt.Errorf("database %q: %w", address, err)
		}
		address = path
	}
	if address == "" || strings.Contains(address, "://") {
		return "", fmt.Errorf("database %q: this shop keeps its data in SQLite or PostgreSQL: give a path, file:PATH or postgres://HOST/NAME", address)
	}
	return address, nil
}
