package process

import (
	"net"
	"testing"
)

func TestRelocation(t *testing.T) {
	move := newRelocation("/srv/shop", "./releases/v1", "/state/v1")
	for text, want := range map[string]string{
		"./releases/v1":                       "/state/v1",
		"./releases/v1/shop":                  "/state/v1/shop",
		"releases/v1/shop":                    "/state/v1/shop",
		"/srv/shop/releases/v1/shop":          "/state/v1/shop",
		"--root=./releases/v1/static":         "--root=/state/v1/static",
		"./releases/v1/lib:releases/v1/more":  "/state/v1/lib:/state/v1/more",
		"./releases/v10/shop":                 "./releases/v10/shop",
		"./releases/v1-old":                   "./releases/v1-old",
		"/other/releases/v1":                  "/other/releases/v1",
		"http://host/releases/v1":             "http://host/releases/v1",
		"v1":                                  "v1",
		"":                                    "",
		"--x=./releases/v1,./releases/v1/b,c": "--x=/state/v1,/state/v1/b,c",
	} {
		if got := move.apply(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := newRelocation("/srv", "v1", "/state/v1").apply("v1"); got != "v1" {
		t.Errorf("a bare word, which may be the release's name, becomes %q", got)
	}
	if got := newRelocation("/srv", "/opt/v1", "/state/v1").apply("/opt/v1/x"); got != "/state/v1/x" {
		t.Errorf("below an absolute artifact: %q", got)
	}
}

func TestPortRangeIsOutsideTheKernels(t *testing.T) {
	for kernel, want := range map[string][2]int{
		"32768\t60999\n": {20000, 32767},
		"1024 65535":     {0, 0},
		"15000 65535":    {10000, 14999},
		"10240 60000":    {60001, 65535},
		"20500 60000":    {60001, 65535},
		"garbage":        {0, 0},
		"":               {0, 0},
	} {
		if low, high := portRange(kernel); low != want[0] || high != want[1] {
			t.Errorf("%q: %d to %d, want %v", kernel, low, high, want)
		}
	}
}

func TestPortsAreGivenOutOnce(t *testing.T) {
	p := newPorts()
	p.low, p.high = 30100, 30103
	var config net.ListenConfig
	busy, err := config.Listen(t.Context(), "tcp", "127.0.0.1:30101")
	if err != nil {
		t.Skip("port 30101 is in use here")
	}
	defer busy.Close()
	p.keep("127.0.0.1:30100")
	seen := map[string]bool{}
	for range 2 {
		address, err := p.take()
		if err != nil {
			t.Skip("ports of this test are in use here")
		}
		if seen[address] || portOf(address) < 30102 {
			t.Errorf("it gives %s", address)
		}
		seen[address] = true
	}
	if address, err := p.take(); err == nil {
		t.Errorf("none is left, and it gives %s", address)
	}
	p.release("127.0.0.1:30100")
	if address, err := p.take(); err != nil || address != "127.0.0.1:30100" {
		t.Errorf("after a release: %s, %v", address, err)
	}
}
