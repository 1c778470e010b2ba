//go:build !linux

package sqlite

import "testing"

// onTinyDisk needs Linux.
func onTinyDisk(t *testing.T, _ func(t *testing.T, disk string)) {
	t.Skip("a disk of one megabyte needs Linux")
}
