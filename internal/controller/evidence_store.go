package controller

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// EvidenceStore keeps what judges were fed.
type EvidenceStore interface {
	// Append adds a window of a rollout. The first call says what it was judged by.
	Append(id segue.RolloutID, window judge.Evidence) error
	// Windows gives those of a rollout, in order. KindNotFound when there are none.
	Windows(id segue.RolloutID) iter.Seq2[judge.Evidence, error]
	// Done lets go of what a rollout that has ended needs, and of evidence that is too old.
	Done(id segue.RolloutID) error
}

// FileEvidence keeps the windows of each rollout in a 0600 file of a folder: lines of JSON, compressed. What was being written when the machine
// died is cut off and no fault. Evidence of the latest keptRollouts, and all that is younger than keptFor, is there to be judged again; older evidence goes
// when a rollout ends.
type FileEvidence struct {
	Folder string

	mu   sync.Mutex
	open map[segue.RolloutID]*evidenceFile
}

type evidenceFile struct {
	file *os.File
	zip  *gzip.Writer
}

// path is that of a part: each process that writes begins another one, for the end of the one before may be cut.
func (f *FileEvidence) path(id segue.RolloutID, part int) string {
	return filepath.Join(f.Folder, fmt.Sprintf("%d-%d.jsonl.gz", id, part))
}

func (f *FileEvidence) create(id segue.RolloutID) (*os.File, error) {
	for part := 1; ; part++ {
		file, err := os.OpenFile(f.path(id, part), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return file, err
		}
	}
}

const (
	keptRollouts = 50
	keptFor      = 30 * 24 * time.Hour
)

// forget removes what is both of no late rollout and old. The lock is held.
func (f *FileEvidence) forget(now time.Time) error {
	entries, err := os.ReadDir(f.Folder)
	if err != nil {
		return fmt.Errorf("list evidence: %w", err)
	}
	parts := map[segue.RolloutID][]string{}
	latest := map[segue.RolloutID]time.Time{}
	for _, entry := range entries {
		var id segue.RolloutID
		var part int
		if _, err := fmt.Sscanf(entry.Name(), "%d-%d.jsonl.gz", &id, &part); err != nil || filepath.Base(f.path(id, part)) != entry.Name() {
			continue // not ours
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("list evidence: %w", err)
		}
		parts[id] = append(parts[id], entry.Name())
		if info.ModTime().After(latest[id]) {
			latest[id] = info.ModTime()
		}
	}
	ids := slices.Sorted(maps.Keys(parts))
	var failed []error
	for _, id := range ids[:max(0, len(ids)-keptRollouts)] {
		if f.open[id] != nil || now.Sub(latest[id]) <= keptFor {
			continue
		}
		for _, name := range parts[id] {
			if err := os.Remove(filepath.Join(f.Folder, name)); err != nil {
				failed = append(failed, fmt.Errorf("remove old evidence: %w", err))
			}
		}
	}
	return errors.Join(failed...)
}

// Append implements EvidenceStore.
func (f *FileEvidence) Append(id segue.RolloutID, window judge.Evidence) error {
	line, err := json.Marshal(window)
	if err != nil {
		return fmt.Errorf("encode evidence: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.open[id]
	if one == nil {
		if err := os.MkdirAll(f.Folder, 0o700); err != nil {
			return fmt.Errorf("make folder of evidence: %w", err)
		}
		file, err := f.create(id)
		if err != nil {
			return fmt.Errorf("open evidence: %w", err)
		}
		one = &evidenceFile{file: file, zip: gzip.NewWriter(file)}
		if f.open == nil {
			f.open = map[segue.RolloutID]*evidenceFile{}
		}
		f.open[id] = one
	}
	if _, err := one.zip.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write evidence: %w", err)
	}
	if err := one.zip.Flush(); err != nil {
		return fmt.Errorf("write evidence: %w", err)
	}
	return nil
}

// Done implements EvidenceStore.
func (f *FileEvidence) Done(id segue.RolloutID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.open[id]
	if one == nil {
		return nil
	}
	delete(f.open, id)
	return errors.Join(one.zip.Close(), one.file.Close(), f.forget(time.Now()))
}

// Close ends every file.
func (f *FileEvidence) Close() error {
	f.mu.Lock()
	ids := make([]segue.RolloutID, 0, len(f.open))
	for id := range f.open {
		ids = append(ids, id)
	}
	f.mu.Unlock()
	failed := make([]error, len(ids))
	for i, id := range ids {
		failed[i] = f.Done(id)
	}
	return errors.Join(failed...)
}

// evidenceLine bounds a window's line: a fleet of thousands with thousands of templates.
const evidenceLine = 256 << 20

// Windows implements EvidenceStore.
func (f *FileEvidence) Windows(id segue.RolloutID) iter.Seq2[judge.Evidence, error] {
	return func(yield func(judge.Evidence, error) bool) {
		for part := 1; ; part++ {
			file, err := os.Open(f.path(id, part))
			if errors.Is(err, os.ErrNotExist) {
				if part == 1 {
					yield(judge.Evidence{}, segue.Errorf(segue.KindNotFound, "no evidence is kept of rollout %s", id).
						WithHint("it was judged by limits alone, or by an earlier version of Segue"))
				}
				return
			}
			if err != nil {
				yield(judge.Evidence{}, fmt.Errorf("open evidence: %w", err))
				return
			}
			more, err := readWindows(file, yield)
			_ = file.Close() // it was only read
			if err != nil {
				yield(judge.Evidence{}, segue.Errorf(segue.KindCorrupt, "read evidence of rollout %s: %w", id, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// readWindows reads a part. more is false when enough was read.
func readWindows(file io.Reader, yield func(judge.Evidence, error) bool) (more bool, err error) {
	zip, err := gzip.NewReader(bufio.NewReader(file))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true, nil // nothing was written before the end
	}
	if err != nil {
		return false, err
	}
	lines := bufio.NewScanner(zip)
	lines.Buffer(nil, evidenceLine)
	for lines.Scan() {
		var window judge.Evidence
		if err := json.Unmarshal(lines.Bytes(), &window); err != nil {
			continue // the last line before a kill
		}
		if !yield(window, nil) {
			return false, nil
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return true, nil
}

// keep stores a window, if anybody wants it. That it cannot be is told, and no reason to judge less.
func (c *Controller) keep(ctx context.Context, m *monitor, window judge.Evidence) {
	if c.options.Evidence == nil {
		return
	}
	if err := c.options.Evidence.Append(m.id, window); err != nil && !m.untold {
		m.untold = true
		m.log.WarnContext(ctx, "keep evidence", "error", err)
	}
}

// remember feeds judges what a former controller had fed them.
func (c *Controller) remember(ctx context.Context, m *monitor) {
	if c.options.Evidence == nil || m.fresh {
		return
	}
	for window, err := range c.options.Evidence.Windows(m.id) {
		if err != nil {
			if segue.KindOf(err) != segue.KindNotFound {
				m.log.WarnContext(ctx, "read evidence", "error", err)
			}
			return
		}
		m.windows++
		for _, j := range m.judges {
			j.Weigh(window)
		}
	}
}

// keepNoMore ends what is kept of a rollout.
func (c *Controller) keepNoMore(ctx context.Context, m *monitor) {
	if c.options.Evidence == nil {
		return
	}
	if err := c.options.Evidence.Done(m.id); err != nil {
		m.log.WarnContext(ctx, "keep evidence", "error", err)
	}
}
