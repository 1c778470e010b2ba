package shim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the spool, in bytes, and how long output may lie in it.
const (
	batchBytes = 64 << 10
	// punchBytes is how much read output lies in the spool before its room is given back, and how large the spool may
	// grow where that is not possible.
	punchBytes    = 256 << 10
	truncateBytes = 16 << 20
	// reserveBytes is the room that the command finds reserved ahead of its writes.
	reserveBytes = 256 << 10
	blockBytes   = 4096
	// gather is how long output is gathered before it is copied: a command that writes a line per request wakes the shim
	// a few times a second and not a thousand times.
	gather = 20 * time.Millisecond
	// blind is how often the spool is looked at where changes cannot be watched.
	blind = 200 * time.Millisecond
)

// output copies what the command wrote from the spool into the log.
type output struct {
	changes *Changes

	mu       sync.Mutex // held while copying: drain is called by run and by the keeper
	spool    *os.File
	cursor   *os.File
	offset   int64 // first byte of the spool that is not in the log
	punched  int64 // everything before it is given back
	reserved int64 // room is reserved up to here
	noPunch  bool  // the file system cannot give room back
	log      *logFile
	buffer   []byte
}

func openOutput(dir string, spec Spec) (*output, error) {
	log, err := openLogFile(spec.LogDir, spec.LogBytes, spec.LogFiles)
	if err != nil {
		return nil, err
	}
	spool, err := os.OpenFile(filepath.Join(dir, spoolFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), log.close())
	}
	cursor, err := os.OpenFile(filepath.Join(dir, cursorFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool's cursor: %w", err), spool.Close(), log.close())
	}
	o := &output{spool: spool, cursor: cursor, log: log, buffer: make([]byte, batchBytes), changes: WatchChanges(blind, spool.Name())}
	var text [8]byte
	if n, _ := cursor.ReadAt(text[:], 0); n == len(text) {
		o.offset = int64(binary.BigEndian.Uint64(text[:]))
	}
	if info, err := spool.Stat(); err == nil && o.offset > info.Size() {
		o.offset = 0 // the spool was made anew
	}
	o.reserve()
	return o, nil
}

// run copies until ctx is done, and then what is there.
func (o *output) run(ctx context.Context) {
	defer o.drain()
	for {
		select {
		case <-o.changes.C:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(gather)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		o.drain()
	}
}

// drain copies all that is in the spool by now.
func (o *output) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := o.spool.Stat()
	if err != nil {
		return
	}
	// Not beyond the size at the beginning: a command that writes without end must not hold the keeper here.
	for end := info.Size(); o.offset < end; {
		n, err := o.spool.ReadAt(o.buffer[:min(int64(len(o.buffer)), end-o.offset)], o.offset)
		if n > 0 {
			o.log.write(o.buffer[:n])
			o.advance(o.offset + int64(n))
		}
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			break
		}
	}
	o.giveBack(punchBytes)
	o.reserve()
}

// advance notes that everything before offset is in the log. The cursor is eight bytes in place: no reader sees half of them.
func (o *output) advance(offset int64) {
	o.offset = offset
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], uint64(offset))
	_, _ = o.cursor.WriteAt(text[:], 0) // without it the next shim repeats output; that is all
}

// giveBack returns the room of what was read to the file system, once it is at least so many bytes.
func (o *output) giveBack(least int64) {
	to := o.offset / blockBytes * blockBytes
	if o.noPunch {
		if o.offset >= truncateBytes {
			o.truncate()
		}
		return
	}
	if to-o.punched < least {
		return
	}
	err := unix.Fallocate(int(o.spool.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, o.punched, to-o.punched)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		o.noPunch = true
		return
	}
	if err == nil {
		o.punched = to
	}
}

// reserve sees to it that the command's next writes find room. On a full disk that is the room of what was read.
func (o *output) reserve() {
	if o.noPunch || o.reserved-o.offset > reserveBytes/2 {
		return
	}
	for size := int64(reserveBytes); o.offset+size > o.reserved && size >= blockBytes; size /= 2 {
		if unix.Fallocate(int(o.spool.Fd()), unix.FALLOC_FL_KEEP_SIZE, o.offset, size) == nil {
			o.reserved = o.offset + size
			return
		}
		o.giveBack(blockBytes)
	}
}

// reset empties the spool when no command runs, so that its size does not grow for ever.
func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if info, err := o.spool.Stat(); err == nil && info.Size() == o.offset && o.offset > 0 {
		o.truncate()
		o.reserve()
	}
}

func (o *output) truncate() {
	if o.spool.Truncate(0) == nil {
		o.advance(0)
		o.punched, o.reserved = 0, 0
	}
}

func (o *output) droppedBytes() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.dropped
}

func (o *output) close() error {
	o.changes.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(o.spool.Close(), o.cursor.Close(), o.log.close())
}
