package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// Project is a segue.yaml as nouns. It holds the values of variables, which are secrets: Redacted is what may be shown.
type Project struct {
	Name segue.ProjectName
	// Dir is the folder that relative paths start from.
	Dir string
	// Services are in the file's order.
	Services []Service
	// Databases are in the file's order.
	Databases []Database
	// Witness is nil when there is none.
	Witness *Witness

	text []byte
}

// Service is a service with its drivers' blocks.
type Service struct {
	segue.Service
	// WorkloadDriver names the driver; its block is the field of that name. BalancerDriver is "" for workers.
	WorkloadDriver string
	BalancerDriver string
	Process        *ProcessWorkload
	Embedded       *EmbeddedBalancer
	// CaveatsFile lists the findings that the team knows of, absolute; "" when the file does not say.
	CaveatsFile string `json:",omitempty"`
	// Releases are those of which the file says something.
	Releases map[segue.ReleaseName]Release
}

// Service finds a service by name.
func (p *Project) Service(name segue.ServiceName) (Service, bool) {
	i := slices.IndexFunc(p.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return p.Services[i], true
}

// Redacted gives the file as it was written: variables stand in it by name, and not their values.
func (p *Project) Redacted() []byte { return bytes.Clone(p.text) }

// String and LogValue keep secrets out of what is printed by accident.
func (p *Project) String() string { return "project " + string(p.Name) }

// LogValue gives the project's name alone.
func (p *Project) LogValue() slog.Value { return slog.StringValue(string(p.Name)) }

// Digest identifies the whole configuration, variables replaced, without revealing it.
func (p *Project) Digest() segue.Digest {
	return digest(p.Name, p.Services, p.Databases, p.Witness)
}

// Digest identifies the service's configuration, variables replaced, without revealing it.
func (s Service) Digest() segue.Digest { return digest(s) }

// String gives the name alone: the blocks hold secrets.
func (s Service) String() string { return "service " + string(s.Name) }

// LogValue gives the service's name alone.
func (s Service) LogValue() slog.Value { return slog.StringValue(string(s.Name)) }

// Artifact gives the artifact of a release by name, {release} replaced: a path relative to the project's folder, unless absolute.
func (s Service) Artifact(release segue.ReleaseName) string {
	if own := s.Releases[release].Artifact; own != "" {
		return own
	}
	if s.Process == nil {
		return ""
	}
	return strings.ReplaceAll(s.Process.Artifact, placeholder, string(release))
}

// digest hashes values as JSON, which has one order for everything.
func digest(values ...any) segue.Digest {
	text, err := json.Marshal(values)
	if err != nil {
		// Everything in it came from text and is plain.
		panic(fmt.Sprintf("spec: encode configuration: %v", err))
	}
	sum := sha256.Sum256(text)
	return segue.Digest("sha256:" + hex.EncodeToString(sum[:]))
}
