package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
)

// startDatabase makes the shop's database exist.
func (d *demo) startDatabase(ctx context.Context) error {
	d.database = "file:" + filepath.Join(d.folder, "shop.db")
	if !d.options.Postgres {
		return nil
	}
	if d.options.Keep {
		return segue.Errorf(segue.KindInvalid, "a demonstration with PostgreSQL cannot be kept: its server ends with it")
	}
	var err error
	if d.server, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	d.database, _, err = d.server.Database(ctx)
	if err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	if err := d.furnish(ctx); err != nil {
		return fmt.Errorf("prepare database: %w", err)
	}
	_, _ = fmt.Fprintf(d.text, "PostgreSQL runs in a folder of its own\n")
	return nil
}

// demoGroup is the role that the logins of the shop's releases are members of.
const demoGroup = "shop"

// furnish does what the owner of a database does once: statistics of statements, and a group that may use whatever tables there will be.
func (d *demo) furnish(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, d.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for _, statement := range [...]string{
		"CREATE EXTENSION pg_stat_statements",
		"CREATE ROLE " + demoGroup + " NOLOGIN",
		"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO " + demoGroup,
		"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO " + demoGroup,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// roles is the line that gives every release a login of its own, where the database has them.
func (d *demo) roles() string {
	if !d.options.Postgres {
		return ""
	}
	return "    roles: {group: " + demoGroup + "}\n"
}

// driver names the database's driver.
func (d *demo) driver() string {
	if d.options.Postgres {
		return drivers.Postgres
	}
	return drivers.SQLite
}
