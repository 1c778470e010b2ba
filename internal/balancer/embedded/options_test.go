package embedded_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
)

func TestDecode(t *testing.T) {
	got, err := embedded.Decode([]byte(`{"listen": ":8080", "drain": {"within": "60s", "spread": "5s"}, "hold": {"max_wait": "1m30s"},
		"sticky": {"on": true}, "health": {"path": "/up", "interval": "2s"}, "trusted_proxies": ["10.0.0.0/8"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := embedded.Options{
		Listen: ":8080", Drain: embedded.Drain{Within: embedded.Duration(time.Minute), Spread: embedded.Duration(5 * time.Second)},
		Hold: embedded.Hold{MaxWait: embedded.Duration(90 * time.Second)}, Sticky: embedded.Sticky{On: true},
		Health: embedded.Health{Path: "/up", Interval: embedded.Duration(2 * time.Second)}, TrustedProxies: []string{"10.0.0.0/8"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, part := range map[string]string{
		`{}`:                                                        "listen",
		`{"listen": ":8080", "lisen": ":1"}`:                        "lisen",
		`{"listen": ":8080", "slow_start": "5"}`:                    "5",
		`{"listen": ":8080", "slow_start": "-5s"}`:                  "slow_start",
		`{"listen": ":8080", "trusted_proxies": ["here"]}`:          "here",
		`{"listen": ":8080", "proxy_protocol": true}`:               "trusted_proxies",
		`{"listen": ":8080", "limits": {"buffer_body": 100000000}}`: "buffer_body",
	} {
		_, err := embedded.Decode([]byte(text))
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want an error that names %q", text, err, part)
		}
	}
}

func TestStartThatFails(t *testing.T) {
	for what, start := range map[string]func(context.Context) error{
		"an error":            func(context.Context) error { return errors.New("no such program") },
		"nobody who answers":  func(context.Context) error { return nil },
		"nothing to start by": nil,
	} {
		t.Run(what, func(t *testing.T) {
			d, err := embedded.New(embedded.Config{
				Service: "web", Options: embedded.Options{Listen: "127.0.0.1:0"}, Socket: filepath.Join(t.TempDir(), "s"),
				Start: start, StartWithin: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Configure(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
				t.Errorf("Configure: %v (%v), want unavailable", err, segue.KindOf(err))
			}
		})
	}
}

func TestOneProxyIsStartedForMany(t *testing.T) {
	p := newProcess(t)
	d := p.driver(embedded.Options{})
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- d.Configure(t.Context()) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if p.starts != 1 {
		t.Errorf("%d proxies were started, want 1", p.starts)
	}
}
