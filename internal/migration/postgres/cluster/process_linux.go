package cluster

import "syscall"

// attributes make the program end with this process, by the signal on which a server ends at once and cleans up after itself. It is in a group of its
// own, so that an interrupt at the terminal reaches it only through us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
