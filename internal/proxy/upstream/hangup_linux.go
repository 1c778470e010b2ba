package upstream

import "golang.org/x/sys/unix"

// hungUp says whether the other side has closed, behind bytes that wait to be read.
func hungUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
