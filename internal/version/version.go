// Package version holds the version of this build.
package version

// Version is set by the linker: -X github.com/segue-deploy/segue/internal/version.Version=v1.2.3.
var Version = "dev"
