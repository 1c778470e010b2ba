package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// longestName is what the server keeps of a name.
const longestName = 63

// loginName is the role of a release: "shop_r42" of release 42.
func (d *Driver) loginName(release segue.ReleaseName) string {
	name := string(release)
	if d.config.Prefix != "" {
		name = d.config.Prefix + "_" + name
	}
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%s_%x", name[:longestName-9], sum[:4])
}

// Credentials implements migration.Driver. A release's login is made once, as a member of the group, and is the same from then on: its password is kept
// in a table that only its owner can read, who could set another one at any time.
func (d *Driver) Credentials(ctx context.Context, release segue.ReleaseName) (migration.Credentials, error) {
	if d.config.Group == "" {
		return migration.Credentials{}, unsupported("no login of its own for a release: the configuration names no group role")
	}
	if err := d.runner.Prepare(ctx); err != nil {
		return migration.Credentials{}, err
	}
	role, password := d.loginName(release), rand.Text()
	err := pgx.BeginFunc(ctx, d.server.Pool(), func(tx pgx.Tx) error {
		const once = `INSERT INTO "segue"."login" (role, release, password) VALUES ($1, $2, $3) ON CONFLICT (release) DO UPDATE SET release = excluded.release RETURNING role, password`
		if err := tx.QueryRow(ctx, once, role, string(release), password).Scan(&role, &password); err != nil {
			return err
		}
		return d.makeLogin(ctx, tx, role, password)
	})
	if err != nil {
		return migration.Credentials{}, d.explainRole(fmt.Errorf("make role %s: %w", role, err))
	}
	return migration.Credentials{Role: role, URL: withLogin(d.config.URL, role, password)}, nil
}

// makeLogin makes the role unless it is there. The server is given a verifier and never the password, which its log could show.
func (d *Driver) makeLogin(ctx context.Context, tx pgx.Tx, role, password string) error {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&there); err != nil || there {
		return err
	}
	verifier, err := scram(password)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD %s IN ROLE %s", server.Identifier(role), server.Literal(verifier), server.Identifier(d.config.Group)))
	return err
}

// scram makes the verifier that the server keeps of a password (RFC 5802, as PostgreSQL writes it).
func scram(password string) (string, error) {
	const rounds = 4096
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive password verifier: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}

// withLogin puts another login into a connection string, of either form.
func withLogin(address, role, password string) string {
	if !strings.Contains(address, "://") {
		quote := func(text string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'" }
		return address + " user=" + quote(role) + " password=" + quote(password)
	}
	// The host may be a list, which net/url does not read: only what stands before the last @ of the authority is replaced.
	scheme, rest, _ := strings.Cut(address, "://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if path, query, found := strings.Cut(tail, "?"); found {
		tail = path
		kept := regexp.MustCompile(`(^|&)(user|password|passfile|sslcert|sslkey|sslpassword)=[^&]*`).ReplaceAllString(query, "")
		if kept = strings.TrimPrefix(kept, "&"); kept != "" {
			tail += "?" + kept
		}
	}
	return scheme + "://" + url.UserPassword(role, password).String() + "@" + authority + tail
}

// Retire implements migration.Driver. What the role owns goes to the group.
func (d *Driver) Retire(ctx context.Context, release segue.ReleaseName) error {
	if d.config.Group == "" {
		return unsupported("no login of its own for a release: the configuration names no group role")
	}
	if err := d.runner.Prepare(ctx); err != nil {
		return err
	}
	role := ""
	err := pgx.BeginFunc(ctx, d.server.Pool(), func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `DELETE FROM "segue"."login" WHERE release = $1 RETURNING role`, string(release)).Scan(&role)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return d.dropLogin(ctx, tx, role)
	})
	if err != nil {
		return d.explainRole(fmt.Errorf("remove role %s: %w", role, err))
	}
	return nil
}

func (d *Driver) dropLogin(ctx context.Context, tx pgx.Tx, role string) error {
	var there bool
	var sessions int
	const look = `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), (SELECT count(*) FROM pg_stat_activity WHERE usename = $1)`
	if err := tx.QueryRow(ctx, look, role).Scan(&there, &sessions); err != nil || !there {
		return err
	}
	if sessions > 0 {
		return segue.Errorf(segue.KindConflict, "it is logged in %d times", sessions).WithHint("stop the instances of its release first")
	}
	quoted := server.Identifier(role)
	_, err := tx.Exec(ctx, fmt.Sprintf("REASSIGN OWNED BY %s TO %s; DROP OWNED BY %s; DROP ROLE %s", quoted, server.Identifier(d.config.Group), quoted, quoted), pgx.QueryExecModeSimpleProtocol)
	return err
}

// explainRole gives an error about roles the exact privilege that would help.
func (d *Driver) explainRole(err error) error {
	err = server.Explain("roles of releases", err)
	if known, ok := errors.AsType[*segue.Error](err); ok && known.Kind == segue.KindInvalid {
		return known.WithHint("%s", d.roleHint())
	}
	return err
}

func (d *Driver) roleHint() string {
	own := server.Identifier(d.server.Pool().Config().ConnConfig.User)
	group := server.Identifier(d.config.Group)
	return fmt.Sprintf("ALTER ROLE %s CREATEROLE; GRANT %s TO %s WITH ADMIN OPTION", own, group, own)
}

// roleFaults says what keeps logins per release from being made.
func (d *Driver) roleFaults(ctx context.Context) ([]migration.Fault, error) {
	var there, may bool
	const look = `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)`
	if err := d.server.Pool().QueryRow(ctx, look, d.config.Group).Scan(&there, &may); err != nil {
		return nil, server.Explain("inspect roles", err)
	}
	var faults []migration.Fault
	if !there {
		faults = append(faults, migration.Fault{
			Message: "there is no role " + d.config.Group + " for the logins of releases to be members of",
			Hint:    "CREATE ROLE " + server.Identifier(d.config.Group) + " NOLOGIN, and GRANT it what the application needs",
		})
	}
	if !may {
		faults = append(faults, migration.Fault{Message: "the role may not make logins for releases", Hint: d.roleHint()})
	}
	return faults, nil
}

// logins gives the releases that have a role of their own.
func (d *Driver) logins(ctx context.Context) ([]migration.Presence, error) {
	var there bool
	if err := d.server.Pool().QueryRow(ctx, "SELECT to_regclass('segue.login') IS NOT NULL").Scan(&there); err != nil || !there {
		return nil, server.Explain("read logins of releases", err)
	}
	rows, err := d.server.Pool().Query(ctx, `SELECT role, release FROM "segue"."login"`)
	if err != nil {
		return nil, server.Explain("read logins of releases", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p migration.Presence, err error) {
		return p, row.Scan(&p.Role, &p.Release)
	})
	return found, server.Explain("read logins of releases", err)
}
