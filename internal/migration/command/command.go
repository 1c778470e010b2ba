// Package command runs a team's own migration runner (Rails, Django, Alembic) where it must run by itself: as a program without a shell, in a process
// group of its own that ends as a whole, with bounded output in which no secret stands. On PostgreSQL, Watch looks after its sessions meanwhile.
//
// What the program's exit code means: 0 is done. 75 (EX_TEMPFAIL of sysexits.h) is "not now": the error's kind is KindUnavailable, and the same may be
// tried again. Every other one is a failure that doing it again will not mend (KindInvalid); migrations may have been applied up to there.
package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// ExitRetry is the exit code by which a program says: not now, try again.
const ExitRetry = 75

// defaultGrace is how long a program that is asked to end may take.
const defaultGrace = 10 * time.Second

// Request is what to run.
type Request struct {
	// Argv is the program and its arguments, taken as they are. They can be seen by every user of the machine: no secret belongs here.
	Argv []string
	Dir  string
	// Env is the whole environment, "NAME=value" each; see Login.Environ.
	Env []string
	// Hide are texts that are masked wherever they are written: connection URLs, with the passwords in them.
	Hide []string
	// Output, if set, is given every line as it comes, of stdout and stderr alike, from one goroutine.
	Output func(line string)
}

// Result is how a program ended.
type Result struct {
	// Exit is its exit code, -1 when it was ended by a signal or did not begin.
	Exit int
	Took time.Duration
	// Tail are the last lines, 200 at most.
	Tail []string
}

// Runner runs programs. The zero value is ready.
type Runner struct {
	// Grace is how long a program has between SIGTERM and SIGKILL when it is cancelled; 10 seconds by default.
	Grace time.Duration
}

// Run runs the program to its end. Whatever it leaves running in its process group ends with it. When ctx ends, all of the group gets SIGTERM, and after
// the grace SIGKILL; the error is of KindCanceled then, or KindTimeout where a deadline passed. KindInvalid for a program that cannot be run or that
// failed, KindUnavailable for one that asked to be tried again, KindFault for one that a signal ended. The result is valid with an error as well.
func (r *Runner) Run(ctx context.Context, request Request) (Result, error) {
	if len(request.Argv) == 0 {
		return Result{Exit: -1}, segue.Errorf(segue.KindInvalid, "the command has no words").WithHint("write command: [bin/rails, db:migrate]")
	}
	mask := newMask(request.Hide)
	if slices.ContainsFunc(request.Argv, func(word string) bool { return mask.replace(word) != word }) {
		return Result{Exit: -1}, segue.Errorf(segue.KindInvalid, "the command has the database's URL or password among its words, where every user of the machine sees it").
			WithHint("let the program read it from its environment, as DATABASE_URL")
	}
	out := newLines(mask, request.Output)
	grace := r.Grace
	if grace <= 0 {
		grace = defaultGrace
	}
	command := exec.CommandContext(ctx, request.Argv[0], request.Argv[1:]...)
	command.Dir, command.Env = request.Dir, request.Env
	if command.Env == nil {
		command.Env = []string{} // nil would hand on all of ours
	}
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGTERM) }
	command.WaitDelay = grace
	began := time.Now()
	if err := ctx.Err(); err != nil {
		return Result{Exit: -1}, ended(ctx, request.Argv[0])
	}
	if err := command.Start(); err != nil {
		return Result{Exit: -1}, segue.Errorf(segue.KindInvalid, "start command: %s", mask.replace(err.Error())).
			WithHint("is %s there and executable, and is the folder right?", request.Argv[0])
	}
	err := command.Wait()
	// The first process is gone; its group lives on as long as anybody is in it.
	if failed := unix.Kill(-command.Process.Pid, unix.SIGKILL); failed != nil && !errors.Is(failed, unix.ESRCH) && !errors.Is(failed, unix.EPERM) {
		err = errors.Join(err, fmt.Errorf("end process group: %w", failed))
	}
	result := Result{Exit: command.ProcessState.ExitCode(), Took: time.Since(began), Tail: out.close()}
	return result, explain(ctx, request.Argv[0], result, err)
}

// explain turns the end of a program into an error, or none.
func explain(ctx context.Context, program string, result Result, err error) error {
	if err == nil || result.Exit == 0 && errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if ctx.Err() != nil {
		return ended(ctx, program)
	}
	last := ""
	if n := len(result.Tail); n > 0 {
		last = ": " + strings.TrimSpace(result.Tail[n-1])
	}
	switch {
	case result.Exit == ExitRetry:
		return segue.Errorf(segue.KindUnavailable, "command %s asks to be tried again (exit code %d)%s", program, result.Exit, last)
	case result.Exit > 0:
		return segue.Errorf(segue.KindInvalid, "command %s failed with exit code %d%s", program, result.Exit, last).
			WithHint("Its output says more. What it did before that stays: look at its history table before you run it again.")
	case result.Exit < 0:
		return segue.Errorf(segue.KindFault, "command %s was ended from outside (%v)%s", program, err, last).
			WithHint("What it did before that stays: look at its history table before you run it again.")
	}
	return segue.Errorf(segue.KindFault, "run command %s: %w", program, err)
}

func ended(ctx context.Context, program string) error {
	kind, cause := segue.KindCanceled, context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		kind = segue.KindTimeout
	}
	return segue.Errorf(kind, "command %s was stopped: %w", program, cause)
}
