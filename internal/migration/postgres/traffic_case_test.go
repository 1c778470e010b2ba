package postgres_test

import (
	"fmt"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
)

// seeded is how many rows a table has when its change begins.
const seeded = 5000

// customers is the table that most changes are about.
const customers = `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)`

const fillCustomers = `INSERT INTO customers (id, name) SELECT i, 'n' || i FROM generate_series(1, 5000) i`

// passage is a change that an old and a new release go through.
type passage struct {
	name   string
	before []string
	files  []migration.File
	// old and new are how the releases speak; blank is what the old one leaves in values that only the new one knows, and the other way round.
	old, new tongue
	blank    row
	value    [2]func(n int64) string
	// plan is what is planned, in short: a line per change, phase and title. caveats must be among those of the plan.
	plan    string
	caveats []string
	// holds are queries that must give 0 once the contract ran; refused are the old release's statements that must fail then, with codes.
	holds   []string
	refused map[string]string
	short   bool
}

func file(statements ...string) []migration.File {
	return []migration.File{migrationtest.File("0001", statements...)}
}

func addedColumns() []passage {
	name := words("n")
	slugged := speak("customers", "name")
	slugged.derive = func(r row) row { return row{r[0], strings.ToLower(r[0])} }
	plain := passage{before: []string{customers, fillCustomers}, old: speak("customers", "name"), blank: row{null, null}}
	add := func(name, sql, column string, values func(int64) string, blank, plan string) passage {
		p := plain
		p.name, p.files, p.new = name, file(sql), speak("customers", "name", column)
		p.value, p.blank, p.plan = [2]func(int64) string{words("n"), values}, row{null, blank}, plan
		return p
	}
	return []passage{
		add("add a column", `ALTER TABLE customers ADD COLUMN phone text`, "phone", words("+49"), null, "expand add column customers.phone"),
		add("add a column with a default", `ALTER TABLE customers ADD COLUMN tier text DEFAULT 'basic'`, "tier", oneOf("gold", null), "basic",
			"expand add column customers.tier"),
		add("add a column that is NOT NULL with a default", `ALTER TABLE customers ADD COLUMN tier text NOT NULL DEFAULT 'basic'`, "tier", oneOf("gold", "silver"), "basic",
			"expand add column customers.tier"),
		add("add a column with a volatile default", `ALTER TABLE customers ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()`, "token", uuids, anything,
			"expand add column customers.token"),
		{
			name: "add a column that is NOT NULL, filled from another", before: []string{customers, fillCustomers},
			files: file(`ALTER TABLE customers ADD COLUMN slug text NOT NULL`, `UPDATE customers SET slug = lower(name)`),
			old:   slugged, new: speak("customers", "name", "slug"), blank: row{null, anything}, value: [2]func(int64) string{name, words("s")},
			plan: `
				expand add column customers.slug
				backfill fill customers.slug
				contract set not null on customers.slug
				contract check rows of customers for a value in slug
				contract stop keeping customers.slug in step`,
		},
	}
}

// uuids makes values of type uuid.
func uuids(n int64) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

