package process

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// Logs implements workload.Driver. Instances that were stopped have their logs until their release is retired. A negative tail
// means all that is kept.
func (d *Driver) Logs(ctx context.Context, id segue.InstanceID, tail int, follow bool) (io.ReadCloser, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(d.state, "logs", "*", escapeGlob(string(id))))
	if err != nil {
		return nil, fmt.Errorf("find logs of instance %s: %w", id, err)
	}
	if len(found) == 0 {
		return nil, segue.Errorf(segue.KindNotFound, "there is no instance %s", id)
	}
	log, err := shim.OpenLog(ctx, found[0], tail, follow)
	if err != nil {
		return nil, fmt.Errorf("logs of instance %s: %w", id, err)
	}
	return log, nil
}

// escapeGlob takes the special meaning from a name's characters.
func escapeGlob(name string) string {
	var out []byte
	for _, c := range []byte(name) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}
