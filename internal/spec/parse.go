package spec

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/segue-deploy/segue"
)

// Options are what a file is read with.
type Options struct {
	// File is the name in faults; "" means segue.yaml.
	File string
	// Dir is the folder that relative paths in the file start from.
	Dir string
	// Lookup gives the variables; nil means that none is set.
	Lookup func(name string) (string, bool)
	// Checks are asked for more faults once the file is otherwise in order: what only a driver or the witness can know.
	Checks []func(*Project) []Complaint
}

// Complaint is a fault that names its place by path.
type Complaint struct {
	// Path leads to the value: "services.web.workload.command[0]", "witness.journey[2].path".
	Path    string
	Message string
	Hint    string
}

// Parse turns segue.yaml into nouns. The error is Faults with everything that is wrong, of KindInvalid; then there is no project.
func Parse(text []byte, options Options) (*Project, error) {
	if options.File == "" {
		options.File = "segue.yaml"
	}
	if options.Lookup == nil {
		options.Lookup = func(string) (string, bool) { return "", false }
	}
	d := newDecoder(options.File)
	root := parseDocument(text, &d.faultList)
	if root == nil {
		return nil, d.err()
	}
	d.expansions = expandTree(root, text, &d.faultList, options.Lookup)
	var f file
	d.decode(root, "", reflect.ValueOf(&f).Elem())
	project := &Project{Dir: options.Dir, text: bytes.Clone(text)}
	r := resolver{decoder: d, project: project, listens: map[string]string{}}
	r.file(&f)
	if err := d.err(); err != nil {
		return nil, err
	}
	for _, check := range options.Checks {
		for _, c := range check(project) {
			// The witness calls its journey steps.
			path := strings.Replace(c.Path, "witness.steps[", "witness.journey[", 1)
			d.fault(path, c.Hint, "%s: %s", title(path), c.Message)
		}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return project, nil
}

// Load reads and parses the file path with the process's environment.
func Load(path string, checks ...func(*Project) []Complaint) (*Project, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, segue.Errorf(segue.KindNotFound, "no file %s", path).WithHint("run `segue init` for one to begin with, or name another with -f")
	}
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read project: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, segue.Errorf(segue.KindFault, "find folder of project: %w", err)
	}
	return Parse(text, Options{File: path, Dir: dir, Lookup: os.LookupEnv, Checks: checks})
}

// serviceLimit bounds the services of a project.
const serviceLimit = 1000

// resolver turns what was decoded into nouns: defaults, names, and everything that spans more than one value.
type resolver struct {
	*decoder
	project *Project
	// listens are the listening addresses by the service that has them.
	listens map[string]string
}

func (r *resolver) file(f *file) {
	if f.Project != "" || r.has("project") {
		r.project.Name = namer(r.decoder, "project", f.Project, segue.ParseProjectName)
	}
	if r.has("services") && f.Services.values != nil && len(f.Services.keys) == 0 {
		r.fault("services", "name at least one", "services is empty")
	}
	if n := len(f.Services.keys); n > serviceLimit {
		r.fault("services", "", "services has %d entries, of %d at most", n, serviceLimit)
		return
	}
	for _, name := range f.Services.keys {
		path := "services." + name
		if _, err := segue.ParseServiceName(name); err != nil {
			r.add(r.keyAt[path], segue.HintOf(err), "%s", r.hide(err.Error()))
		}
		service := Service{Service: segue.Service{Name: segue.ServiceName(name)}}
		r.service(path, f.Services.values[name], &service)
		r.project.Services = append(r.project.Services, service)
	}
	r.databases(f)
	if f.Witness != nil {
		r.witness(f.Witness)
	}
}

// has says whether the file gives a value at a path.
func (r *resolver) has(path string) bool {
	_, ok := r.valueAt[path]
	return ok
}

// absolute makes a path absolute by the project's folder.
func (r *resolver) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) || r.project.Dir == "" {
		return path
	}
	return filepath.Join(r.project.Dir, path)
}

// cutName puts a suffix behind a name, which it cuts short where names may not get as long.
func cutName(name, suffix string) string {
	const limit = 63
	return strings.TrimRight(name[:min(len(name), limit-len(suffix))], ".-_") + suffix
}
