package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Config is the process driver's block of a service's configuration. Placeholders of Command, Env, Artifact and Ready.Command are
// filled in when an instance is started; see Placeholders.
type Config struct {
	// Command is the argument vector of an instance. It is run as it is, without a shell, and must stay in the foreground.
	Command []string `json:"command"`
	// Artifact is the path of a release's file or folder, with {release} in it, relative to Dir. "": the command argument that contains
	// {release}, cut after the path component with it.
	Artifact string `json:"artifact,omitempty"`
	// Dir is the folder that relative paths begin in, and that instances run in: that of segue.yaml. It is absolute.
	Dir string `json:"dir"`
	// Env is what instances get in their environment beyond the least (PATH, HOME, LANG, TZ, TMPDIR, USER). Values may be secrets.
	Env map[string]string `json:"env,omitempty"`
	// Worker is true for an instance that serves no address.
	Worker bool `json:"worker,omitempty"`

	Ready   Ready   `json:"ready"`
	Stop    Stop    `json:"stop"`
	Restart Restart `json:"restart"`
	Log     Log     `json:"log"`
}

// Ready says how to find out that an instance is ready. At most one of HTTP, TCP and Command is set; none means TCP for an instance
// with an address, and for a worker that it has run for a second.
type Ready struct {
	// HTTP is a path ("/readyz") that answers 2xx or 3xx to a GET.
	HTTP string `json:"http,omitempty"`
	// TCP means that the address accepts a connection.
	TCP bool `json:"tcp,omitempty"`
	// Command is an argument vector that ends with exit code 0; it has the instance's environment and folder.
	Command []string `json:"command,omitempty"`
	// Within bounds the wait where the caller gives no deadline; 0 means a minute.
	Within time.Duration `json:"within,omitempty"`
}

// Stop says how an instance is ended.
type Stop struct {
	// Quiet is the signal that tells a worker to take no more work ("TSTP", "USR1"); "" for none.
	Quiet string `json:"quiet,omitempty"`
	// QuietWait bounds the wait for its end after that; 0 means 30 s.
	QuietWait time.Duration `json:"quiet_wait,omitempty"`
	// Signal asks it to end; "" means TERM.
	Signal string `json:"signal,omitempty"`
	// Grace is the time between Signal and KILL where the caller gives none; 0 means 30 s.
	Grace time.Duration `json:"grace,omitempty"`
}

// Restart says what happens after a crash.
type Restart struct {
	// Min is the wait before the first new start, 0 means 250 ms; it doubles with each crash in a row up to Max, 0 means 30 s.
	Min time.Duration `json:"min,omitempty"`
	Max time.Duration `json:"max,omitempty"`
	// Limit is how many crashes in a row are put up with while somebody waits for the instance to be ready: 0 means 3, negative means none.
	Limit int `json:"limit,omitempty"`
}

// Log bounds what is kept of an instance's output.
type Log struct {
	// MaxBytes of one file, 0 means 10 MiB; Files is their number, the current one included, 0 means 5.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	Files    int   `json:"files,omitempty"`
}

// Digest identifies the configuration, values of the environment included, and reveals none of it.
func (c Config) Digest() segue.Digest {
	text, err := json.Marshal(c) // a struct of strings and numbers: it cannot fail, and maps are sorted
	if err != nil {
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return segue.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Filled gives the configuration with every default written out.
func (c Config) Filled() Config {
	c.Command = slices.Clone(c.Command)
	if c.Artifact == "" {
		c.Artifact, _ = deriveArtifact(c.Command)
	}
	fill(&c.Ready.Within, time.Minute)
	if c.Ready.HTTP == "" && !c.Ready.TCP && len(c.Ready.Command) == 0 && !c.Worker {
		c.Ready.TCP = true
	}
	fill(&c.Stop.QuietWait, 30*time.Second)
	fill(&c.Stop.Signal, "TERM")
	fill(&c.Stop.Grace, 30*time.Second)
	fill(&c.Restart.Min, 250*time.Millisecond)
	fill(&c.Restart.Max, 30*time.Second)
	c.Restart.Max = max(c.Restart.Min, c.Restart.Max)
	switch {
	case c.Restart.Limit == 0:
		c.Restart.Limit = 3
	case c.Restart.Limit < 0:
		c.Restart.Limit = 0
	}
	fill(&c.Log.MaxBytes, 10<<20)
	fill(&c.Log.Files, 5)
	return c
}

func fill[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

// releaseMark is the placeholder that tells an artifact's path.
const releaseMark = "{release}"

// deriveArtifact finds the artifact's path in the command: the argument that contains {release} in a path, cut after the component with
// it. Arguments such as --data=./x/{release}/y count from the '=' on. KindInvalid when there is none, or more than one.
func deriveArtifact(command []string) (string, error) {
	var found []string
	for i, arg := range command {
		if strings.HasPrefix(arg, "-") {
			_, arg, _ = strings.Cut(arg, "=")
		}
		at := strings.Index(arg, releaseMark)
		if at < 0 || (i > 0 && !strings.Contains(arg, "/")) {
			continue // a word such as the release's name alone
		}
		if end := strings.IndexByte(arg[at:], '/'); end >= 0 {
			arg = arg[:at+end]
		}
		same := func(other string) bool { return filepath.Clean(other) == filepath.Clean(arg) }
		if !slices.ContainsFunc(found, same) {
			found = append(found, arg)
		}
	}
	switch len(found) {
	case 0:
		return "", segue.Errorf(segue.KindInvalid, "no argument of the command is a path with {release}").
			WithHint("say where releases are: artifact: ./releases/{release}")
	case 1:
		return found[0], nil
	default:
		return "", segue.Errorf(segue.KindInvalid, "the command has several paths with {release}: %s", strings.Join(found, ", ")).
			WithHint("say which one is the release's file or folder: artifact: %s", found[0])
	}
}
