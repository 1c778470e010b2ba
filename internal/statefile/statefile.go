// Package statefile keeps small state in files that are never seen half written: temp file, fsync, rename, fsync of the folder;
// mode 0600; with a checksum, so that a corrupted file is told from a good one and named in the error.
package statefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/segue-deploy/segue"
)

// envelope is the file's form. Sum is over Body exactly as written.
type envelope struct {
	Sum  string          `json:"sha256"`
	Body json.RawMessage `json:"body"`
}

// Write puts v as JSON into path, atomically and durably, for this user alone.
func Write(path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	text, err := json.Marshal(envelope{Sum: sum(body), Body: body})
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return WriteBytes(path, append(text, '\n'))
}

// Read fills v from path. Errors: KindNotFound when there is no file; KindCorrupt, with the path, when it is not what Write left.
func Read(path string, v any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return segue.Errorf(segue.KindNotFound, "read %s: no such file", path)
	}
	if err != nil {
		return fmt.Errorf("read state file: %w", err)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return corrupt(path, "it is no complete JSON")
	}
	if e.Sum != sum(e.Body) {
		return corrupt(path, "its checksum does not match")
	}
	if err := json.Unmarshal(e.Body, v); err != nil {
		return corrupt(path, "it has another form: "+err.Error())
	}
	return nil
}

func corrupt(path, why string) error {
	return segue.Errorf(segue.KindCorrupt, "state file %s is corrupted: %s", path, why).
		WithHint("move the file away to keep it for inspection, or restore it from a backup")
}

func sum(body []byte) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return ""
	}
	digest := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(digest[:])
}

// WriteBytes puts text into path, atomically and durably, with mode 0600. After an error the old content is still there.
func WriteBytes(path string, text []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(text); err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	if err = temp.Sync(); err != nil {
		return fmt.Errorf("sync state file: %w", err)
	}
	if err = temp.Close(); err != nil {
		return fmt.Errorf("close state file: %w", err)
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("replace state file: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in it last through a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open state folder: %w", err)
	}
	defer folder.Close() //nolint:errcheck // only read
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("sync state folder: %w", err)
	}
	return nil
}
