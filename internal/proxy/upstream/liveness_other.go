//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package upstream

// peek cannot look into a socket here; every connection counts as fit.
func peek(uintptr) quietness { return quiet }
