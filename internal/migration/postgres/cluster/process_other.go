//go:build !linux

package cluster

import "syscall"

// attributes keep an interrupt at the terminal from reaching the program other than through us.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
