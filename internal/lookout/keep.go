package lookout

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/template"
	"github.com/segue-deploy/segue/internal/statefile"
)

const (
	// keepFormat is the version of the file.
	keepFormat = 1
	// keepAfter is between two times that the past is written down; keepShare of all time is spent on that at most.
	keepAfter = time.Minute
	keepShare = 100
	// mostKept bounds what minutes take in the file before it is compressed; the latest go first.
	mostKept = 32 << 20
)

// header begins the file. What was written under another format, or mined in another way, is of no use.
type header struct {
	Format int       `json:"format"`
	Mining int       `json:"mining"`
	At     time.Time `json:"at"`
	Clean  time.Time `json:"clean,omitzero"`
}

// keeping is the writing of the file, by one at a time.
type keeping struct {
	mu   sync.Mutex
	next time.Time
}

func (k *keeping) due() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !time.Now().Before(k.next)
}

// keep writes the past down, for the next process. Judges do without if it cannot be.
func (l *Lookout) keep(ctx context.Context) {
	if l.options.File == "" {
		return
	}
	l.keeping.mu.Lock()
	defer l.keeping.mu.Unlock()
	began := time.Now()
	text, err := l.encode(began)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(l.options.File), 0o700)
	}
	if err == nil {
		err = statefile.WriteBytes(l.options.File, text)
	}
	if err != nil {
		l.log.WarnContext(ctx, "keep the past of servers", "error", err)
	}
	l.keeping.next = time.Now().Add(max(keepAfter, keepShare*time.Since(began)))
}

// encode gives the file: a header, what was written, and minutes, the latest first, each a line of JSON, compressed.
func (l *Lookout) encode(now time.Time) ([]byte, error) {
	l.mu.Lock()
	minutes, clean := slices.Clone(l.minutes), l.clean
	l.mu.Unlock()
	var file bytes.Buffer
	zip, err := gzip.NewWriterLevel(&file, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	lines := json.NewEncoder(zip)
	err = errors.Join(
		lines.Encode(header{Format: keepFormat, Mining: template.StoredFormat, At: now.Round(0), Clean: clean.Round(0)}),
		lines.Encode(l.logs.Stored(now)),
	)
	room := mostKept
	for _, minute := range slices.Backward(minutes) {
		line, unsound := json.Marshal(minute)
		if unsound != nil {
			continue // a metric is no number: nobody is compared with that
		}
		if room -= len(line); room < 0 {
			break
		}
		_, written := zip.Write(append(line, '\n'))
		err = errors.Join(err, written)
	}
	if err = errors.Join(err, zip.Close()); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return file.Bytes(), nil
}

// Recall takes up the past that a former process kept, from clean on: when the fleet was last mixed. The time until outputs are opened and counters are
// read here was watched by nobody. It is for a lookout that is new. A file that cannot be used is told of, and passed over.
func (l *Lookout) Recall(ctx context.Context, clean time.Time) {
	l.mu.Lock()
	l.clean = clean
	l.mu.Unlock()
	if l.options.File == "" {
		return
	}
	text, err := os.ReadFile(l.options.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = l.decode(text, time.Now())
	}
	if err != nil {
		l.log.WarnContext(ctx, "the past of servers that was kept is not used", "file", l.options.File, "error", err)
	}
}

func (l *Lookout) decode(text []byte, now time.Time) error {
	zip, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	lines := json.NewDecoder(zip)
	var head header
	if err := lines.Decode(&head); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if head.Format != keepFormat || head.Mining != template.StoredFormat {
		return errors.New("another version of Segue wrote it")
	}
	if head.At.After(now) {
		return fmt.Errorf("it is of the future: %s", head.At.Format(time.RFC3339))
	}
	if now.Sub(head.At) >= history {
		return nil
	}
	var written logs.Stored
	if err := lines.Decode(&written); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	var minutes []judge.Evidence
	for {
		var minute judge.Evidence
		// The end comes with the checksum of all that was read.
		if err := lines.Decode(&minute); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		minutes = append(minutes, minute)
	}
	slices.Reverse(minutes)
	return l.take(head, written, minutes)
}

// take goes on with what was kept.
func (l *Lookout) take(head header, written logs.Stored, minutes []judge.Evidence) error {
	gatherer := logs.NewGatherer()
	if l.options.Logs != nil {
		if err := gatherer.Restore(written); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs, l.minutes = gatherer, minutes
	if head.Clean.After(l.clean) {
		l.clean = head.Clean
	}
	return nil
}
