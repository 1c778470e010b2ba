//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package upstream

import "syscall"

// peek looks into the receive queue of the socket fd without waiting and without taking anything out.
func peek(fd uintptr) quietness {
	var scratch [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), scratch[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return quiet
		case err != nil || n == 0:
			return ended
		case hungUp(fd):
			return ended
		default:
			return pending
		}
	}
}
