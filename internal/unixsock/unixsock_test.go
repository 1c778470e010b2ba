package unixsock_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/unixsock"
)

func TestListenIsForThisUserAlone(t *testing.T) {
	for name, path := range map[string]string{
		"short": filepath.Join(t.TempDir(), "s.sock"),
		"long":  filepath.Join(longFolder(t), "s.sock"),
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := unixsock.Listen(path)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("mode = %o, want 600", got)
			}
			conn, err := unixsock.Dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if _, err := unixsock.Listen(path); segue.KindOf(err) != segue.KindConflict {
				t.Errorf("second Listen = %v, want a conflict", err)
			}
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("socket file is still there: %v", err)
			}
		})
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := unixsock.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
}

func longFolder(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), strings.Repeat("long-name/", 12))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}
