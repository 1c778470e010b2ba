package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// ports gives out loopback ports. It takes them from outside the range that the kernel gives to outgoing connections: on a busy proxy
// host one of those could take an instance's port while the instance is down for a moment, and it could not come back.
type ports struct {
	low, high int // both included; 0 when the kernel has to choose

	mu   sync.Mutex
	kept map[int]int // port to the number of instances that have it, those that are down included
}

const host = "127.0.0.1"

func newPorts() *ports {
	p := &ports{kept: map[int]int{}}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		p.low, p.high = portRange(string(text))
	}
	return p
}

// portRange finds a range of at least a thousand ports beside the kernel's, above the well-known ones.
func portRange(kernel string) (low, high int) {
	var from, to int
	if _, err := fmt.Sscan(strings.TrimSpace(kernel), &from, &to); err != nil {
		return 0, 0
	}
	const lowest, least = 20000, 1000
	switch {
	case from-lowest >= least:
		return lowest, from - 1
	case 65535-to >= least:
		return to + 1, 65535
	case from-10000 >= least:
		return 10000, from - 1
	default:
		return 0, 0
	}
}

// take gives an address that nobody listens on and keeps it for the caller, until release.
func (p *ports) take() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 200 {
		port := 0
		if p.low > 0 {
			port = p.low + rand.IntN(p.high-p.low+1)
		}
		if p.kept[port] > 0 {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))) //nolint:noctx // binds at once or not at all
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EACCES) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if n := portOf(address); p.kept[n] == 0 {
			p.kept[n]++
			return address, nil
		}
	}
	return "", segue.Errorf(segue.KindUnavailable, "find a free port: none in 200 tries")
}

// keep notes that an instance has an address.
func (p *ports) keep(address string) {
	if address == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[portOf(address)]++
}

// release gives an address back.
func (p *ports) release(address string) {
	if address == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	port := portOf(address)
	if p.kept[port]--; p.kept[port] <= 0 {
		delete(p.kept, port)
	}
}

// portOf gives the number behind the colon, 0 without one.
func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}
