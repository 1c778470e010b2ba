package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
)

const (
	// scratchPrefix begins the name of every scratch database.
	scratchPrefix = "segue_scratch_"
	// chunk is how many objects are made in one transaction: all of them at once could need more locks than the server has room for.
	chunk = 300
	// patience bounds each statement of a copy: on empty tables, only a function of the team's own can take long.
	patience = "30s"
)

// Scratch is a database with the schema of another one, and no rows: statements are tried on it. It is gone when it is closed, or its maker is.
type Scratch struct {
	// Missing names what the copy lacks ("publication orders").
	Missing []string
	// Place says where it is: "the server itself", "the scratch server", "a local server".
	Place string

	config *pgx.ConnConfig // of the scratch database
	admin  *pgx.ConnConfig // of a database beside it
	// keeper is connected as long as the copy is needed, which is how a sweep tells it from one that was left.
	keeper *pgx.Conn
	local  *cluster.Cluster
}

// Scratch makes a schema-only copy of the database: on the server of Config.ScratchURL where there is one, else on the server itself, or on a local one
// of the same major version where the role may not make databases. KindInvalid, with the statement that would help, where there is no place at all.
func (s *Server) Scratch(ctx context.Context) (*Scratch, error) {
	plan, err := draw(ctx, s.pool)
	if err != nil {
		return nil, Explain("copy the schema", err)
	}
	scratch, err := s.place(ctx, plan)
	if err != nil {
		return nil, Explain("make a scratch database", err)
	}
	scratch.Missing = plan.missing
	if err := scratch.build(ctx, plan); err != nil {
		return nil, errors.Join(Explain("copy the schema to "+scratch.Place, err), scratch.Close(context.WithoutCancel(ctx)))
	}
	return scratch, nil
}

// place makes an empty scratch database, wherever one can be had.
func (s *Server) place(ctx context.Context, plan blueprint) (*Scratch, error) {
	if s.config.ScratchURL != "" {
		admin, err := pgx.ParseConfig(s.config.ScratchURL)
		if err != nil {
			return nil, segue.Errorf(segue.KindInvalid, "the scratch server's URL cannot be read")
		}
		return s.claim(ctx, "the scratch server", admin, plan)
	}
	var may bool
	own := s.pool.Config().ConnConfig.Copy()
	if err := s.pool.QueryRow(ctx, "SELECT (rolcreatedb OR rolsuper) AND NOT pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user").Scan(&may); err != nil {
		return nil, err
	}
	if may && !s.shared {
		return s.claim(ctx, "the server itself", own, plan)
	}
	major := fmt.Sprint(s.version / 10000)
	local, err := cluster.Start(ctx, cluster.Options{Major: major})
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "there is no place for a scratch copy of the schema: role %s may not make databases, and here is no PostgreSQL %s to "+
			"start (%w)", own.User, major, err).
			WithHint("ALTER ROLE %s CREATEDB, or give a server for scratch copies, or install PostgreSQL %s on this machine.", Identifier(own.User), major)
	}
	scratch, err := s.claimLocal(ctx, local, plan)
	if err != nil {
		return nil, errors.Join(err, local.Stop(context.WithoutCancel(ctx)))
	}
	return scratch, nil
}

// claimLocal makes the database on a local server, with the roles that statements may name.
func (s *Server) claimLocal(ctx context.Context, local *cluster.Cluster, plan blueprint) (*Scratch, error) {
	admin, err := pgx.ParseConfig(local.URL("postgres"))
	if err != nil {
		return nil, err
	}
	var roles strings.Builder
	for _, role := range plan.roles {
		if role != admin.User {
			roles.WriteString("CREATE ROLE " + Identifier(role) + ";\n")
		}
	}
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, roles.String(), pgx.QueryExecModeSimpleProtocol)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, err
	}
	scratch, err := s.claim(ctx, "a local server", admin, plan)
	if err == nil {
		scratch.local = local
	}
	return scratch, err
}

// claim makes the database and connects its keeper.
func (s *Server) claim(ctx context.Context, place string, admin *pgx.ConnConfig, plan blueprint) (*Scratch, error) {
	scratch := &Scratch{Place: place, admin: admin.Copy()}
	scratch.admin.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, scratch.admin)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var version int
	var now string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, to_hex(extract(epoch FROM now())::int8)").Scan(&version, &now); err != nil {
		return nil, err
	}
	if version/10000 != s.version/10000 {
		return nil, segue.Errorf(segue.KindInvalid, "%s is of version %d, and the database's of %d: locks and rewrites differ", place, version/10000, s.version/10000)
	}
	sweepScratch(ctx, conn)
	name := scratchPrefix + now + "_" + strings.ToLower(rand.Text()[:8])
	_, err = conn.Exec(ctx, "CREATE DATABASE "+Identifier(name)+plan.create)
	if code(err) == "22023" || code(err) == "42809" { // a locale that the other machine does not have
		_, err = conn.Exec(ctx, "CREATE DATABASE "+Identifier(name)+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	}
	if err != nil {
		return nil, err
	}
	scratch.config = scratch.admin.Copy()
	scratch.config.Database = name
	if scratch.keeper, err = scratch.Conn(ctx); err != nil {
		return nil, errors.Join(err, scratch.Close(context.WithoutCancel(ctx)))
	}
	return scratch, nil
}

