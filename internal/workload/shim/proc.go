package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Stat is what Segue needs to know of a process: the numbers of /proc/PID/stat.
type Stat struct {
	PID     int
	State   byte // 'Z' for one that has ended and was not yet waited for
	Parent  int
	Group   int
	Session int
	// Start is in clock ticks since boot: together with PID it names a process for ever, until the machine boots again.
	Start uint64
}

// Gone says whether the process has ended, be it still listed or not.
func (s Stat) Gone() bool { return s.State == 'Z' || s.State == 'X' }

// ReadStat reads /proc/PID/stat; fs.ErrNotExist or ESRCH when there is no such process.
func ReadStat(pid int) (Stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, err
	}
	return parseStat(pid, text)
}

// parseStat reads the line. The program's name, in parentheses, may hold spaces and parentheses itself.
func parseStat(pid int, text []byte) (Stat, error) {
	after := text[bytes.LastIndexByte(text, ')')+1:]
	fields := bytes.Fields(after)
	const start = 19 // field 22 of the line, counted from the one after the name
	if len(fields) <= start || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("read stat of process %d: %d fields", pid, len(fields))
	}
	stat := Stat{PID: pid, State: fields[0][0]}
	for i, into := range []*int{&stat.Parent, &stat.Group, &stat.Session} {
		n, err := strconv.Atoi(string(fields[i+1]))
		if err != nil {
			return Stat{}, fmt.Errorf("read stat of process %d: %w", pid, err)
		}
		*into = n
	}
	n, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("read stat of process %d: %w", pid, err)
	}
	stat.Start = n
	return stat, nil
}

// Processes lists all processes of the machine that have not ended. Those that end while it looks are left out.
func Processes() ([]Stat, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer folder.Close() //nolint:errcheck // only read
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if stat, err := ReadStat(pid); err == nil && !stat.Gone() {
			all = append(all, stat)
		}
	}
	return all, nil
}

// bootID names the time since the machine booted; start ticks are comparable within one only.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

// InstanceDirVariable is the environment variable by which the command's processes are found again when their shim was killed before
// it could note their number: the instance's folder.
const InstanceDirVariable = "SEGUE_INSTANCE_DIR"

// findByFolder looks for a group leader that was started for the instance whose folder is dir.
func findByFolder(dir string) (Stat, bool) {
	all, err := Processes()
	if err != nil {
		return Stat{}, false
	}
	want := []byte(InstanceDirVariable + "=" + dir)
	for _, stat := range all {
		if stat.PID != stat.Group {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(stat.PID), "environ"))
		if err != nil {
			continue // another user's, or it has ended
		}
		for entry := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.Equal(entry, want) {
				return stat, true
			}
		}
	}
	return Stat{}, false
}

// AwaitExit waits until a process has ended, whoever's child it is. It takes no processor time while it waits. No error when there
// is no such process, or when another one has its number by now; start 0 means that any with this number is meant.
func AwaitExit(ctx context.Context, pid int, start uint64) error {
	file, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	// The descriptor names one process for good; only now it is safe to ask whether that is the right one.
	if stat, err := ReadStat(pid); err != nil || stat.Gone() || (start != 0 && stat.Start != start) {
		return nil
	}
	return awaitExit(ctx, file)
}

// openProcess gives a descriptor that names the process for good, even if its number is used again.
func openProcess(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), "process "+strconv.Itoa(pid)), nil
}

// awaitExit waits until the descriptor's process has ended, or ctx has.
func awaitExit(ctx context.Context, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for %s: %w", file.Name(), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w", file.Name(), err)
	}
	return nil
}
