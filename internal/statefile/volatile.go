package statefile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// WriteVolatile is Write without the wait for the disk: a reader sees the old content or the new one, whoever gets killed, but after a
// power cut the file may be anything, which Read then reports as KindCorrupt. It is for what does not matter after a power cut.
func WriteVolatile(path string, v any) (err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	text, err := json.Marshal(envelope{Sum: sum(body), Body: body})
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
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
	if _, err = temp.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	if err = temp.Close(); err != nil {
		return fmt.Errorf("close state file: %w", err)
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("replace state file: %w", err)
	}
	return nil
}
