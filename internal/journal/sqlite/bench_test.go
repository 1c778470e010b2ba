package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/segue-deploy/segue"
)

// BenchmarkAppend measures durable appends: of one event, and of batches in one transaction. An op is one append.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			j, err := Open(b.Context(), filepath.Join(b.TempDir(), "journal.db"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			events := make([]segue.Event, size)
			for i := range events {
				events[i] = sample(i)
			}
			for b.Loop() {
				if _, err := j.Append(b.Context(), events...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReplay measures opening a journal of 10,000 entries and reading them all, as a controller does when it starts.
func BenchmarkReplay(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	j, err := Open(b.Context(), path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	events := make([]segue.Event, 10_000)
	for i := range events {
		events[i] = sample(i)
	}
	if _, err := j.Append(b.Context(), events...); err != nil {
		b.Fatal(err)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := Open(context.Background(), path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if entries, err := readAll(b.Context(), j); err != nil || len(entries) != len(events) {
			b.Fatalf("%d entries, %v", len(entries), err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
