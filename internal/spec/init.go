package spec

import (
	"bytes"
	_ "embed"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"unicode"

	"github.com/segue-deploy/segue"
)

// SchemaFile is where the starter file looks for the schema, relative to the project's folder, for editors.
const SchemaFile = ".segue/schema.json"

//go:embed starter.yaml.tmpl
var starter string

// Detected is what could be found out about a project before it has a segue.yaml. The zero value is fine.
type Detected struct {
	// Project and Service are names; default: the folder's, and "web".
	Project string
	Service string
	// Program is the command's program with {release} in it; default "./releases/{release}/server".
	Program string
	// Arguments come after it; default ["--listen", "{address}"].
	Arguments []string
	// Servers is their number; default 4.
	Servers int
	// Listen is the balancer's address; default ":8080".
	Listen string
}

// Detect looks for releases in a project's folder: releases/NAME/PROGRAM, an executable file.
func Detect(dir fs.FS) Detected {
	var found Detected
	programs, err := fs.Glob(dir, "releases/*/*")
	if err != nil {
		return found
	}
	for _, program := range programs {
		info, err := fs.Stat(dir, program)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		found.Program = "./releases/{release}/" + path.Base(program)
		return found
	}
	return found
}

// Init gives the commented segue.yaml that a project in the folder dir begins with. It parses.
func Init(dir string, detected Detected) []byte {
	if _, err := segue.ParseProjectName(detected.Project); err != nil {
		detected.Project = nameFrom(filepath.Base(dir), "project")
	}
	if _, err := segue.ParseServiceName(detected.Service); err != nil {
		detected.Service = "web"
	}
	if !strings.Contains(detected.Program, placeholder) {
		detected.Program = "./releases/{release}/server"
	}
	if detected.Arguments == nil {
		detected.Arguments = []string{"--listen", "{address}"}
	}
	if detected.Servers < 1 || detected.Servers > serverLimit {
		detected.Servers = 4
	}
	if detected.Listen == "" {
		detected.Listen = ":8080"
	}
	functions := template.FuncMap{"quote": quote}
	var out bytes.Buffer
	page := template.Must(template.New("starter").Funcs(functions).Parse(starter))
	data := struct {
		Detected
		SchemaFile string
	}{detected, SchemaFile}
	if err := page.Execute(&out, data); err != nil {
		// Template and data are ours.
		panic("spec: write starter file: " + err.Error())
	}
	return out.Bytes()
}

// quote writes text as a YAML scalar in double quotes, in which no variable is replaced.
func quote(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range strings.ReplaceAll(text, "${", "$${") {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		}
	}
	return out.String() + `"`
}

// nameFrom makes a name out of what is none; fallback when nothing of it can be kept.
func nameFrom(text, fallback string) string {
	name := regexp.MustCompile(`[^A-Za-z0-9-]+`).ReplaceAllString(text, "-")
	name = strings.Trim(name[:min(len(name), 63)], "-")
	if _, err := segue.ParseProjectName(name); err != nil {
		return fallback
	}
	return name
}
