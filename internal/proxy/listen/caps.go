package listen

import (
	"net"
	"net/netip"
	"sync"
)

// Caps bound the open connections of one service, in total and per client address. The zero value of a limit is none.
type Caps struct {
	mu      sync.Mutex
	total   int
	perIP   int
	exempt  []netip.Prefix
	open    int
	clients map[netip.Addr]int
	refused int64
}

// Limit sets the limits from now on; connections over them stay. Clients within exempt (proxies in front) have no limit of their own.
func (c *Caps) Limit(total, perIP int, exempt []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.perIP, c.exempt = total, perIP, exempt
}

// Open counts the open connections, Refused those that were turned away since the start.
func (c *Caps) Open() (open int, refused int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.refused
}

// enter takes a place for a client; ok is false when there is none.
func (c *Caps) enter(addr net.Addr) (release func(), ok bool) {
	client := clientOf(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.perIP > 0 && client.IsValid() && !Contains(c.exempt, client)
	if (c.total > 0 && c.open >= c.total) || (own && c.clients[group(client)] >= c.perIP) {
		c.refused++
		return nil, false
	}
	c.open++
	if !own {
		return func() { c.leave(netip.Addr{}) }, true
	}
	if c.clients == nil {
		c.clients = map[netip.Addr]int{}
	}
	key := group(client)
	c.clients[key]++
	return func() { c.leave(key) }, true
}

func (c *Caps) leave(key netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if !key.IsValid() {
		return
	}
	if c.clients[key]--; c.clients[key] <= 0 {
		delete(c.clients, key)
	}
}

// Contains says whether an address lies in one of the prefixes.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// group is what counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which one customer has to himself.
func group(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}

func clientOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
