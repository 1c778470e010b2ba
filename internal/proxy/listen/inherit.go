package listen

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// firstInherited is the number of the first descriptor that a supervisor passes (sd_listen_fds(3)).
const firstInherited = 3

// Inherited are the sockets that a supervisor passed in, each given out once. All methods may be called at the same time.
type Inherited struct {
	mu      sync.Mutex
	sockets []named
}

type named struct {
	name   string
	socket *Socket
}

// Inherit takes over the TCP sockets that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES speak of; getenv reads them. A process for which they
// are not meant gets none. The descriptors are closed on exec from now on.
func Inherit(getenv func(string) string) (*Inherited, error) {
	all := &Inherited{}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count <= 0 {
		return all, nil //nolint:nilerr // no number, no sockets
	}
	if pid := getenv("LISTEN_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return all, nil
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if err := all.take(firstInherited+i, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// take makes descriptor fd a socket of the list. Those that listen on something other than TCP are left alone.
func (a *Inherited) take(fd int, name string) error {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), name)
	listener, err := net.FileListener(file) // works on a copy of the descriptor
	_ = file.Close()
	if err != nil {
		return fmt.Errorf("take over descriptor %d (%q): %w", fd, name, err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return listener.Close()
	}
	a.sockets = append(a.sockets, named{name, &Socket{listener: tcp, Inherited: true}})
	return nil
}

// Claim gives the socket that was passed in under the name, or else the one for the address; nil when there is none.
func (a *Inherited) Claim(name, address string) *Socket {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found := -1
	for i, s := range a.sockets {
		if s.name != "" && s.name == name {
			found = i
			break
		}
		if found < 0 && sameAddress(s.socket.Addr(), address) {
			found = i
		}
	}
	if found < 0 {
		return nil
	}
	socket := a.sockets[found].socket
	a.sockets = append(a.sockets[:found], a.sockets[found+1:]...)
	return socket
}

// Close closes the sockets that nobody claimed.
func (a *Inherited) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sockets {
		_ = s.socket.Close()
	}
	a.sockets = nil
}

// sameAddress says whether a bound address is what text asks for; an empty host and an unspecified address are the same.
func sameAddress(bound *net.TCPAddr, text string) bool {
	wanted, err := net.ResolveTCPAddr("tcp", text)
	if err != nil || wanted.Port != bound.Port || wanted.Port == 0 {
		return false
	}
	anyWanted := len(wanted.IP) == 0 || wanted.IP.IsUnspecified()
	if bound.IP.IsUnspecified() || anyWanted {
		return bound.IP.IsUnspecified() && anyWanted
	}
	return bound.IP.Equal(wanted.IP)
}
