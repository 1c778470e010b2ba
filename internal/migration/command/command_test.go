package command_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/command"
)

// role makes this binary a program of somebody else's.
const role = "COMMAND_TEST_ROLE"

func TestMain(m *testing.M) {
	if name := os.Getenv(role); name != "" {
		os.Exit(play(name)) //nolint:forbidigo // a process of its own
	}
	goleak.VerifyTestMain(m)
}

const secret = "postgres://ada:s3cr%2Ft@db/shop"

func play(name string) int {
	switch name {
	case "says":
		fmt.Println("migrating")
		fmt.Fprintln(os.Stderr, "\x1b[31mconnecting to", os.Getenv("DATABASE_URL"), "with s3cr/t\x1b[0m and s3c\x1b[1mr/t\x07")
		fmt.Print("last")
		return 0
	case "long":
		for i := range 300 {
			fmt.Println("line", i)
		}
		fmt.Println(strings.Repeat("x", 64<<10-4) + "s3cr/t" + strings.Repeat("y", 1<<20))
		return 0
	case "fails", "later":
		fmt.Println("no such table")
		return map[string]int{"fails": 3, "later": command.ExitRetry}[name]
	case "stays", "stubborn":
		return stay(name == "stubborn")
	case "leaves":
		// A child that outlives it, in its group and with its output.
		child := exec.CommandContext(context.Background(), "sleep", "600")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return 9
		}
		fmt.Println("child", child.Process.Pid)
		return 0
	case "alters":
		return alter()
	case "idles":
		return idle()
	}
	return 9
}

// stay has a child and waits for ever; stubborn takes no SIGTERM, nor does its child.
func stay(stubborn bool) int {
	child := exec.CommandContext(context.Background(), "sleep", "600")
	if stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	if err := child.Start(); err != nil {
		return 9
	}
	fmt.Println("child", child.Process.Pid)
	_ = child.Wait()
	select {}
}

func connect() (*pgx.Conn, context.Context, error) {
	ctx := context.Background()
	config, err := pgx.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, ctx, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, ctx, err
}

// alter is a migration: it takes the strongest lock of a table.
func alter() int {
	conn, ctx, err := connect()
	if err == nil {
		_, err = conn.Exec(ctx, "ALTER TABLE orders ADD COLUMN note text DEFAULT 'private'")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// idle has a lock, and then does nothing until its input ends or it is told something.
func idle() int {
	conn, ctx, err := connect()
	if err == nil {
		_, err = conn.Exec(ctx, "BEGIN; LOCK TABLE orders")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("locked")
	if _, err := io.Copy(io.Discard, conn.PgConn().Conn()); err != nil { // until the server hangs up
		fmt.Println(err)
	}
	return 1
}

func request(t *testing.T, name string, more ...string) command.Request {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return command.Request{Argv: []string{self}, Dir: t.TempDir(), Env: append([]string{role + "=" + name, "PATH=" + os.Getenv("PATH")}, more...), Hide: []string{secret}}
}

func TestOutputIsHandedOnWithoutSecrets(t *testing.T) {
	t.Parallel()
	var lines []string
	r := request(t, "says", "DATABASE_URL="+secret)
	r.Output = func(line string) { lines = append(lines, line) }
	result, err := new(command.Runner).Run(t.Context(), r)
	if err != nil || result.Exit != 0 || result.Took <= 0 {
		t.Fatalf("%+v: %v", result, err)
	}
	want := []string{"migrating", "connecting to [hidden] with [hidden] and [hidden]", "last"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, result.Tail); diff != "" {
		t.Error(diff)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	result, err := new(command.Runner).Run(t.Context(), request(t, "long"))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Tail) != 200 || result.Tail[198] != "line 299" {
		t.Fatalf("%d lines are kept, the last but one is %q", len(result.Tail), result.Tail[198])
	}
	last := result.Tail[199]
	if len(last) > 64<<10 || !strings.HasSuffix(last, "bytes more]") || strings.Contains(last, "s3c") {
		t.Errorf("a long line has %d bytes and ends in %q", len(last), last[len(last)-60:])
	}
}

func TestEndsAreToldApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		exit int
		kind segue.Kind
	}{{"fails", 3, segue.KindInvalid}, {"later", command.ExitRetry, segue.KindUnavailable}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result, err := new(command.Runner).Run(t.Context(), request(t, test.name))
			if result.Exit != test.exit || segue.KindOf(err) != test.kind || !strings.Contains(err.Error(), "no such table") {
				t.Errorf("%+v: %v (%v)", result, err, segue.KindOf(err))
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		r := request(t, "says")
		r.Argv = []string{"/nowhere/rails", "db:migrate"}
		result, err := new(command.Runner).Run(t.Context(), r)
		if result.Exit != -1 || segue.KindOf(err) != segue.KindInvalid || segue.HintOf(err) == "" {
			t.Errorf("%+v: %v", result, err)
		}
	})
	t.Run("a secret among the words", func(t *testing.T) {
		t.Parallel()
		r := request(t, "says")
		r.Argv = append(r.Argv, "--url="+secret)
		if _, err := new(command.Runner).Run(t.Context(), r); segue.KindOf(err) != segue.KindInvalid || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("%v", err)
		}
	})
}

// childOf reads the process id that a program says.
func childOf(t *testing.T, line string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimPrefix(line, "child "))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// wantGone waits until a process is gone, or a zombie that only its new parent can take away.
func wantGone(t *testing.T, pid int) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for unix.Kill(pid, 0) == nil && !zombie(pid) {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func zombie(pid int) bool {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), "State:") {
			return strings.Contains(scanner.Text(), "Z")
		}
	}
	return false
}

func TestAllOfTheGroupEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stays", "stubborn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cause := errors.New("the rollout was aborted")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			child := 0
			r := request(t, name)
			r.Output = func(line string) { child = childOf(t, line); cancel(cause) }
			result, err := (&command.Runner{Grace: 300 * time.Millisecond}).Run(ctx, r)
			if result.Exit != -1 || segue.KindOf(err) != segue.KindCanceled || !errors.Is(err, cause) {
				t.Errorf("%+v: %v", result, err)
			}
			wantGone(t, child)
		})
	}
	t.Run("what a program leaves behind", func(t *testing.T) {
		t.Parallel()
		result, err := (&command.Runner{Grace: 300 * time.Millisecond}).Run(t.Context(), request(t, "leaves"))
		if err != nil || result.Exit != 0 {
			t.Fatalf("%+v: %v", result, err)
		}
		wantGone(t, childOf(t, result.Tail[0]))
	})
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	login := command.Login{URL: secret, Application: `segue run\1`, Lock: 2 * time.Second, Statement: time.Microsecond}
	got := login.Environ([]string{"HOME=/srv", "PGOPTIONS=-c jit=off", "DATABASE_URL=old", "PGAPPNAME=old"})
	want := []string{
		"HOME=/srv", `PGAPPNAME=segue run\1`,
		`PGOPTIONS=-c jit=off -c lock_timeout=2000 -c statement_timeout=1 -c application_name=segue\ run\\1`, "DATABASE_URL=" + secret,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text := fmt.Sprintf("%v %s", login, login); strings.Contains(text, "s3cr") {
		t.Errorf("a login shows its password: %s", text)
	}
}
