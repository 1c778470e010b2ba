// Package testenv answers what a test asks of the machine it runs on: where is
// the repository, is that program installed, what does this main package build
// to. It is for tests and benches alone.
//
// A missing program skips the test on a laptop and fails it where CI=true, so
// that a run which claims to be complete is. On Debian, scripts/test-deps
// installs what is missing.
package testenv
