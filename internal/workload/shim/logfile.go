package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// LogName is the file that output is appended to at present; older ones have ".1", ".2" and so on behind it.
const LogName = "output.log"

// logFile appends to a file and rotates it. It never fails: what finds no room is dropped and counted.
type logFile struct {
	dir   string
	limit int64 // bytes of one file
	files int   // the current one included

	file    *os.File // nil after a fault, until it can be opened again
	size    int64
	dropped int64 // bytes, since this shim began
	told    int64 // dropped bytes that the log itself speaks of
	midLine bool  // the file does not end with a newline
}

func openLogFile(dir string, limit int64, files int) (*logFile, error) {
	l := &logFile{dir: dir, limit: max(limit, 4096), files: max(files, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *logFile) path(n int) string { return logPath(l.dir, n) }

func logPath(dir string, n int) string {
	if n == 0 {
		return filepath.Join(dir, LogName)
	}
	return filepath.Join(dir, LogName+"."+strconv.Itoa(n))
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.path(0), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody removed the folder. The output of an instance that runs is wanted all the same.
		if err = os.MkdirAll(l.dir, 0o700); err == nil {
			file, err = os.OpenFile(l.path(0), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open log: %w", err), file.Close())
	}
	l.file, l.size, l.midLine = file, info.Size(), false
	return nil
}

// write appends text, over as many files as it takes. Files end at the end of a line where lines are shorter than a file.
func (l *logFile) write(text []byte) {
	for len(text) > 0 {
		room := l.limit - l.size
		if int64(len(text)) <= room {
			l.append(text)
			return
		}
		cut := 0
		if room > 0 {
			cut = bytes.LastIndexByte(text[:room], '\n') + 1
		}
		if cut == 0 && l.size == 0 {
			cut = int(min(l.limit, int64(len(text)))) // a line longer than a file
		}
		if cut == 0 && l.midLine {
			// The file is full in the middle of a line: a line may take as much again, then it is broken.
			end := bytes.IndexByte(text, '\n') + 1
			if end > 0 && l.size+int64(end) <= 2*l.limit {
				cut = end
			}
		}
		l.append(text[:cut])
		text = text[cut:]
		if l.rotate(); l.size >= l.limit {
			l.dropped += int64(len(text)) // rotating does not work here: rather no output than a full disk
			return
		}
	}
}

// append writes into the present file, or drops.
func (l *logFile) append(text []byte) {
	if len(text) == 0 {
		return
	}
	if l.file == nil && l.open() != nil {
		l.dropped += int64(len(text))
		return
	}
	if l.dropped > l.told {
		l.tell()
	}
	n, err := l.file.Write(text)
	l.size += int64(n)
	if n > 0 {
		l.midLine = text[n-1] != '\n'
	}
	if err != nil {
		l.dropped += int64(len(text) - n)
	}
}

// tell notes in the log that something is missing in it, as soon as there is room for that.
func (l *logFile) tell() {
	note := fmt.Sprintf("[segue: %d bytes of output dropped here: no room for the log]\n", l.dropped-l.told)
	if l.midLine {
		note = "\n" + note
	}
	n, err := l.file.WriteString(note)
	l.size += int64(n)
	if err == nil {
		l.told, l.midLine = l.dropped, false
	}
}

// rotate begins a new file. When it cannot, output goes on into the old one.
func (l *logFile) rotate() {
	if l.size == 0 || l.file == nil {
		return
	}
	for n := l.files - 1; n > 0; n-- {
		if err := os.Rename(l.path(n-1), l.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if l.files == 1 {
		_ = os.Remove(l.path(0))
	}
	old := l.file
	if l.open() != nil {
		l.file, l.size = nil, 0
	}
	_ = old.Close()
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
