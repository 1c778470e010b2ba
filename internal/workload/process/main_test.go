package process_test

import (
	"context"
	"fmt"
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

	"github.com/segue-deploy/segue/internal/workload/shim"
)

// The test program is all that a test needs to run: the shim, and instances of several kinds.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shim":
			if err := shim.Run(context.Background(), os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "web":
			web(os.Args[2])
		case "worker":
			worker()
		}
	}
	goleak.VerifyTestMain(m)
}

// web serves until it is told to end. Its release is the first line of the file named release in the artifact.
func web(artifact string) {
	boot := time.Now()
	release, err := os.ReadFile(filepath.Join(artifact, "release"))
	if err != nil {
		fmt.Println("web: release is missing:", err)
		os.Exit(4)
	}
	fmt.Println("web: release", strings.TrimSpace(string(release)), "boots")
	if os.Getenv("MODE") == "crash" {
		fmt.Println("web: fatal: the configuration is wrong")
		os.Exit(3)
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
		os.Exit(code)
	})
	mux.HandleFunc("/child", func(w http.ResponseWriter, _ *http.Request) {
		child := exec.Command(os.Args[0], "worker")
		child.Env = append(os.Environ(), "MODE=stubborn")
		if err := child.Start(); err != nil {
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, child.Process.Pid)
	})
	go func() {
		fmt.Println("web: listens:", http.ListenAndServe(os.Getenv("ADDRESS"), mux))
		os.Exit(5)
	}()
	for range term {
		fmt.Println("web: TERM")
		if os.Getenv("MODE") != "ignore-term" {
			os.Exit(0)
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
			os.Exit(0)
		case s == syscall.SIGTERM:
			os.Exit(0)
		}
	}
}
