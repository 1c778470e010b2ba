package template_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template"
)

// TestOtherOutcomesAreOtherEvents has pairs of events that a word or two tell apart. The second comes for the first time when the first is well known.
func TestOtherOutcomesAreOtherEvents(t *testing.T) {
	t.Parallel()
	pairs := [][2]string{
		{"user created in database", "user deleted in database"},
		{"user # created", "user # deleted"},
		{"job started on node #", "job failed on node #"},
		{"order accepted", "order rejected"},
		{"connection to db established", "connection to db lost"},
		{"cache enabled", "cache disabled"},
		{"payment succeeded for order #", "payment failed for order #"},
		{"status: ok", "status: failed"},
		{"Connected to redis", "Disconnected from redis"},
		{"health check passed for web-1", "health check failed for web-1"},
		{"leader elected", "leader lost"},
		{"task completed", "task aborted"},
		{"task # completed in #ms", "task # aborted in #ms"},
		{"OrderService started", "OrderService stopped"},
		{"OrderService started in # ms", "OrderService stopped in # ms"},
		{"read timeout from db after #ms", "read timeout from cache after #ms"},
		{"pod web-1 is now RUNNING", "pod web-1 is now CRASHED"},
		{"replica up", "replica down"},
		{"service web-# is healthy", "service web-# is unhealthy"},
		{"node joined the cluster", "node left the cluster"},
		{"worker # ready", "worker # crashed"},
		{"transaction committed: #", "transaction rolled back: #"},
		{"sent mail to # users", "could not send mail to # users"},
		{"request served", "request dropped"},
		{"disk usage at #%", "disk full at #%"},
		{"feature checkout-v2 enabled", "feature checkout-v2 disabled"},
		{"login succeeded for user bob", "login failed for user bob"},
		{"host web-1 reachable", "host web-1 unreachable"},
		{"reading config file", "cannot read config file"},
		{"queue empty", "queue full"},
		{"table orders locked", "table orders dropped"},
		{"topic created by admin client today", "topic deleted by admin client today"},
		{"server started with # workers", "server crashed with # workers"},
		{"container started with image # now", "container killed with image # now"},
		{"the service started normally today", "the service died normally today"},
		{"getUser: ok", "getUser: failed"},
		{"loadConfig returned #", "loadSchema returned #"},
		{"ConfigLoaded in # ms", "ConfigRejected in # ms"},
		{"connection_opened id #", "connection_reset id #"},
		{"order created {\"id\":#}", "order cancelled {\"id\":#}"},
		{"[cache hit] key #", "[cache miss] key #"},
		{"[OrderService] created #", "[OrderService] failed #"},
		{"OPENED session #", "CLOSED session #"},
		{"session # OPENED", "session # EXPIRED"},
		{"Sync OK in # ms", "Sync ERROR in # ms"},
		{"healthz probe: OK", "healthz probe: FAILED"},
		{"upstream prematurely closed connection", "upstream timed out"},
		{"a.b.c.Foo: loaded #", "a.b.c.Foo: unloaded #"},
		{"retry # of #", "giving up after # of #"},
		{"cart/checkout done in #ms", "cart/refund done in #ms"},
		{"shop.orders: created #", "shop.refunds: created #"},
		{"consumer-group mails rebalanced", "consumer-group mails evicted"},
	}
	for name, wrap := range map[string]string{
		"plain": "%s", "dated": "2026-01-02 03:04:05 INFO %s", "spring": "2026-01-02 03:04:05.123 INFO 1 --- [main] c.a.Foo   : %s",
		"json": `{"level":"info","ts":1.5,"logger":"x","msg":%q}`, "logfmt": `ts=1 level=info msg=%q`, "docker": `web_1  | ts=1 level=info msg=%q n=3`,
		"klog": "I0102 03:04:05.000000 1 a.go:10] %s", "structured klog": `I0102 03:04:05.000000 1 a.go:10] %q pod="a"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for _, pair := range pairs {
				if strings.Contains(pair[0], `"`) && strings.Contains(wrap, "%q") {
					continue
				}
				parser, tree := template.NewParser(), template.NewTree(template.Options{})
				var line template.Line
				learn := func(text string) template.Match {
					for strings.Contains(text, "#") {
						text = strings.Replace(text, "#", fmt.Sprint(r.IntN(9999)), 1)
					}
					parser.Parse(fmt.Appendf(nil, wrap, text), &line)
					return tree.Learn(&line, nil, start)
				}
				for range 20 {
					learn(pair[0])
					learn("heartbeat # ok")
					learn("listening on port #")
				}
				if match := learn(pair[1]); !match.New {
					told, _ := tree.Get(match.ID)
					t.Errorf("%q and %q are one: %s", pair[0], pair[1], told.Text)
				}
			}
		})
	}
}

// TestLifecyclesStayApart has more events of one thing than words must stand in a place for any word to go there.
func TestLifecyclesStayApart(t *testing.T) {
	t.Parallel()
	parser, tree := template.NewParser(), template.NewTree(template.Options{})
	var line template.Line
	for _, verb := range []string{"created", "paid", "packed", "shipped", "delivered", "returned", "closed", "archived", "refunded", "lost"} {
		for i := range 3 {
			parser.Parse(fmt.Appendf(nil, "2026-01-02 03:04:05 INFO order %d %s by the system", i, verb), &line)
			if match := tree.Learn(&line, nil, start); match.New != (i == 0) {
				t.Errorf("%s: new is %v at line %d", verb, match.New, i+1)
			}
		}
	}
}