func changedColumns() []passage {
	name := words("n")
	// Two pages a row, so that the table is no small one.
	const wide = `CREATE TABLE orders (id int PRIMARY KEY, amount int NOT NULL DEFAULT 0, note varchar(40), filler text NOT NULL DEFAULT repeat('-', 5000))`
	const plainStorage = `ALTER TABLE orders ALTER COLUMN filler SET STORAGE PLAIN`
	const fill = `INSERT INTO orders (id, amount, note) SELECT i, i, 'n' || i FROM generate_series(1, 5000) i`
	return []passage{
		{
			name: "drop a column", before: []string{`CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text)`, `CREATE INDEX by_email ON customers (email)`, fillCustomers},
			files: file(`ALTER TABLE customers DROP COLUMN email`),
			old:   speak("customers", "name", "email"), new: speak("customers", "name"), blank: row{null, null}, value: [2]func(int64) string{name, words("@")},
			plan:    "contract drop column customers.email",
			refused: map[string]string{`SELECT email FROM customers`: "42703", `INSERT INTO customers (id, name, email) VALUES (1, '', '')`: "42703"},
		},
		{
			name: "drop a column that is NOT NULL without a default", before: []string{
				`CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE)`,
				`INSERT INTO customers SELECT i, 'n' || i, '@' || i FROM generate_series(1, 5000) i`,
			},
			files: file(`ALTER TABLE customers DROP COLUMN email`),
			old:   speak("customers", "name", "email"), new: speak("customers", "name"), blank: row{null, null}, value: [2]func(int64) string{name, words("@")},
			plan: `
				expand allow null in customers.email
				contract drop column customers.email`,
			refused: map[string]string{`SELECT email FROM customers`: "42703"},
		},
		{
			name: "rename a column", short: true, before: []string{customers, fillCustomers, `CREATE INDEX by_name ON customers (name)`},
			files: file(`ALTER TABLE customers RENAME COLUMN name TO full_name`),
			old:   speak("customers", "name").and(`SELECT count(*) FROM customers WHERE name = 'n17'`), new: speak("customers", "full_name").and(`SELECT count(*) FROM customers WHERE full_name = 'n17'`),
			value: [2]func(int64) string{name},
			plan: `
				expand rename column customers.name to full_name: a twin
				backfill fill customers.full_name
				expand create index customers_full_name_idx on customers
				expand set not null on customers.full_name
				expand check rows of customers for a value in full_name
				expand allow null in customers.name
				contract drop column customers.name, now full_name`,
			holds:   []string{`SELECT count(*) FROM customers WHERE full_name IS NULL`},
			refused: map[string]string{`SELECT name FROM customers`: "42703"},
		},
		{
			name: "int to bigint, of a large table", short: true, before: []string{wide, plainStorage, fill, `CREATE INDEX by_amount ON orders (amount)`},
			files: file(`ALTER TABLE orders ALTER COLUMN amount TYPE bigint`),
			old:   speak("orders", "amount").preparing(), new: speak("orders", "amount").preparing(), value: [2]func(int64) string{numbers(1 << 31)},
			plan: `
				expand change type of orders.amount to bigint: a twin
				backfill fill the twin of orders.amount
				expand create index orders_segue_amount_new_idx on orders
				expand set not null on orders.segue_amount_new
				expand check rows of orders for a value in segue_amount_new
				expand change type of orders.amount to bigint: the swap
				contract drop the old orders.amount`,
		},
		{
			name: "the key from int to bigint, of a large table", before: []string{wide, plainStorage, fill},
			files: file(`ALTER TABLE orders ALTER COLUMN id TYPE bigint`),
			old:   speak("orders", "amount").preparing(), new: speak("orders", "amount").preparing(), value: [2]func(int64) string{numbers(1 << 31)},
			plan: `
				expand change type of orders.id to bigint: a twin
				backfill fill the twin of orders.id
				expand set not null on orders.segue_id_new
				expand check rows of orders for a value in segue_id_new
				expand create index orders_segue_id_new_pkey on orders
				expand change type of orders.id to bigint: the swap
				contract drop the old orders.id`,
		},
		{
			name: "varchar to text", before: []string{wide, fill},
			files: file(`ALTER TABLE orders ALTER COLUMN note TYPE text`),
			old:   speak("orders", "note").preparing(), new: speak("orders", "note"), value: [2]func(int64) string{words("n")},
			plan: "expand change type of orders.note to text",
		},
	}
}

func promises() []passage {
	name := words("n")
	const tiers = `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, tier text DEFAULT 'basic')`
	fill := `INSERT INTO customers (id, name, tier) SELECT i, 'n' || i, 'basic' FROM generate_series(1, 5000) i`
	whole := speak("customers", "name", "tier")
	return []passage{
		{
			name: "SET NOT NULL", short: true, before: []string{tiers, fill}, files: file(`ALTER TABLE customers ALTER COLUMN tier SET NOT NULL`),
			old: whole, new: whole, value: [2]func(int64) string{name, words("t")},
			plan: `
				contract set not null on customers.tier
				contract check rows of customers for a value in tier`,
			refused: map[string]string{`UPDATE customers SET tier = NULL`: "23502", `INSERT INTO customers VALUES (0, '', NULL)`: "23502"},
		},
		{
			name: "SET DEFAULT", before: []string{tiers, fill}, files: file(`ALTER TABLE customers ALTER COLUMN tier SET DEFAULT 'silver'`),
			old: speak("customers", "name"), new: whole, value: [2]func(int64) string{name, words("t")}, blank: row{null, anything},
			plan:  "expand set default of customers.tier",
			holds: []string{`SELECT count(*) FROM customers WHERE tier IS NULL`},
		},
		{
			name: "DROP DEFAULT", before: []string{tiers, fill, `ALTER TABLE customers ALTER COLUMN tier SET NOT NULL`}, files: file(`ALTER TABLE customers ALTER COLUMN tier DROP DEFAULT`),
			old: speak("customers", "name"), new: whole, value: [2]func(int64) string{name, words("t")}, blank: row{null, "basic"},
			plan:    "contract drop default of customers.tier",
			refused: map[string]string{`INSERT INTO customers (id, name) VALUES (0, '')`: "23502"},
		},
		{
			name: "add a value to an enum", before: []string{`CREATE TYPE tier AS ENUM ('basic', 'silver')`, `CREATE TABLE customers (id int PRIMARY KEY, name text, tier tier NOT NULL DEFAULT 'basic')`, fillCustomers},
			files: file(`ALTER TYPE tier ADD VALUE 'gold'`),
			old:   whole.making(name, oneOf("basic", "silver")), new: whole.making(name, oneOf("basic", "silver", "gold")),
			plan: "expand add value 'gold' to tier",
		},
	}
}