// sweepScratch drops copies whose makers were killed: nobody is connected, and the time in the name is a while ago. What it cannot drop is
// somebody else's.
func sweepScratch(ctx context.Context, conn *pgx.Conn) {
	found, err := conn.Query(ctx, `SELECT datname::text FROM pg_database d
		WHERE datname ~ '^`+scratchPrefix+`[0-9a-f]{8}_' AND ('x' || lpad(substr(datname, 15, 8), 16, '0'))::bit(64)::int8 < extract(epoch FROM now()) - 60
		  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)`)
	if err != nil {
		return
	}
	left, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, name := range left {
		_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+Identifier(name)) // without force: who connected meanwhile needs it
	}
}

// build makes the objects.
func (c *Scratch) build(ctx context.Context, plan blueprint) error {
	for _, one := range plan.settings {
		c.set(ctx, one)
	}
	if _, err := c.keeper.Exec(ctx, "SET check_function_bodies = off; SET synchronous_commit = off; SET statement_timeout = '"+patience+"'; SET client_min_messages = error"); err != nil {
		return err
	}
	var firm []object
	var withheld error
	for _, o := range plan.objects {
		switch {
		case o.Rank == rankExtension:
			// Most extensions need a superuser, and few are needed by the schema itself: without them it is tried.
			if _, err := c.keeper.Exec(ctx, o.SQL); err != nil {
				withheld = errors.Join(withheld, err)
			}
		case o.Rank < rankExtension:
			if _, err := c.keeper.Exec(ctx, o.SQL); err != nil {
				return err
			}
		case o.Rank < rankOptional:
			firm = append(firm, o)
		}
	}
	for objects := range slices.Chunk(firm, chunk) {
		if err := c.make(ctx, objects); err != nil {
			return withExtensions(err, withheld)
		}
	}
	for _, o := range plan.objects {
		if o.Rank >= rankOptional {
			_, _ = c.keeper.Exec(ctx, o.SQL) // a view without its content is one all the same
		}
	}
	return nil
}

// set gives the database a setting of the original. Those that only a superuser may give are left out: they do not change what statements do.
func (c *Scratch) set(ctx context.Context, one setting) {
	// By way of the session: a list's value is quoted already, and must not be once more.
	if _, err := c.keeper.Exec(ctx, "SELECT set_config($1, $2, false)", one.Name, one.Value); err == nil {
		_, _ = c.keeper.Exec(ctx, "ALTER DATABASE "+Identifier(c.config.Database)+" SET "+Identifier(strings.Split(one.Name, ".")...)+" FROM CURRENT")
	}
}

// make makes objects in one transaction: all in one go, or one by one where that fails, to say which.
func (c *Scratch) make(ctx context.Context, objects []object) error {
	var all strings.Builder
	for _, o := range objects {
		all.WriteString(o.SQL + "\n;\n")
	}
	if _, err := c.keeper.Exec(ctx, all.String()); err == nil || ctx.Err() != nil || c.keeper.IsClosed() {
		return err
	}
	return pgx.BeginFunc(ctx, c.keeper, func(tx pgx.Tx) error {
		for _, o := range objects {
			if _, err := tx.Exec(ctx, o.SQL); err != nil {
				what, _, _ := strings.Cut(o.SQL, "\n")
				return fmt.Errorf("%.120s: %w", what, err)
			}
		}
		return nil
	})
}

// withExtensions adds to an error what kept extensions away: it is most likely why.
func withExtensions(err, withheld error) error {
	if withheld == nil {
		return err
	}
	return segue.Errorf(segue.KindInvalid, "%w (an extension could not be made there: %s)", err, withheld.Error()).
		WithHint("Make the extension in template1 of that server, or give a server for scratch copies on which the role may.")
}

// Conn connects to the copy. The caller closes the connection.
func (c *Scratch) Conn(ctx context.Context) (*pgx.Conn, error) {
	conn, err := connectAny(ctx, c.config)
	if err != nil {
		return nil, Explain("connect to the scratch database", err)
	}
	// What is tried here would push the application's statements out of the server's statistics. Only a superuser may say so: others had better give a
	// server for scratch copies.
	_, _ = conn.Exec(ctx, "SET pg_stat_statements.track = 'none'")
	return conn, nil
}

// connectAny connects to the first server of several that has the database. The driver asks no other one once a server has said that it has none, and a
// standby that is named first has not heard of a new database yet.
func connectAny(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	for config = config.Copy(); ; config.Fallbacks = config.Fallbacks[1:] {
		conn, err := pgx.ConnectConfig(ctx, config)
		if code(err) != "3D000" || len(config.Fallbacks) == 0 {
			return conn, err
		}
		next := config.Fallbacks[0]
		config.Host, config.Port, config.TLSConfig = next.Host, next.Port, next.TLSConfig
	}
}

// Catalog reads the copy's catalogue.
func (c *Scratch) Catalog(ctx context.Context) (Catalog, error) {
	conn, err := c.Conn(ctx)
	if err != nil {
		return Catalog{}, err
	}
	catalog, err := readCatalog(ctx, conn)
	return catalog, errors.Join(Explain("read the catalogue", err), conn.Close(context.WithoutCancel(ctx)))
}

// Close drops the copy, with whoever is connected.
func (c *Scratch) Close(ctx context.Context) error {
	var failed []error
	if c.keeper != nil {
		failed = append(failed, c.keeper.Close(ctx))
	}
	if c.local != nil {
		return errors.Join(append(failed, c.local.Stop(ctx))...)
	}
	conn, err := pgx.ConnectConfig(ctx, c.admin)
	if err != nil {
		return Explain("drop the scratch database", errors.Join(append(failed, err)...))
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+Identifier(c.config.Database)+" WITH (FORCE)")
	return Explain("drop the scratch database", errors.Join(append(failed, err, conn.Close(ctx))...))
}

// Private says whether the copy has a server of its own: what is done to that outside of the database harms nobody.
func (c *Scratch) Private() bool { return c.local != nil }
