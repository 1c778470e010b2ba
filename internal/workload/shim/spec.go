package shim

import (
	"encoding/json"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// Spec is all that a shim needs to hold an instance: every path absolute, every placeholder filled in. It has secrets in Env, so it is kept
// in a file of mode 0600 and nowhere else.
type Spec struct {
	ID      segue.InstanceID  `json:"id"`
	Service segue.ServiceName `json:"service"`
	Server  segue.ServerName  `json:"server"`
	Release segue.ReleaseName `json:"release"`
	// Digest is that of the release's artifact.
	Digest segue.Digest `json:"digest"`

	// Command is the argument vector; its first element is the program's path.
	Command []string `json:"command"`
	// Dir is the folder the command runs in.
	Dir string `json:"dir"`
	// Env is the whole environment, as NAME=value.
	Env []string `json:"env"`
	// Address is host:port where the command will listen; "" for workers. It must be free when the command is started.
	Address string `json:"address,omitempty"`

	// LogDir is the folder of the output's files.
	LogDir string `json:"log_dir"`
	// LogBytes bounds one file of output, LogFiles their number, the current one included.
	LogBytes int64 `json:"log_bytes"`
	LogFiles int   `json:"log_files"`

	// Quiet is the signal that tells a worker to take no more work, by name; "" for none. QuietWait bounds the wait for its end then.
	Quiet     string        `json:"quiet,omitempty"`
	QuietWait time.Duration `json:"quiet_wait,omitempty"`
	// Term is the signal that asks it to end, by name, and Grace the time until KILL.
	Term  string        `json:"term"`
	Grace time.Duration `json:"grace"`

	// BackOffMin is the wait before the first start after a crash; it doubles with each crash in a row up to BackOffMax.
	BackOffMin time.Duration `json:"back_off_min"`
	BackOffMax time.Duration `json:"back_off_max"`

	// Driver is the driver's own; the shim does not look at it.
	Driver json.RawMessage `json:"driver,omitempty"`
}

// ParseSignal gives the signal of a name with or without SIG, in any case: "TERM", "sigusr1".
func ParseSignal(name string) (unix.Signal, error) {
	upper := strings.ToUpper(strings.TrimSpace(name))
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	number := unix.SignalNum(upper)
	if number == 0 {
		return 0, segue.Errorf(segue.KindInvalid, "signal %q is not known here", name).WithHint("use a name such as TERM, INT, USR1 or TSTP")
	}
	return number, nil
}

// SignalName gives a signal's name without SIG: "KILL".
func SignalName(number unix.Signal) string {
	return strings.TrimPrefix(unix.SignalName(number), "SIG")
}
