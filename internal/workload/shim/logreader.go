package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// OpenLog reads the output in a log folder, oldest first, from at most the last `tail` lines on; a negative tail means all that is
// kept. With follow, reading goes on with what is written later, across rotations, until ctx is done or the reader is closed; then it ends with
// io.EOF. KindNotFound when there is no log.
func OpenLog(ctx context.Context, dir string, tail int, follow bool) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &logReader{dir: dir, cancel: cancel, done: ctx.Done()}
	if follow {
		// Before the first look, so that nothing is missed between the look and the wait.
		r.changes = WatchChanges(blind, dir)
	}
	if err := r.seek(tail); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// logReader reads one file after the other, in the order in which they were written.
type logReader struct {
	dir     string
	changes *Changes // nil when not following
	cancel  context.CancelFunc
	done    <-chan struct{}

	mu   sync.Mutex // Close may be called while Read waits
	file *os.File
}

// Read gives what there is, or waits for more when following.
func (r *logReader) Read(into []byte) (int, error) {
	for {
		n, err := r.readNow(into)
		if n > 0 || (err != nil && !errors.Is(err, io.EOF)) {
			return n, err
		}
		if r.changes == nil {
			return 0, io.EOF
		}
		select {
		case <-r.changes.C:
		case <-r.done:
			return 0, io.EOF
		}
	}
}

// readNow reads from the present file, and from the next one once that is at its end.
func (r *logReader) readNow(into []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.done:
		return 0, io.EOF
	default:
	}
	for {
		if r.file == nil {
			if err := r.openOldest(); err != nil {
				return 0, io.EOF // none yet, or none any more
			}
		}
		// Whether there is a next one is asked before the read: what is read then is all that this one will ever have.
		next, ok := r.successor()
		n, err := r.file.Read(into)
		if n > 0 {
			if ok {
				_ = next.Close()
			}
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if ok {
				_ = next.Close()
			}
			return 0, fmt.Errorf("read log: %w", err)
		}
		if !ok {
			return 0, io.EOF
		}
		_ = r.file.Close()
		r.file = next
	}
}

// gapTries and gapPause bound the wait for a rotation to close a gap: it renames the files one by one, the oldest first, and between two renames
// a number is missing that newer and older files stand around.
const (
	gapTries = 200
	gapPause = 100 * time.Microsecond
)

// openNth opens the n-th file of a log, 0 being the newest. Should a rotation be just under way, it waits for that file's turn.
func openNth(dir string, n int) (file *os.File, err error) {
	for range gapTries {
		if file, err = os.Open(logPath(dir, n)); !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		if _, older := os.Stat(logPath(dir, n+1)); older != nil {
			return os.Open(logPath(dir, n)) // the end of the row, unless it was filled at this moment
		}
		time.Sleep(gapPause)
	}
	return nil, err
}

// successor opens the file that output went into after the present one.
func (r *logReader) successor() (*os.File, bool) {
	mine, err := r.file.Stat()
	if err != nil {
		return nil, false
	}
	newer := (*os.File)(nil)
	for n := 0; ; n++ {
		file, err := openNth(r.dir, n)
		if err != nil {
			break // the present one has been rotated away: go on with the oldest that is left
		}
		info, err := file.Stat()
		if err == nil && os.SameFile(info, mine) {
			_ = file.Close()
			break
		}
		if newer != nil {
			_ = newer.Close()
		}
		newer = file
	}
	return newer, newer != nil
}

func (r *logReader) openOldest() error {
	found := (*os.File)(nil)
	for n := 0; ; n++ {
		file, err := openNth(r.dir, n)
		if err != nil {
			break
		}
		if found != nil {
			_ = found.Close()
		}
		found = file
	}
	if found == nil {
		return fs.ErrNotExist
	}
	r.file = found
	return nil
}

// seek opens the file in which the last lines begin, there.
func (r *logReader) seek(tail int) error {
	if tail < 0 {
		if r.openOldest() != nil {
			return r.missing()
		}
		return nil
	}
	for n := 0; ; n++ {
		file, err := openNth(r.dir, n)
		if err != nil {
			break
		}
		offset, lines, err := tailOffset(file, tail)
		if err == nil {
			_, err = file.Seek(offset, io.SeekStart)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read log: %w", err), file.Close())
		}
		if r.file != nil {
			_ = r.file.Close()
		}
		r.file = file
		if tail -= lines; tail <= 0 {
			return nil
		}
	}
	if r.file == nil {
		return r.missing()
	}
	return nil
}

func (r *logReader) missing() error {
	if _, err := os.Stat(r.dir); err == nil && r.changes != nil {
		return nil // nothing was written yet
	}
	return segue.Errorf(segue.KindNotFound, "read log: there is none in %s", r.dir)
}

// tailOffset gives where the last `tail` lines of a file begin, and how many there are from there on.
func tailOffset(file *os.File, tail int) (offset int64, lines int, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	end := info.Size()
	if tail == 0 || end == 0 {
		return end, 0, nil
	}
	buffer := make([]byte, batchBytes)
	for at := end; at > 0; {
		size := min(int64(len(buffer)), at)
		at -= size
		if _, err := file.ReadAt(buffer[:size], at); err != nil {
			return 0, 0, err
		}
		for i := size; i > 0; {
			i = int64(bytes.LastIndexByte(buffer[:i], '\n'))
			if i < 0 {
				break
			}
			if at+i == end-1 {
				continue // the last line's own end
			}
			if lines++; lines == tail {
				return at + i + 1, lines, nil
			}
		}
	}
	return 0, lines + 1, nil
}

// Close ends the reading.
func (r *logReader) Close() error {
	r.cancel()
	if r.changes != nil {
		r.changes.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// LastLines gives the end of a log for an error message: at most so many lines, at most 2 KiB. "" when there is none.
func LastLines(ctx context.Context, dir string, lines int) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	log, err := OpenLog(ctx, dir, lines, false)
	if err != nil {
		return ""
	}
	defer log.Close()
	text, err := io.ReadAll(io.LimitReader(log, 1<<20))
	if err != nil {
		return ""
	}
	text = bytes.TrimSpace(text)
	const limit = 2 << 10
	if len(text) > limit {
		text = text[len(text)-limit:]
	}
	return string(bytes.ToValidUTF8(text, []byte("?")))
}