func rules() []passage {
	const orders = `CREATE TABLE orders (id int PRIMARY KEY, customer int, code text)`
	const fill = `INSERT INTO orders SELECT i, i, 'c' || i FROM generate_series(1, 5000) i`
	whole := speak("orders", "customer", "code").and(`SELECT count(*) FROM orders WHERE code = 'c17'`).making(numbers(seeded), words("c"))
	parent := whole.and(`UPDATE customers SET name = name || '.' WHERE id = 17`, `SELECT count(*) FROM customers c JOIN orders o ON o.customer = c.id WHERE c.id = 17`)
	parent.value[0] = func(n int64) string { return fmt.Sprint(1 + n%seeded) }
	rule := func(name, sql, plan string, refused map[string]string) passage {
		return passage{name: name, before: []string{orders, fill}, files: file(sql), old: whole, new: whole, plan: plan, refused: refused}
	}
	key := rule("add a FOREIGN KEY", `ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id)`, `
				contract add foreign key of_customer on orders
				contract check rows of orders against of_customer`,
		map[string]string{`INSERT INTO orders VALUES (0, 5001, '')`: "23503", `DELETE FROM customers`: "23503"})
	key.before, key.old, key.new = append([]string{customers, fillCustomers}, key.before...), parent, parent
	drop := rule("drop an index", `DROP INDEX by_code`, "contract drop index by_code", nil)
	drop.before = append(drop.before, `CREATE INDEX by_code ON orders (code)`)
	loosen := rule("drop a CHECK", `ALTER TABLE orders DROP CONSTRAINT positive`, "expand drop constraint positive of orders", nil)
	loosen.before = append(loosen.before, `ALTER TABLE orders ADD CONSTRAINT positive CHECK (customer >= 0)`)
	loosen.new = whole.making(func(n int64) string { return fmt.Sprint(-n % seeded) }, words("c"))
	return []passage{
		rule("add a CHECK", `ALTER TABLE orders ADD CONSTRAINT positive CHECK (customer >= 0)`, `
				contract add check positive on orders
				contract check rows of orders against positive`,
			map[string]string{`INSERT INTO orders VALUES (0, -1, '')`: "23514"}),
		loosen,
		key,
		rule("add a UNIQUE", `ALTER TABLE orders ADD CONSTRAINT one_code UNIQUE (code)`, `
				contract build index for unique on orders
				contract add unique one_code on orders`,
			map[string]string{`INSERT INTO orders SELECT 0, customer, code FROM orders LIMIT 1`: "23505"}),
		rule("create an index", `CREATE INDEX by_code ON orders (code)`, "expand create index by_code on orders", nil),
		drop,
	}
}

func tables() []passage {
	name := words("n")
	plain := speak("customers", "name")
	return []passage{
		{
			name: "rename a table", short: true, before: []string{customers, fillCustomers}, files: file(`ALTER TABLE customers RENAME TO clients`),
			old: plain.and(`SELECT name FROM customers WHERE id = 17 FOR UPDATE`), new: speak("clients", "name"), value: [2]func(int64) string{name},
			plan: `
				expand rename table customers to clients
				contract drop view customers, the old name of clients`,
			refused: map[string]string{`SELECT name FROM customers`: "42P01", `INSERT INTO customers VALUES (0, '')`: "42P01"},
		},
		{
			name: "drop a table", before: []string{customers, fillCustomers, `CREATE TABLE notes (id serial PRIMARY KEY, customer int REFERENCES customers, body text)`},
			files: file(`DROP TABLE notes`), value: [2]func(int64) string{name},
			old:     plain.and(`INSERT INTO notes (body) VALUES ('')`, `SELECT count(*) FROM notes`, `UPDATE notes SET body = 'x' WHERE id % 10 = 0`),
			new:     plain,
			plan:    "contract drop table notes",
			refused: map[string]string{`SELECT * FROM notes`: "42P01"},
		},
		{
			name: "create a table", before: []string{customers, fillCustomers}, value: [2]func(int64) string{name},
			files: file(`CREATE TABLE notes (id serial PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, body text)`, `CREATE INDEX ON notes (customer)`),
			old:   plain, new: plain.and(`INSERT INTO notes (customer, body) SELECT max(id), '' FROM customers WHERE id < 5000`, `SELECT count(*) FROM notes`),
			plan: `
				expand create table notes
				expand tie notes to customers
				expand create index notes_customer_idx on notes`,
		},
	}
}
