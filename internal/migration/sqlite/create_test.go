package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/segue-deploy/segue/internal/migration/sqlite"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.db")
	for range 2 {
		driver, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		server, err := driver.Inspect(t.Context())
		if err != nil || len(server.Faults) > 0 {
			t.Errorf("%+v, %v", server, err)
		}
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	}
}
