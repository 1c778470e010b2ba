package shim

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Changes tells that something may have changed in files or folders. Several changes are told as one.
type Changes struct {
	// C gets a value after a change.
	C <-chan struct{}

	file *os.File // nil where changes cannot be watched
	done chan struct{}
	wait sync.WaitGroup
	once sync.Once
}

// WatchChanges watches the paths. Where the kernel has no watch left for this user, it tells of a change every so often instead.
// It begins with one change, so that nothing is missed that happened before. The caller closes it.
func WatchChanges(every time.Duration, paths ...string) *Changes {
	signal := make(chan struct{}, 1)
	signal <- struct{}{}
	c := &Changes{C: signal, done: make(chan struct{})}
	tell := func() {
		select {
		case signal <- struct{}{}:
		default:
		}
	}
	if c.file = openWatch(paths); c.file != nil {
		c.wait.Go(func() {
			buffer := make([]byte, 4096)
			for {
				if _, err := c.file.Read(buffer); err != nil {
					return
				}
				tell()
			}
		})
		return c
	}
	c.wait.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				tell()
			case <-c.done:
				return
			}
		}
	})
	return c
}

// openWatch gives nil when not all of the paths can be watched.
func openWatch(paths []string) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), "inotify")
	const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_DELETE_SELF
	for _, path := range paths {
		if _, err := unix.InotifyAddWatch(fd, path, mask); err != nil {
			_ = file.Close()
			return nil
		}
	}
	return file
}

// Close ends the watch.
func (c *Changes) Close() {
	c.once.Do(func() {
		close(c.done)
		if c.file != nil {
			_ = c.file.Close()
		}
	})
	c.wait.Wait()
}
