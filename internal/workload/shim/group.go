package shim

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// group is a command's process group. Processes that leave it are on their own.
type group struct {
	id      int
	session int
}

// empty says whether nobody is left in the group, as far as one system call can tell: ended processes that their parent has not
// waited for still count.
func (g group) empty() bool { return errors.Is(unix.Kill(-g.id, 0), unix.ESRCH) }

// members lists the processes of the group that have not ended. The session is compared, too: a group's number may be used again
// once it is empty, but hardly in the same session.
func (g group) members() ([]Stat, error) {
	if g.empty() {
		return nil, nil
	}
	all, err := Processes()
	if err != nil {
		return nil, err
	}
	var found []Stat
	for _, stat := range all {
		if stat.Group == g.id && stat.Session == g.session {
			found = append(found, stat)
		}
	}
	return found, nil
}

// signal sends to every member. With leader true the group's leader is known to be there, ended or not, so that the number
// cannot mean another group; else members are looked up one by one.
func (g group) signal(number unix.Signal, leader bool) error {
	if leader {
		if err := unix.Kill(-g.id, number); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process group %d: %w", g.id, err)
		}
		return nil
	}
	members, err := g.members()
	if err != nil {
		return err
	}
	var faults []error
	for _, member := range members {
		faults = append(faults, signalProcess(member, number))
	}
	return errors.Join(faults...)
}

// signalProcess sends to exactly this process, or to none when it has ended.
func signalProcess(stat Stat, number unix.Signal) error {
	fd, err := unix.PidfdOpen(stat.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", stat.PID, err)
	}
	defer unix.Close(fd) //nolint:errcheck // a descriptor of nothing written
	if now, err := ReadStat(stat.PID); err != nil || now.Start != stat.Start {
		return nil // it has ended, and so is as signalled as it can be
	}
	if err := unix.PidfdSendSignal(fd, number, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", stat.PID, err)
	}
	return nil
}

// awaitGone waits until the group is empty, or ctx is done.
func (g group) awaitGone(ctx context.Context) error {
	for {
		members, err := g.members()
		if err != nil {
			return err
		}
		if len(members) == 0 {
			return nil
		}
		// One after the other: the group is gone when its last one is; who is born meanwhile is found by the next look.
		for _, member := range members {
			if err := AwaitExit(ctx, member.PID, member.Start); err != nil {
				return err
			}
		}
	}
}

// kill ends every member by force and waits until they are gone. Members that are born while it kills are found by the next look.
func (g group) kill(ctx context.Context) error {
	for {
		if err := g.signal(unix.SIGKILL, false); err != nil {
			return err
		}
		members, err := g.members()
		if err != nil || len(members) == 0 {
			return err
		}
		for _, member := range members {
			if err := AwaitExit(ctx, member.PID, member.Start); err != nil {
				return err
			}
		}
	}
}

// Kill ends a process by force and waits until it is gone.
func Kill(ctx context.Context, stat Stat) error {
	if err := signalProcess(stat, unix.SIGKILL); err != nil {
		return err
	}
	return AwaitExit(ctx, stat.PID, stat.Start)
}
