package process_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/process"
)

func valid() process.Config {
	return process.Config{Command: []string{"./releases/{release}/shop", "--listen", "{address}"}, Dir: "/srv/shop"}
}

func TestFilledConfigHasTheDefaults(t *testing.T) {
	want := process.Config{
		Command: []string{"./releases/{release}/shop", "--listen", "{address}"}, Artifact: "./releases/{release}", Dir: "/srv/shop",
		Ready:   process.Ready{TCP: true, Within: time.Minute},
		Stop:    process.Stop{QuietWait: 30 * time.Second, Signal: "TERM", Grace: 30 * time.Second},
		Restart: process.Restart{Min: 250 * time.Millisecond, Max: 30 * time.Second, Limit: 3},
		Log:     process.Log{MaxBytes: 10 << 20, Files: 5},
	}
	if diff := cmp.Diff(want, valid().Filled()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, want.Filled()); diff != "" {
		t.Errorf("filled twice: %s", diff)
	}
	if faults := valid().Faults(); len(faults) > 0 {
		t.Errorf("faults of a valid configuration: %v", faults)
	}
	if faults := want.Faults(); len(faults) > 0 {
		t.Errorf("faults of a filled configuration: %v", faults)
	}
}

func TestArtifactIsDerivedFromTheCommand(t *testing.T) {
	for _, test := range []struct {
		command string
		want    string
	}{
		{"./releases/{release}/shop --listen {address}", "./releases/{release}"},
		{"./bin/shop-{release}", "./bin/shop-{release}"},
		{"/opt/{release}/bin/shop", "/opt/{release}"},
		{"python3 releases/{release}/app.py --tag {release}", "releases/{release}"},
		{"java -jar ./jars/shop-{release}.jar", "./jars/shop-{release}.jar"},
		{"java -Dx=1 --path=./releases/{release}/lib", "./releases/{release}"},
		{"./releases/{release}/shop --root ./releases/{release}/static --also=releases/{release}", "./releases/{release}"},
	} {
		config := process.Config{Command: strings.Fields(test.command), Dir: "/srv"}
		if got := config.Filled().Artifact; got != test.want {
			t.Errorf("%s: artifact %q, want %q", test.command, got, test.want)
		}
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *process.Config)
		path   string
		text   string
		hint   string
	}{
		"no command":        {func(c *process.Config) { c.Command = nil }, "command", "no command", "say what"},
		"unknown word":      {func(c *process.Config) { c.Command[2] = "{adress}" }, "command.2", "no placeholder {adress}", "did you mean {address}?"},
		"far from any":      {func(c *process.Config) { c.Command[2] = "{zzzzzzzz}" }, "command.2", "{zzzzzzzz}", "there are {address}"},
		"address of worker": {func(c *process.Config) { c.Worker = true }, "command.2", "{address}", ""},
		"env value":         {func(c *process.Config) { c.Env = map[string]string{"A": "{sevice}"} }, "env.A", "{sevice}", "{service}"},
		"env name":          {func(c *process.Config) { c.Env = map[string]string{"A-B": "x"} }, "env.A-B", "no name", ""},
		"no artifact":       {func(c *process.Config) { c.Command = []string{"shop", "{release}"} }, "command", "no argument", "artifact:"},
		"two artifacts":     {func(c *process.Config) { c.Command = []string{"./a/{release}/x", "./b/{release}"} }, "command", "./a/{release}, ./b/{release}", "artifact:"},
		"fixed artifact":    {func(c *process.Config) { c.Artifact = "./bin" }, "artifact", "{release}", ""},
		"two checks":        {func(c *process.Config) { c.Ready = process.Ready{HTTP: "/", TCP: true} }, "ready", "alternatives", ""},
		"no path":           {func(c *process.Config) { c.Ready.HTTP = "readyz" }, "ready.http", "no path", "/readyz"},
		"worker with http":  {func(c *process.Config) { c.Worker, c.Command, c.Ready.HTTP = true, c.Command[:1], "/" }, "ready", "worker", ""},
		"check's word":      {func(c *process.Config) { c.Ready.Command = []string{"curl", "{porto}"} }, "ready.command.1", "{porto}", "{port}"},
		"quiet signal":      {func(c *process.Config) { c.Stop.Quiet = "USR9" }, "stop.quiet", "USR9", "TERM"},
		"signal":            {func(c *process.Config) { c.Stop.Signal = "NO" }, "stop.signal", "NO", ""},
		"negative":          {func(c *process.Config) { c.Stop.Grace = -1 }, "stop.grace", "negative", ""},
		"back-off":          {func(c *process.Config) { c.Restart = process.Restart{Min: 2, Max: 1} }, "restart.max", "less than min", ""},
		"log size":          {func(c *process.Config) { c.Log.MaxBytes = 10 }, "log.max_bytes", "4096", ""},
		"relative folder":   {func(c *process.Config) { c.Dir = "x" }, "dir", "absolute", ""},
	} {
		config := valid()
		test.change(&config)
		faults := config.Faults()
		i := slices.IndexFunc(faults, func(f process.Fault) bool { return strings.Join(f.Path, ".") == test.path })
		if len(faults) != 1 || i < 0 || !strings.Contains(faults[i].Message, test.text) || !strings.Contains(faults[i].Hint, test.hint) {
			t.Errorf("%s: %+v; want one at %s with %q and hint %q", name, faults, test.path, test.text, test.hint)
		}
	}
}

func TestBracesOfOthersAreText(t *testing.T) {
	config := valid()
	config.Command = append(config.Command, `{"a": {"b": 1}}`, "${HOME}", "{}", "{A}")
	config.Env = map[string]string{"DATABASE_URL": "postgres://shop:a{secret}word@db/shop"}
	if faults := config.Faults(); len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
}

func TestConfigDigestCoversEverything(t *testing.T) {
	seen := map[segue.Digest]int{}
	for i, change := range []func(c *process.Config){
		func(*process.Config) {},
		func(c *process.Config) { c.Command = append(c.Command, "x") },
		func(c *process.Config) { c.Env = map[string]string{"A": "1"} },
		func(c *process.Config) { c.Env = map[string]string{"A": "2"} },
		func(c *process.Config) { c.Env = map[string]string{"A": "1", "B": "2"} },
		func(c *process.Config) { c.Worker = true },
		func(c *process.Config) { c.Dir = "/other" },
		func(c *process.Config) { c.Ready.Within = 1 },
		func(c *process.Config) { c.Stop.Quiet = "USR1" },
		func(c *process.Config) { c.Restart.Limit = 1 },
		func(c *process.Config) { c.Log.Files = 1 },
	} {
		config := valid()
		change(&config)
		digest := config.Digest()
		if j, ok := seen[digest]; ok {
			t.Errorf("changes %d and %d have the same digest", i, j)
		}
		if digest != config.Digest() || len(digest) != len("sha256:")+64 {
			t.Errorf("change %d: digest %s", i, digest)
		}
		seen[digest] = i
	}
}
