package segue

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Identifiers have types of their own, so that a server is never passed where a release is meant. They are parsed in one
// place: the Parse functions below, called where text comes in.
type (
	// ProjectName names the thing one segue.yaml describes.
	ProjectName string
	// ServiceName names a deployed thing within a project ("web").
	ServiceName string
	// ReleaseName names one immutable version of a service ("v2").
	ReleaseName string
	// ServerName names a place that runs one instance ("web-1").
	ServerName string
	// PartitionName names a group of servers that are rolled together ("east").
	PartitionName string
	// InstanceID names one running copy of a release on a server, for ever: no second copy gets the same one.
	InstanceID string
	// DatabaseName names a database of a project ("main").
	DatabaseName string
	// Digest is a content digest, "sha256:" and 64 hex digits.
	Digest string
)

// RolloutID is the number of a rollout within a state directory, from 1. 0 means none.
type RolloutID int64

// String gives the form shown to people and accepted by the command line: "7".
func (id RolloutID) String() string { return strconv.FormatInt(int64(id), 10) }

// nameLimit bounds every name, so that file names, socket names and labels made from them stay within their limits.
const nameLimit = 63

var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// ParseServiceName checks a service's name: letters, digits, '.', '_' and '-', at most 63, not at the ends.
func ParseServiceName(s string) (ServiceName, error) { return parseName[ServiceName]("service", s) }

// ParseReleaseName checks a release's name; the same rule as for services.
func ParseReleaseName(s string) (ReleaseName, error) { return parseName[ReleaseName]("release", s) }

// ParseServerName checks a server's name; the same rule as for services.
func ParseServerName(s string) (ServerName, error) { return parseName[ServerName]("server", s) }

// ParsePartitionName checks a partition's name; the same rule as for services.
func ParsePartitionName(s string) (PartitionName, error) {
	return parseName[PartitionName]("partition", s)
}

// ParseDatabaseName checks a database's name; the same rule as for services.
func ParseDatabaseName(s string) (DatabaseName, error) {
	return parseName[DatabaseName]("database", s)
}

// ParseProjectName checks a project's name; the same rule as for services.
func ParseProjectName(s string) (ProjectName, error) { return parseName[ProjectName]("project", s) }

func parseName[N ~string](noun, s string) (N, error) {
	switch {
	case s == "":
		return "", Errorf(KindInvalid, "%s name is empty", noun)
	case len(s) > nameLimit:
		return "", Errorf(KindInvalid, "%s name %q is longer than %d characters", noun, s, nameLimit)
	case !namePattern.MatchString(s) || strings.Contains(s, ".."):
		return "", Errorf(KindInvalid, "%s name %q: use letters, digits, '.', '_' and '-', beginning and ending with a letter or digit", noun, s)
	}
	return N(s), nil
}

// NewInstanceID makes the identity of the copy of a release that a plan of a rollout starts on a server. It depends on nothing else, so that
// carrying out the same start twice names the same instance; plan counts the plans of that rollout from 1, so that a server that goes
// forward, back and forward again within one rollout gets a new one each time.
func NewInstanceID(server ServerName, release ReleaseName, rollout RolloutID, plan int) InstanceID {
	if plan > 1 {
		return InstanceID(fmt.Sprintf("%s.%s.%d-%d", server, release, rollout, plan))
	}
	return InstanceID(fmt.Sprintf("%s.%s.%d", server, release, rollout))
}

// Short gives the first 12 hex digits of a digest, for people.
func (d Digest) Short() string {
	s := strings.TrimPrefix(string(d), "sha256:")
	if len(s) > 12 {
		return s[:12]
	}
	return s
}
