package process_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/workload/process"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// The test program is all that a test needs to run: the shim, and instances of several kinds. These end by syscall.Exit, as under the
// race detector os.Exit takes a second.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shim":
			runShim(os.Args[2])
		case "late-shim":
			lateShim(os.Args[2])
		case "owner":
			own(os.Args[2], os.Args[3])
		case "web":
			web(os.Args[2])
		case "worker":
			worker()
		}
	}
	goleak.VerifyTestMain(m)
}

func runShim(dir string) {
	if err := shim.Run(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

// lateShim is a shim before whose first start somebody else takes the instance's port.
func lateShim(dir string) {
	var spec shim.Spec
	if err := statefile.Read(filepath.Join(dir, shim.SpecFile), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		syscall.Exit(1)
	}
	mark, err := os.OpenFile(filepath.Join(filepath.Dir(dir), "..", "taken"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		var config net.ListenConfig
		listener, err := config.Listen(context.Background(), "tcp", spec.Address)
		if err != nil {
			syscall.Exit(1)
		}
		defer listener.Close()
		fmt.Fprintln(mark, spec.Address)
	}
	runShim(dir)
}

// own is a controller that starts an instance, says so, and then waits to be killed.
func own(state, project string) {
	self, _ := os.Executable()
	d, err := process.New(process.Options{StateDir: state, Self: []string{self, "shim"}})
	if err != nil {
		fmt.Println(err)
		syscall.Exit(1)
	}
	config := process.Config{Command: []string{self, "web", "./releases/{release}"}, Dir: project, Ready: process.Ready{HTTP: "/readyz"}}
	digest, _, err := d.Digest(context.Background(), config, "v1")
	release := segue.Release{Service: "web", Name: "v1", Digest: digest}
	if err == nil {
		err = d.Stage(context.Background(), config, release)
	}
	if err == nil {
		_, err = d.Start(context.Background(), launchOf(release, config, 1))
	}
	if err == nil {
		err = d.AwaitReady(context.Background(), launchOf(release, config, 1).ID)
	}
	fmt.Println("owner:", err)
	select {}
}

// web serves until it is told to end. Its release is the first line of the file named release in the artifact.
func web(artifact string) {
	boot := time.Now()
	release, err := os.ReadFile(filepath.Join(artifact, "release"))
	if err != nil {
		fmt.Println("web: release is missing:", err)
		syscall.Exit(4)
	}
	fmt.Println("web: release", strings.TrimSpace(string(release)), "boots")
	if os.Getenv("MODE") == "crash" {
		fmt.Println("web: fatal: the configuration is wrong")
		syscall.Exit(3)
	}
	term := make(chan os.Signal, 8)
	signal.Notify(term, syscall.SIGTERM)
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("MODE") == "never-ready" || time.Since(boot) < 50*time.Millisecond {
			http.Error(w, "warming up", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/release", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(release) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv(r.FormValue("name"))) })
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/log", func(_ http.ResponseWriter, r *http.Request) {
		times, _ := strconv.Atoi(r.FormValue("times"))
		for i := range max(1, times) {
			fmt.Println(r.FormValue("text"), i)
		}
	})
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		syscall.Exit(code)
	})
	mux.HandleFunc("/child", func(w http.ResponseWriter, r *http.Request) {
		child := exec.CommandContext(context.WithoutCancel(r.Context()), os.Args[0], "worker")
		child.Env = append(os.Environ(), "MODE=stubborn")
		if err := child.Start(); err != nil {
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, child.Process.Pid)
	})
	go func() {
		fmt.Println("web: listens:", http.ListenAndServe(os.Getenv("ADDRESS"), mux))
		syscall.Exit(5)
	}()
	for range term {
		fmt.Println("web: TERM")
		if os.Getenv("MODE") != "ignore-term" {
			syscall.Exit(0)
		}
	}
}

// worker has no address. It notes the signals it gets.
func worker() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT)
	fmt.Println("worker: works in", os.Getenv("SEGUE_INSTANCE"))
	for s := range signals {
		fmt.Println("worker: got", s)
		switch {
		case os.Getenv("MODE") == "stubborn":
		case s == syscall.SIGUSR1 && os.Getenv("MODE") == "quiet":
			syscall.Exit(0)
		case s == syscall.SIGTERM:
			syscall.Exit(0)
		}
	}
}
