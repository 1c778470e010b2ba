package postgres_test

import (
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

func traps() []passage {
	name := words("n")
	plain := speak("customers", "name")
	star := plain.preparing()
	star.insert, star.read = `INSERT INTO customers VALUES ($1, $2)`, `SELECT name, c.* FROM customers c WHERE id = $1`
	upsert := func(target string) tongue {
		g := plain
		g.insert = `INSERT INTO customers (id, email, name) VALUES ($1, '@' || $1::int, $2) ON CONFLICT (` + target + `) DO UPDATE SET name = excluded.name`
		g.update = g.insert
		return g
	}
	whole := speak("customers", "name", "tier")
	renamedUpsert := upsert("email")
	renamedUpsert.insert = strings.ReplaceAll(renamedUpsert.insert, "email", "mail")
	renamedUpsert.update = renamedUpsert.insert
	split := file(`ALTER TABLE customers ADD COLUMN first text, ADD COLUMN last text`,
		`UPDATE customers SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2)`, `ALTER TABLE customers DROP COLUMN name`)
	split[0].Statements[1].Hints.Keep = []migration.Assignment{{Column: "name", Expr: "first || ' ' || last"}}
	halves := tongue{
		insert: `INSERT INTO customers (id, name) VALUES ($1, $2::text || ' ' || $3::text)`,
		update: `UPDATE customers SET name = $2::text || ' ' || $3::text WHERE id = $1`,
		read:   `SELECT split_part(name, ' ', 1), split_part(name, ' ', 2) FROM customers WHERE id = $1`,
		remove: plain.remove, all: `SELECT id, split_part(name, ' ', 1), split_part(name, ' ', 2) FROM customers`,
		fields: 2,
	}.making(words("x"), words("y"))
	const accounts = `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, tenant int NOT NULL DEFAULT 1, email text NOT NULL, CONSTRAINT one_email UNIQUE (email))`
	const fill = `INSERT INTO customers SELECT i, 'n' || i, 1, '@' || i FROM generate_series(1, 5000) i`
	return []passage{
		{
			name: "SELECT * that is prepared, and an INSERT by position, beside a new column", before: []string{customers, fillCustomers},
			files: file(`ALTER TABLE customers ADD COLUMN phone text`),
			old:   star, new: speak("customers", "name", "phone"), blank: row{null, null}, value: [2]func(int64) string{name, words("+")},
			plan: "expand add column customers.phone", caveats: []string{"cached plan must not change result type"},
		},
		{
			name: "ON CONFLICT, and the constraint becomes an index", before: []string{accounts, fill}, value: [2]func(int64) string{name},
			files: file(`ALTER TABLE customers DROP CONSTRAINT one_email`, `CREATE UNIQUE INDEX email_once ON customers (email)`),
			old:   upsert("email"), new: upsert("email"),
			plan: `
				expand create index email_once on customers
				contract drop constraint one_email of customers`,
		},
		{
			name: "ON CONFLICT, and the key gets longer", before: []string{accounts, fill}, value: [2]func(int64) string{name},
			files: file(`ALTER TABLE customers DROP CONSTRAINT one_email, ADD CONSTRAINT one_email_each UNIQUE (tenant, email)`),
			old:   upsert("email"), new: upsert("tenant, email"),
			plan: `
				expand build index for unique on customers
				expand add unique one_email_each on customers
				contract drop constraint one_email of customers`,
			refused: map[string]string{strings.NewReplacer("$1", "17", "::int", "", "$2", "''").Replace(upsert("email").insert): "42P10"},
		},
		{
			name: "ON CONFLICT, and the key gets longer under its own name", before: []string{accounts, fill}, value: [2]func(int64) string{name},
			files: file(`ALTER TABLE customers DROP CONSTRAINT one_email, ADD CONSTRAINT one_email UNIQUE (tenant, email)`),
			old:   upsert("email"), new: upsert("tenant, email"),
			plan: `
				expand build index for unique on customers
				contract drop constraint one_email of customers
				contract add unique one_email on customers`, caveats: []string{"23505"},
			holds: []string{`SELECT count(*) - 1 FROM pg_constraint WHERE conname = 'one_email' AND cardinality(conkey) = 2`},
		},
		{
			name: "ON CONFLICT, and the index is made anew", before: []string{accounts, fill, `ALTER TABLE customers DROP CONSTRAINT one_email`, `CREATE UNIQUE INDEX one_email ON customers (email)`},
			value: [2]func(int64) string{name},
			files: file(`DROP INDEX one_email`, `CREATE UNIQUE INDEX one_email ON customers (email) INCLUDE (name)`),
			old:   upsert("email"), new: upsert("email"),
			plan: `
				expand create index one_email on customers
				contract put index one_email_new in the place of one_email`,
		},
		{
			name: "ON CONFLICT, and the key's column is renamed", before: []string{accounts, fill}, value: [2]func(int64) string{name},
			files: file(`ALTER TABLE customers RENAME COLUMN email TO mail`),
			old:   upsert("email"), new: renamedUpsert,
			plan: `
				expand rename column customers.email to mail: a twin
				backfill fill customers.mail
				expand create index customers_mail_idx on customers
				expand add unique customers_mail_idx on customers
				expand set not null on customers.mail
				expand check rows of customers for a value in mail
				expand allow null in customers.email
				contract drop column customers.email, now mail`, caveats: []string{"23505"},
		},
		{
			name: "a column is filled and made NOT NULL, while the old release leaves it empty", value: [2]func(int64) string{name},
			before: []string{`CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, tier text)`, fillCustomers},
			files:  file(`UPDATE customers SET tier = 'basic' WHERE tier IS NULL`, `ALTER TABLE customers ALTER COLUMN tier SET NOT NULL`),
			old:    plain, new: whole.making(name, oneOf("gold", "silver")), blank: row{null, either},
			holds: []string{`SELECT count(*) FROM customers WHERE tier IS NULL OR tier NOT IN ('basic', 'gold', 'silver')`},
			plan: `
				backfill update customers
				contract set not null on customers.tier
				contract fill customers.tier again
				contract check rows of customers for a value in tier`,
		},
		{
			name: "a name is split in two, and kept together", before: []string{customers, `INSERT INTO customers SELECT i, 'a' || i || ' b' || i FROM generate_series(1, 5000) i`},
			files: split,
			old:   halves, new: speak("customers", "first", "last").making(words("x"), words("y")), blank: row{},
			plan: `
				expand add column customers.first, add column customers.last
				backfill fill customers.first, last
				expand allow null in customers.name
				contract stop keeping customers.first, last in step
				contract drop column customers.name`,
		},
	}
}
